"""Networks from MONAI, by name."""

from __future__ import annotations

from typing import Any, assert_never

import torch
from monai.networks import nets
from torch import nn

from polypskd.config import Network, OtherNetwork, ResNet
from polypskd.errors import ConfigError

LAYERS = {
    "resnet10": ("basic", (1, 1, 1, 1)),
    "resnet18": ("basic", (2, 2, 2, 2)),
    "resnet34": ("basic", (3, 4, 6, 3)),
    "resnet50": ("bottleneck", (3, 4, 6, 3)),
}


def check_size(network: nn.Module, size: int) -> None:
    """Refuse frames that the network's strides shrink to nothing.

    Args:
        network: (B, 3, size, size) → (B, S).
        size: side of the frames in pixels.

    Raises:
        ConfigError: they are too small.
    """
    training = network.training
    try:
        with torch.inference_mode():
            network.eval()(torch.zeros(1, 3, size, size))
    except (RuntimeError, ValueError):
        raise ConfigError(
            f"augment.size: {size} px is too small for this network; give larger frames or "
            "another network"
        ) from None
    finally:
        network.train(training)


def freeze_encoder(network: nn.Module) -> None:
    """Let only the last linear layer learn."""
    network.requires_grad_(False)
    last_layer(network).requires_grad_(True)


def last_layer(network: nn.Module) -> nn.Linear:
    """Find the linear layer that gives the logits."""
    return [module for module in network.modules() if isinstance(module, nn.Linear)][-1]


def train_mode(network: nn.Module) -> None:
    """Switch to training, but leave normalization that does not learn at its statistics."""
    network.train()
    for module in network.modules():
        # PyTorch's synchronized normalization is no BatchNorm2d.
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and not any(
            parameter.requires_grad for parameter in module.parameters()
        ):
            module.eval()


def name_architecture(config: Network, outputs: int) -> tuple[str, dict[str, Any]]:
    """Name the class of `monai.networks.nets` that a network is, and its arguments.

    MONAI's ResNets have a stem of stride 1, four times slower; ours is 2 unless the config says 1.
    """
    match config:
        case ResNet():
            block, layers = LAYERS[config.kind]
            return "ResNet", {
                "block": block,
                "layers": list(layers),
                "block_inplanes": [config.width * factor for factor in (1, 2, 4, 8)],
                "spatial_dims": 2,
                "n_input_channels": 3,
                "conv1_t_stride": config.stem_stride,
                "no_max_pool": not config.max_pool,
                "num_classes": outputs,
                "shortcut_type": "B",
                "bias_downsample": False,
            }
        case OtherNetwork(kind="densenet121"):
            return "DenseNet121", {"spatial_dims": 2, "in_channels": 3, "out_channels": outputs}
        case OtherNetwork(kind="seresnext50"):
            return "SEResNext50", {"spatial_dims": 2, "in_channels": 3, "num_classes": outputs}
        case OtherNetwork():
            return "EfficientNetBN", {
                "model_name": config.kind,
                "pretrained": False,
                "spatial_dims": 2,
                "in_channels": 3,
                "num_classes": outputs,
            }
        case _:
            assert_never(config)


def build_network(config: Network, outputs: int) -> nn.Module:
    """Build an untrained network: (B, 3, H, W) float → (B, outputs) logits."""
    name, arguments = name_architecture(config, outputs)
    network: nn.Module = getattr(nets, name)(**arguments)
    return network


def count_parameters(network: nn.Module) -> int:
    """Count the trainable parameters."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def count_macs(network: nn.Module, size: int) -> int:
    """Count multiply-accumulates of one (3, size, size) frame."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    network.eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, size, size))
    return int(counter.get_total_flops()) // 2
