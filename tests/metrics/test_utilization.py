import numpy as np
import pytest
from scipy.stats import entropy

from polypskd.metrics.information import utilization_entropy


def test_subclasses_used_alike_give_all_bits_and_a_single_one_none():
    assert utilization_entropy(np.eye(8)) == 3
    assert utilization_entropy(np.eye(8)[[2] * 5]) == 0
    assert utilization_entropy(np.zeros((0, 4))) == 0


@pytest.mark.parametrize("seed", range(3))
def test_both_entropies_are_those_of_scipy(seed):
    p = np.random.default_rng(seed).dirichlet(np.full(5, 0.3), size=40)
    counts = np.bincount(p.argmax(axis=1), minlength=5)
    assert utilization_entropy(p) == pytest.approx(entropy(counts, base=2))
    assert utilization_entropy(p, of="mean") == pytest.approx(entropy(p.mean(axis=0), base=2))


def test_the_mean_tells_of_use_that_the_argmax_hides():
    p = np.tile([0.6, 0.4], (9, 1))
    assert utilization_entropy(p) == 0
    assert utilization_entropy(p, of="mean") > 0.9
