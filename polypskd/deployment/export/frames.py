"""Real frames for an export: they tell whether the graph answers as the network does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from polypskd.cohort.address import split_address
from polypskd.cohort.agreed_fields import Layouts
from polypskd.cohort.damage import DamageError
from polypskd.cohort.field import find_field
from polypskd.cohort.frames import list_frames, read_frame
from polypskd.cohort.preparation import crop_frame, prepare_frame
from polypskd.cohort.quality import Quality, measure_quality
from polypskd.config import CohortConfig
from polypskd.errors import CohortError, Fault

Progress = Callable[[int, int], None]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class FrameSet:
    """Frames on disk, read and prepared when they are asked for, as training does.

    Args:
        root: folder of the frames.
        names: N paths below it.
        config: the section ``cohort``.
        size: side of the network's input in pixels.
        origin: what they are, in words.
        layouts: width and height → where the picture lies in frames that do not show it.
    """

    root: Path
    names: tuple[str, ...]
    config: CohortConfig
    size: int
    origin: str
    layouts: Mapping[tuple[int, int], Layouts] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, rows: slice) -> Pixels:
        names = self.names[rows]
        block = np.empty((len(names), self.size, self.size, 3), np.uint8)
        # In the order of a file's frames, so that a video is decoded on and not sought in.
        for row in sorted(range(len(names)), key=lambda row: split_address(names[row])):
            try:
                whole = self._read(names[row])
                block[row] = prepare_frame(self._crop(whole), self.size)
            except DamageError as damage:
                fault = Fault(names[row], damage.what, damage.value, damage.todo)
                raise CohortError([fault]) from None
        return block

    def pick(self, most: int) -> FrameSet:
        """Take at most so many, evenly over all of them."""
        return replace(self, names=spread_evenly(self.names, most))

    def measure(self, progress: Progress = lambda done, total: None) -> list[Quality]:
        """Measure the quality of each whole frame.

        Args:
            progress: called with (frames done, N).
        """
        found = []
        for done, name in enumerate(sorted(self.names, key=split_address), start=1):
            found.append(measure_quality(self._read(name)))
            progress(done, len(self))
        return found

    def _crop(self, whole: Pixels) -> Pixels:
        layouts = self.layouts.get((whole.shape[1], whole.shape[0]))
        place = None if layouts is None else layouts.choose(find_field(whole))
        return crop_frame(whole, self.config.crop, place)

    def _read(self, name: str) -> Pixels:
        return read_frame(self.root / name, max_megapixels=self.config.max_megapixels)


def spread_evenly(names: Sequence[str], most: int) -> tuple[str, ...]:
    """Take at most so many names, evenly over all of them, the first and the last included.

    >>> spread_evenly("abcde", 3)
    ('a', 'c', 'e')
    >>> spread_evenly("ab", 3)
    ('a', 'b')
    """
    if len(names) <= most:
        return tuple(names)
    rows = np.linspace(0, len(names) - 1, most).round().astype(np.int64)
    return tuple(names[row] for row in rows)


def list_folder(folder: Path, config: CohortConfig, size: int) -> FrameSet:
    """List the images of a folder that was given in place of the run's frames.

    Args:
        folder: of images.
        config: the section ``cohort``.
        size: side of the network's input in pixels.

    Raises:
        CohortError: the folder is missing or holds no image.
    """
    if not folder.is_dir():
        raise CohortError([Fault(str(folder), "folder not found", todo="check --parity-frames")])
    names, _ = list_frames(folder)
    if not names:
        raise CohortError([Fault(str(folder), "holds no image", todo="check --parity-frames")])
    return FrameSet(folder, tuple(names), config, size, "frames of a folder given at export")
