import json
from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polypskd.errors import CohortError
from polypskd.metrics.clinical.guidelines import ESGE_2020, GUIDELINES, HISTOLOGY, USMSTF_2020
from polypskd.metrics.clinical.surveillance import Findings, compare_intervals, derive_intervals
from polypskd.metrics.resampling import Resampling


def polyp(histology, size=4.0, dysplasia="none", pieces=False, count=1):
    return [(histology, size, dysplasia, pieces)] * count


def collect(exams):
    rows = [(*one, exam) for exam, polyps in enumerate(exams) for one in polyps]
    columns = list(zip(*rows, strict=True)) if rows else [[]] * 5
    return Findings(
        np.array(columns[0], dtype=np.str_),
        np.array(columns[1], dtype=np.float64),
        np.array(columns[2], dtype=np.str_),
        np.array(columns[3], dtype=np.bool_),
        np.array(columns[4], dtype=np.int64),
    )


def months(guideline, *polyps):
    found = derive_intervals(collect([[*chain(*polyps)]]), 1, guideline)
    low, high = found.earliest[0], found.latest[0]
    return None if np.isnan(low) else (low, high)


# Worded as in the guidelines' recommendations and tables, by hand.
ESGE_CASES = [
    ([], (120, 120)),
    ([polyp("tubular")], (120, 120)),
    ([polyp("villous", 9.9, "low", count=4)], (120, 120)),
    ([polyp("tubular", count=5)], (36, 36)),
    ([polyp("tubular", count=3), polyp("tubulovillous", count=2)], (36, 36)),
    ([polyp("tubular", 10)], (36, 36)),
    ([polyp("tubular", 3, "high")], (36, 36)),
    ([polyp("hyperplastic", 9, count=30)], (120, 120)),
    ([polyp("hyperplastic", 10)], (36, 36)),
    ([polyp("ssl", 9, count=8)], (120, 120)),
    ([polyp("ssl", 10)], (36, 36)),
    ([polyp("ssl", 5, "low")], (36, 36)),
    ([polyp("tsa", 5)], (120, 120)),
    ([polyp("tubular", 19, "low", True)], (36, 36)),
    ([polyp("tubular", 20, "low", True)], (3, 6)),
    ([polyp("ssl", 25, "none", True), polyp("tubular", count=6)], (3, 6)),
    ([polyp("tubular", 25)], (36, 36)),
    ([polyp("other", 12, count=3)], (120, 120)),
    ([polyp("tubular", count=4), polyp("ssl", count=4)], (120, 120)),
    ([polyp("cancer", 20)], None),
    ([polyp("cancer", 20), polyp("tubular", 12)], None),
    ([polyp("tubular", np.nan)], None),
    ([polyp("tubular", np.nan, count=5)], (36, 36)),
    ([polyp("tubular", np.nan, "high")], (36, 36)),
    ([polyp("tubular", np.nan, "high", True)], None),
]
USMSTF_CASES = [
    ([], (120, 120)),
    ([polyp("hyperplastic", 9, count=20)], (120, 120)),
    ([polyp("hyperplastic", 9, count=21)], None),
    ([polyp("tubular", 9.9, "low", count=2)], (84, 120)),
    ([polyp("tubular", count=3)], (36, 60)),
    ([polyp("tubular", count=4)], (36, 60)),
    ([polyp("tubular", count=5)], (36, 36)),
    ([polyp("tubular", count=10)], (36, 36)),
    ([polyp("tubular", count=11)], (12, 12)),
    ([polyp("tubular", count=9), polyp("villous", count=2)], (12, 12)),
    ([polyp("tubular", 10)], (36, 36)),
    ([polyp("tubulovillous", 3)], (36, 36)),
    ([polyp("tubular", 3, "high")], (36, 36)),
    ([polyp("ssl", 9, count=2)], (60, 120)),
    ([polyp("ssl", count=3)], (36, 60)),
    ([polyp("ssl", count=10)], (36, 36)),
    ([polyp("ssl", count=11)], None),
    ([polyp("ssl", 10)], (36, 36)),
    ([polyp("ssl", 4, "low")], (36, 36)),
    ([polyp("tsa", 4)], (36, 36)),
    ([polyp("hyperplastic", 10)], (36, 60)),
    ([polyp("tubular", 20, "low", True)], (6, 6)),
    ([polyp("ssl", 20, "none", True)], (6, 6)),
    ([polyp("hyperplastic", 20, "none", True)], (36, 60)),
    ([polyp("tubular", count=2), polyp("ssl", count=2)], (60, 120)),
    ([polyp("tubular", count=1), polyp("hyperplastic", 10)], (36, 60)),
    ([polyp("cancer", 4)], None),
]


@pytest.mark.parametrize(("polyps", "expected"), ESGE_CASES)
def test_intervals_are_those_of_esge_2020(polyps, expected):
    assert months(ESGE_2020, *polyps) == expected


@pytest.mark.parametrize(("polyps", "expected"), USMSTF_CASES)
def test_intervals_are_those_of_usmstf_2020(polyps, expected):
    assert months(USMSTF_2020, *polyps) == expected


@pytest.mark.parametrize(
    ("guideline", "cases"), [(ESGE_2020, ESGE_CASES), (USMSTF_2020, USMSTF_CASES)]
)
def test_exams_do_not_disturb_one_another(guideline, cases):
    found = derive_intervals(
        collect([[*chain(*polyps)] for polyps, _ in cases]), len(cases), guideline
    )
    expected = [(np.nan, np.nan) if one is None else one for _, one in cases]
    np.testing.assert_array_equal(np.stack([found.earliest, found.latest], axis=1), expected)
    assert ((found.row == -1) == np.isnan(found.earliest)).all()


POLYPS = st.tuples(
    st.sampled_from([word for word in HISTOLOGY if word != "cancer"]),
    st.sampled_from([2.0, 5.0, 9.9, 10.0, 20.0]),
    st.sampled_from(["none", "low", "high"]),
    st.booleans(),
)


@given(st.lists(POLYPS, max_size=12), POLYPS, st.sampled_from(GUIDELINES))
@settings(max_examples=150)
def test_one_polyp_more_never_lengthens_an_interval(polyps, more, guideline):
    before, after = (months(guideline, list(exam)) for exam in (polyps, [*polyps, more]))
    if before and after:
        assert after <= before


@given(st.lists(POLYPS, min_size=1, max_size=12), st.randoms(), st.sampled_from(GUIDELINES))
@settings(max_examples=50)
def test_the_order_of_polyps_does_not_matter(polyps, random, guideline):
    shuffled = list(polyps)
    random.shuffle(shuffled)
    assert months(guideline, polyps) == months(guideline, shuffled)


def test_any_point_in_common_is_agreement_and_the_others_have_a_direction():
    histology = [polyp("tubular"), polyp("tubular", 10), polyp("ssl"), polyp("cancer", 9), []]
    called = [polyp("hyperplastic"), polyp("tubular"), polyp("ssl", 10), [], polyp("other")]
    pair = [derive_intervals(collect(exams), 5, USMSTF_2020) for exams in (histology, called)]
    found = compare_intervals(*pair, USMSTF_2020)
    # 7-10 y with 10 y agrees; 3 y called 7-10 y is later; 5-10 y called 3 y is earlier.
    assert (found.agreement.successes, found.later.successes, found.earlier.successes) == (2, 1, 1)
    assert (found.exams, found.not_assessable, found.agreement.trials) == (5, 1, 4)
    assert found.agreement.method == "Wilson"
    told = found.to_dict()
    assert told["guideline"] == "usmstf"
    assert "any point in common" in told["rule"]
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    back = compare_intervals(*pair[::-1], USMSTF_2020)
    assert (back.later.successes, back.earlier.successes) == (1, 1)
    # Of a normal exam that was called cancer no interval follows: it counts, and not as agreement.
    assert (back.agreement.successes, back.agreement.trials) == (2, 5)
    assert (back.no_interval_called, back.not_assessable) == (1, 0)
    assert (told["no_interval_called"], told["denominator"]) == (
        0,
        "exams with an interval by the reference",
    )


def test_exams_of_one_patient_are_resampled_together():
    generator = np.random.default_rng(0)
    good = np.repeat(generator.random(40) < 0.8, 5)
    histology = derive_intervals(collect([polyp("tubular")] * 200), 200, ESGE_2020)
    called = derive_intervals(
        collect([polyp("ssl", 4 if fine else 10) for fine in good]), 200, ESGE_2020
    )
    sample = Resampling.draw(np.repeat(np.arange(40), 5), 500, seed=0)
    found = compare_intervals(histology, called, ESGE_2020, sample=sample).agreement
    assert found.value == good.mean()
    assert found.patients == 40
    wide, narrow = found.clustered, found.wilson
    assert wide.high - wide.low > 1.8 * (narrow.high - narrow.low)
    alone = compare_intervals(histology, called, ESGE_2020).agreement
    assert alone.interval == alone.wilson == narrow


def test_no_exams_are_no_agreement():
    none = derive_intervals(collect([]), 0, ESGE_2020)
    assert np.isnan(compare_intervals(none, none, ESGE_2020).agreement.value)


def test_unknown_words_are_all_told_at_once():
    with pytest.raises(CohortError) as caught:
        collect([polyp("adenom") + polyp("ssl", dysplasia="mild") + polyp("adenom")])
    assert [fault.value for fault in caught.value.faults] == ["adenom", "mild"]
    assert "use one of: tubular" in str(caught.value)


def test_columns_of_other_lengths_are_refused():
    one = np.array(["ssl"])
    with pytest.raises(ValueError, match="one row a polyp"):
        Findings(one, np.ones(2), one, np.ones(1, bool), np.zeros(1, dtype=int))


def test_tables_carry_their_version_and_source():
    assert [(one.name, one.version) for one in GUIDELINES] == [("esge", "2020"), ("usmstf", "2020")]
    assert all("doi 10." in one.source for one in GUIDELINES)
