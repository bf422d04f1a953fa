"""Weights on disk: safetensors, or PyTorch files read with weights_only."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import TypeAdapter
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import nn

from polypskd.artifacts import write_atomic
from polypskd.config import Config, Network
from polypskd.errors import ArtifactError
from polypskd.labels.scheme import Scheme
from polypskd.models.ensemble import Ensemble
from polypskd.models.networks import build_network, last_layer
from polypskd.ranks import is_first

KEY = "polypskd"  # one metadata key: the file's bytes would else depend on the order of a hash map

Role = Literal["teacher", "student"]


@dataclass(frozen=True)
class Stored:
    """A network with what its outputs mean.

    Args:
        network: in evaluation mode, on the CPU.
        config: its architecture.
        classes: K names, lowest to highest risk.
        subclasses: S names of the outputs.
        class_of: S class indices.
        size: side of its input in pixels.
        extra: what else was stored.
    """

    network: nn.Module
    config: Network
    classes: tuple[str, ...]
    subclasses: tuple[str, ...]
    class_of: tuple[int, ...]
    size: int
    extra: dict[str, Any]


def write_network(path: Path, network: nn.Module, about: dict[str, Any]) -> None:
    """Write weights and their description as one safetensors file, atomically, in one process."""
    if not is_first():
        return
    state = {
        name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()
    }
    text = json.dumps(about, sort_keys=True)
    # As bytes: the library's own writing tells a full disk as its own kind of error.
    content = save(state, metadata={KEY: text})
    write_atomic(path, lambda temporary: temporary.write_bytes(content))


def describe_network(config: Config, scheme: Scheme, role: Role) -> dict[str, Any]:
    """Describe a network of a run for those who read its file alone.

    Args:
        config: the experiment.
        scheme: what the outputs mean.
        role: "teacher" or "student".
    """
    network = config.teacher.network if role == "teacher" else config.student.network
    # A teacher does not depend on the settings of the student that will ask it.
    method = {} if role == "teacher" else {"method": config.student.method.model_dump(mode="json")}
    count = {"members": config.teacher.ensemble} if role == "teacher" else {}
    return (
        method
        | count
        | {
            "network": network.model_dump(mode="json", exclude={"weights", "frozen"}),
            "classes": scheme.classes,
            "subclasses": scheme.subclasses,
            "class_of": scheme.class_of.tolist(),
            "size": config.augment.size,
            "role": role,
            "seed": config.seed,
            "research_use_only": True,
        }
    )


def read_network(path: Path, verb: str) -> Stored:
    """Read a network that a run has written.

    Args:
        path: the safetensors file.
        verb: the verb that makes it, for the message.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    if not path.exists():
        raise ArtifactError(f"{path}: missing; `polypskd {verb} CONFIG` makes it")
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})[KEY])
        config: Network = TypeAdapter(Network).validate_python(about.pop("network"))
        count = about.pop("members", 1)
        members = [build_network(config, len(about["subclasses"]))]
        own = sum(one.numel() for one in members[0].parameters())
        if count * own > path.stat().st_size:
            raise ValueError("more members than weights")
        members += [build_network(config, len(about["subclasses"])) for _ in range(1, count)]
        network = members[0] if count == 1 else Ensemble(members)
        network.load_state_dict(load_file(path))
        stored = Stored(
            network,
            config,
            tuple(about.pop("classes")),
            tuple(about.pop("subclasses")),
            tuple(about.pop("class_of")),
            about.pop("size"),
            about,
        )
    except (SafetensorError, KeyError, ValueError, RuntimeError, TypeError, AttributeError):
        raise ArtifactError(f"{path}: damaged; `polypskd {verb} CONFIG` makes it anew") from None
    network.eval()
    return stored


def load_pretrained(network: nn.Module, path: Path) -> int:
    """Load pretrained weights by name and shape; the head keeps its initial weights.

    Returns:
        The number of tensors loaded.

    Raises:
        ArtifactError: the file is missing, not weights, or fits less than half of the network.
    """
    try:
        state: Any
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ArtifactError(f"{path}: pretrained weights not found; mend `weights`") from None
    except Exception as error:
        # A refused pickle, a text file, a truncated zip: each library has its own error for it.
        raise ArtifactError(
            f"{path}: not readable as weights ({type(error).__name__}); "
            "give a .safetensors file or a state dict saved by torch.save"
        ) from None
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise ArtifactError(
            f"{path}: holds {type(state).__name__}, not weights by name; give a state dict"
        )
    head = next(
        f"{name}." for name, layer in network.named_modules() if layer is last_layer(network)
    )
    own = {name: value for name, value in network.state_dict().items() if not name.startswith(head)}
    given = {name.removeprefix("module."): value for name, value in state.items()}
    fitting = {
        name: value
        for name, value in given.items()
        if isinstance(value, torch.Tensor) and name in own and own[name].shape == value.shape
    }
    if len(fitting) * 2 < len(own):
        raise ArtifactError(
            f"{path}: only {len(fitting)} of the network's {len(own)} tensors fit; "
            "the weights belong to another architecture"
        )
    network.load_state_dict(fitting, strict=False)
    return len(fitting)
