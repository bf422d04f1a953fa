import numpy as np
import pytest
import torch
from torch import nn

from polypskd.training.averaging import WeightAverage
from polypskd.training.mixing import draw_mix


def test_the_average_is_the_recursive_one_by_hand():
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 0.0)
    average = WeightAverage(network, decay=0.5)
    expected = 0.0
    for step, value in enumerate([1.0, 2.0, 5.0, 3.0]):
        nn.init.constant_(network.weight, value)
        average.update(network)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    assert average.network.weight.item() == pytest.approx(expected)


def test_counters_of_normalization_are_copied_not_averaged():
    network = nn.BatchNorm2d(2)
    average = WeightAverage(network, decay=0.9)
    network.train()
    for _ in range(3):
        network(torch.randn(4, 2, 3, 3))
        average.update(network)
    assert average.network.num_batches_tracked.item() == 3


def test_a_mix_keeps_more_of_the_example_itself_and_repeats_by_its_seed():
    shares = []
    for number in range(200):
        mix = draw_mix(0.4, 7, [1, 2, number])
        assert sorted(mix.partner.tolist()) == list(range(7))
        assert 0.5 <= mix.share <= 1
        assert draw_mix(0.4, 7, [1, 2, number]).share == mix.share
        shares.append(mix.share)
    rng = np.random.default_rng(0)
    drawn = rng.beta(0.4, 0.4, 200_000)
    assert np.mean(shares) == pytest.approx(np.maximum(drawn, 1 - drawn).mean(), abs=0.03)
