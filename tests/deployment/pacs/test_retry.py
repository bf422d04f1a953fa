import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypskd.deployment.pacs.retry import Patience, call_again, list_waits
from polypskd.errors import ArchiveError

QUICK = Patience(tries=5, first_wait_s=0.001, longest_wait_s=0.002)


class Failing:
    """Fails so many times, and then succeeds."""

    def __init__(self, times: int, transient: bool = True) -> None:
        self.left, self.transient, self.calls = times, transient, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise ArchiveError(f"failure {self.calls}", transient=self.transient)
        return "done"


@given(
    st.integers(1, 30),
    st.floats(0, 100),
    st.floats(0, 100),
    st.integers(0, 2**32),
)
def test_waits_grow_and_stay_within_their_bounds(tries, first, longest, seed):
    patience = Patience(tries, first, longest, seed=seed)
    waits = list(list_waits(patience))
    assert len(waits) == tries - 1
    for turn, wait in enumerate(waits):
        whole = min(first * 2.0**turn, longest)
        assert whole / 2 <= wait <= whole
    assert waits == list(list_waits(patience))


def test_two_seeds_do_not_come_back_at_once():
    assert list(list_waits(Patience(seed=1))) != list(list_waits(Patience(seed=2)))


def test_what_passes_is_waited_out_and_told():
    call, told = Failing(3), []
    assert call_again(call, QUICK, tell=lambda error, wait: told.append(str(error))) == "done"
    assert call.calls == 4
    assert told == ["failure 1", "failure 2", "failure 3"]


def test_what_does_not_pass_is_raised_at_once():
    call = Failing(1, transient=False)
    with pytest.raises(ArchiveError, match="failure 1"):
        call_again(call, QUICK)
    assert call.calls == 1


def test_there_are_so_many_tries_and_no_more():
    call = Failing(99)
    with pytest.raises(ArchiveError, match="failure 5"):
        call_again(call, QUICK)
    assert call.calls == 5


def test_no_try_begins_after_the_deadline():
    call = Failing(99)
    with pytest.raises(ArchiveError):
        call_again(call, Patience(tries=99, first_wait_s=30, deadline_s=1))
    assert call.calls == 1


def test_told_to_stop_nobody_waits():
    call, stop = Failing(99), threading.Event()
    threading.Timer(0.05, stop.set).start()
    begun = time.monotonic()
    with pytest.raises(ArchiveError):
        call_again(call, Patience(tries=9, first_wait_s=600), stop)
    assert time.monotonic() - begun < 60
    assert call.calls == 1


def test_other_errors_are_none_of_its_business():
    def fail() -> None:
        raise ValueError("ours")

    with pytest.raises(ValueError, match="ours"):
        call_again(fail, QUICK)
