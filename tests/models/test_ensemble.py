import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from polypskd.config import Network
from polypskd.models.checkpoint import read_network, write_network
from polypskd.models.ensemble import Ensemble
from polypskd.models.networks import build_network, freeze_encoder, last_layer, train_mode

CONFIG = TypeAdapter(Network).validate_python({"kind": "resnet10", "width": 16})
ABOUT = {
    "network": {"kind": "resnet10", "width": 16},
    "classes": ["a", "b"],
    "subclasses": ["a/easy", "a/hard", "b"],
    "class_of": [0, 0, 1],
    "size": 32,
}


def test_an_ensemble_gives_the_mean_of_the_probabilities():
    members = [build_network(CONFIG, 3).eval() for _ in range(3)]
    x = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        expected = torch.stack([member(x).softmax(1) for member in members]).mean(0)
        torch.testing.assert_close(Ensemble(members)(x).softmax(1), expected)


def test_an_ensemble_comes_back_from_one_file(tmp_path):
    network = Ensemble([build_network(CONFIG, 3) for _ in range(2)]).eval()
    write_network(tmp_path / "t.safetensors", network, ABOUT | {"members": 2})
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        back = read_network(tmp_path / "t.safetensors", "teach").network
        torch.testing.assert_close(back(x), network(x), rtol=0, atol=0)


def test_a_frozen_encoder_learns_in_its_last_layer_alone():
    network = build_network(CONFIG, 3)
    freeze_encoder(network)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=1.0)
    train_mode(network)
    network(torch.randn(4, 3, 32, 32)).square().sum().backward()
    optimizer.step()
    changed = {
        name for name, value in network.state_dict().items() if not torch.equal(value, before[name])
    }
    head = last_layer(network)
    own = {name for name, module in network.named_modules() if module is head}
    assert changed == {f"{name}.{part}" for name in own for part in ("weight", "bias")}


def test_freezing_without_weights_is_refused():
    with pytest.raises(ValidationError, match="nothing worth freezing"):
        TypeAdapter(Network).validate_python({"kind": "resnet18", "frozen": True})
