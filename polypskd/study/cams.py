"""Grad-CAM: where the student looked on the frames that it got most wrong."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from polypskd.artifacts import write_atomic
from polypskd.errors import OutputError
from polypskd.models.predict import Frames, to_input
from polypskd.reporting.gallery import find_mistakes
from polypskd.reporting.record import read_record
from polypskd.study.data import Json
from polypskd.study.frames import CAMS, remove_stale
from polypskd.study.student import Student
from polypskd.training.losses import class_logits

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

SIDE = 144  # pixels, as the pictures of the gallery
SHADE = (0, 160, 255)  # RGB: far from mucosa for every kind of color vision
OPAQUE = 0.75  # of the hottest place
HEAD = 2  # row of the first example, as a spreadsheet numbers it


def write_cams(
    folder: Path,
    student: Student,
    frames: Frames,
) -> Json:
    """Write a heat map for each frame of the report's gallery, and remove those of older runs.

    A map is a PNG of one color whose opacity is the heat, to be laid over the square that the
    network sees: the frame in its middle, black bars at both sides. It holds no pixel of it. Its
    name is the row of examples.csv, the header being row 1.

    Args:
        folder: of the run.
        student: is asked.
        frames: (N, H, W, 3) of all examples, as the network sees them.

    Returns:
        ``rows`` that have a map; ``layer``, what was looked at.

    Raises:
        OutputError: the folder of maps is a link.
    """
    if (folder / CAMS).is_symlink():
        raise OutputError(f"{folder / CAMS}: is a link; remove it, heat maps are written there")
    record = read_record(folder)
    classes = [str(name) for name in record.agreement["classes"]]
    mistakes = find_mistakes(record, None)
    layer = ""
    for mistake in mistakes:
        index = mistake.row - HEAD
        pixels = np.asarray(frames[index : index + 1])[0]
        heat, layer = measure_heat(student, pixels, classes.index(mistake.predicted))
        picture = paint_heat(heat)
        _write(folder / CAMS / f"{mistake.row}.png", picture)
    rows = [mistake.row for mistake in mistakes]
    remove_stale(folder, rows)
    return {"method": "Grad-CAM", "layer": layer, "rows": rows}


def _write(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    write_atomic(path, lambda temporary: temporary.write_bytes(content))


def measure_heat(student: Student, pixels: Pixels, chosen: int) -> tuple[Floats, str]:
    """Measure how much each place of the last convolution stage speaks for a class.

    Args:
        student: the network.
        pixels: (H, W, 3) as the network sees them.
        chosen: class, in [0, K).

    Returns:
        (h, w) heat in [0, 1], 0 throughout where nothing speaks for the class; and the name of the
        stage: the last one that is larger than one pixel.

    Reference:
        Selvaraju et al. 2017, ICCV: ReLU(Σ_k a_k A_k), a_k the mean gradient of the class's logit
        over feature map A_k.
    """
    network = student.network
    seen: dict[str, torch.Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            if isinstance(output, torch.Tensor) and output.ndim == 4 and output[0, 0].numel() > 1:
                seen.pop(name, None)  # the last one that spoke stands last
                seen[name] = output

        return hook

    with ExitStack() as stack:
        for name, module in network.named_modules():
            if name:
                stack.callback(module.register_forward_hook(keep(name)).remove)
        frame = to_input(pixels[None], student.device).requires_grad_(True)
        with torch.enable_grad():
            logits = class_logits(network.eval()(frame), student.class_of)
            layer, features = next(reversed(seen.items()))
            slope = torch.autograd.grad(logits[0, chosen], features)[0]
    weight = slope.mean(dim=(2, 3), keepdim=True)
    heat = (weight * features).sum(dim=1)[0].relu().detach().float().cpu().numpy()
    found: Floats = heat.astype(np.float32) / np.float32(heat.max() or 1)
    return found, layer


def paint_heat(heat: Floats) -> bytes:
    """Paint heat as a square PNG of one color whose opacity is the heat.

    Args:
        heat: (h, w) in [0, 1].

    >>> paint_heat(np.eye(2, dtype=np.float32))[1:4]
    b'PNG'
    """
    import cv2

    large = cv2.resize(heat, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    picture = np.empty((SIDE, SIDE, 4), np.uint8)
    picture[..., :3] = SHADE[::-1]
    picture[..., 3] = np.rint(np.clip(large, 0, 1) * 255 * OPAQUE)
    return bytes(cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes())
