import pickle

import pytest
import torch
from pydantic import TypeAdapter
from safetensors.torch import save_file

from polypskd.config import Network
from polypskd.errors import ArtifactError
from polypskd.models.checkpoint import load_pretrained, read_network, write_network
from polypskd.models.networks import build_network

CONFIG = TypeAdapter(Network).validate_python({"kind": "resnet10", "width": 16})
ABOUT = {
    "network": {"kind": "resnet10", "width": 16},
    "classes": ["a", "b"],
    "subclasses": ["a/easy", "a/hard", "b"],
    "class_of": [0, 0, 1],
    "size": 32,
    "seed": 1,
}


def test_a_network_comes_back_the_same_with_its_meaning(tmp_path):
    network = build_network(CONFIG, 3).eval()
    write_network(tmp_path / "n.safetensors", network, ABOUT)
    stored = read_network(tmp_path / "n.safetensors", "teach")
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(stored.network(x), network(x), rtol=0, atol=0)
    assert stored.classes == ("a", "b")
    assert stored.class_of == (0, 0, 1)
    assert stored.extra == {"seed": 1}


def test_equal_weights_are_equal_bytes(tmp_path):
    network = build_network(CONFIG, 3)
    for name in "ab":
        write_network(tmp_path / name, network, ABOUT)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_missing_and_damaged_weights_say_which_verb_makes_them(tmp_path):
    path = tmp_path / "n.safetensors"
    with pytest.raises(ArtifactError, match="missing; `polypskd teach CONFIG` makes it"):
        read_network(path, "teach")
    write_network(path, build_network(CONFIG, 3), ABOUT)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ArtifactError, match="damaged"):
        read_network(path, "teach")


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_pretrained_weights_load_all_but_the_head(tmp_path, suffix):
    given = build_network(CONFIG, 9)
    path = tmp_path / f"w{suffix}"
    if suffix == ".pt":
        torch.save({"state_dict": given.state_dict()}, path)
    else:
        save_file(given.state_dict(), path)
    network = build_network(CONFIG, 3)
    head = network.fc.weight.clone()
    assert load_pretrained(network, path) == len(network.state_dict()) - 2
    torch.testing.assert_close(network.conv1.weight, given.conv1.weight)
    torch.testing.assert_close(network.fc.weight, head)


class Harmful:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code was run')",))


@pytest.mark.parametrize("content", [b"", b"hello", pickle.dumps({"a": Harmful()})])
def test_files_that_are_no_weights_are_refused_and_run_no_code(tmp_path, content):
    path = tmp_path / "w.pt"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="not readable as weights"):
        load_pretrained(build_network(CONFIG, 3), path)


def test_weights_of_another_architecture_are_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file(build_network(CONFIG.model_copy(update={"width": 32}), 3).state_dict(), path)
    with pytest.raises(ArtifactError, match="another architecture"):
        load_pretrained(build_network(CONFIG, 3), path)


@pytest.mark.parametrize("given", [torch.zeros(3), [1, 2], {1: torch.zeros(2)}])
def test_a_file_of_something_else_is_no_state_dict(tmp_path, given):
    torch.save(given, tmp_path / "w.pt")
    with pytest.raises(ArtifactError, match="not weights by name"):
        load_pretrained(build_network(CONFIG, 2), tmp_path / "w.pt")
