import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

from polypskd.config import Network
from polypskd.models.networks import build_network
from polypskd.training.alignment import match_outputs, reorder_outputs

CLASS_OF = np.array([0, 0, 0, 1, 1])


@pytest.mark.parametrize("seed", range(5))
def test_a_shuffled_network_is_put_back_into_its_order(seed):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(5, 0.2), 300)
    shuffle = np.concatenate([rng.permutation(3), 3 + rng.permutation(2)])
    order = match_outputs(p, p[:, shuffle], CLASS_OF)
    np.testing.assert_array_equal(p[:, shuffle][:, order], p)


def test_no_output_leaves_its_class():
    rng = np.random.default_rng(0)
    order = match_outputs(rng.dirichlet(np.ones(5), 50), rng.dirichlet(np.ones(5), 50), CLASS_OF)
    np.testing.assert_array_equal(CLASS_OF[order], CLASS_OF)
    assert sorted(order.tolist()) == list(range(5))


def test_reordering_the_last_layer_reorders_the_logits():
    config = TypeAdapter(Network).validate_python({"kind": "resnet10", "width": 16})
    network: nn.Module = build_network(config, 5).eval()
    x = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        before = network(x)
        reorder_outputs(network, np.array([2, 0, 1, 4, 3]))
        torch.testing.assert_close(network(x), before[:, [2, 0, 1, 4, 3]])
