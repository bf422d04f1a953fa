import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from polypskd.labels.consensus import derive_consensus

COUNTS = hnp.arrays(
    np.int64, st.tuples(st.integers(1, 20), st.integers(2, 6)), elements=st.integers(0, 9)
).map(lambda counts: counts + (counts.sum(axis=1, keepdims=True) == 0))


def test_ties_go_to_the_class_of_higher_risk():
    found = derive_consensus(np.array([[2, 2, 0], [1, 1, 1], [2, 0, 2], [0, 3, 2]]))
    assert found.consensus.tolist() == [1, 2, 2, 1]
    assert found.tied.tolist() == [True, True, True, False]
    assert found.agreement.tolist() == pytest.approx([1 / 2, 1 / 3, 1 / 2, 3 / 5])


@given(COUNTS)
def test_agreement_is_the_share_of_the_consensus_and_the_highest_of_the_frame(counts):
    found = derive_consensus(counts)
    np.testing.assert_allclose(found.distribution.sum(axis=1), 1)
    rows = np.arange(len(counts))
    np.testing.assert_array_equal(found.agreement, found.distribution[rows, found.consensus])
    np.testing.assert_array_equal(found.agreement, found.distribution.max(axis=1))
    assert (found.agreement > 0).all()
    assert (found.agreement <= 1).all()


@given(COUNTS)
def test_no_class_of_higher_risk_has_as_many_votes_as_the_consensus(counts):
    for row, chosen in zip(counts, derive_consensus(counts).consensus, strict=True):
        assert all(row[chosen] > other for other in row[chosen + 1 :])


def test_a_frame_without_votes_is_refused():
    with pytest.raises(ValueError, match="1 frames have no votes; the first is 1"):
        derive_consensus(np.array([[1, 0], [0, 0]]))


def test_negative_counts_are_refused():
    with pytest.raises(ValueError, match="none negative"):
        derive_consensus(np.array([[2, -1]]))
