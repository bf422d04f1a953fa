"""UIDs, dates and seals: consistent, valid, and of no use without the key."""

import datetime
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypskd.deployment.deidentification.dates import (
    SPAN,
    derive_shift,
    shift_date,
    shift_datetime,
)
from polypskd.deployment.deidentification.uids import replace_uid
from polypskd.deployment.seals import seal

KEY, OTHER = b"k" * 32, b"o" * 32
texts = st.text(max_size=80)


@given(texts)
def test_a_new_uid_is_a_uuid_and_depends_on_key_and_uid_alone(text):
    made = replace_uid(text, KEY)
    assert made == replace_uid(text, KEY)
    if made:
        number = uuid.UUID(int=int(made.removeprefix("2.25.")))
        assert (number.version, number.variant) == (8, uuid.RFC_4122)
        assert len(made) <= 64
        assert made != replace_uid(text, OTHER)
        assert made not in text


@pytest.mark.parametrize("uid", ["1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.1.2.4.50"])
def test_the_standards_own_uids_stay(uid):
    assert replace_uid(uid, KEY) == uid


def test_a_uid_below_the_standards_root_that_it_does_not_list_is_replaced():
    assert replace_uid("1.2.840.10008.4711", KEY).startswith("2.25.")


@given(st.dates(datetime.date(1920, 1, 1), datetime.date(2100, 1, 1)), st.integers(0, 3000), texts)
def test_days_between_dates_stay(day, gap, patient):
    days = derive_shift(patient, KEY)
    assert -SPAN <= days <= -1
    later = day + datetime.timedelta(gap)
    moved = [
        datetime.datetime.strptime(shift_date(f"{one:%Y%m%d}", days), "%Y%m%d").date()
        for one in (day, later)
    ]
    assert (moved[1] - moved[0]).days == gap
    assert (moved[0] - day).days == days


@given(texts, st.integers(-SPAN, -1))
def test_what_is_no_date_becomes_empty(text, days):
    made = shift_datetime(text, days)
    assert made == "" or (made[:8].isdigit() and made[:8] != text.strip(" \0")[:8])


def test_seals_of_different_purposes_never_agree():
    assert seal(KEY, "uid", "1") != seal(KEY, "dates", "1")
