"""What the training reads: the examples, their pixels and their indices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from polypskd.config import Config
from polypskd.data.augment import open_views
from polypskd.data.store import PixelStore
from polypskd.labels.curriculum import select_active
from polypskd.labels.examples import Examples, Scheme

Ints = NDArray[np.int64]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Material:
    """Examples joined with their pixels; row i of all is the same frame.

    Args:
        examples: N labelled frames.
        scheme: the subclasses.
        store: (N, H, W, 3) uint8.
        config: the experiment.
        run: the run folder.
        device: where to compute.
    """

    examples: Examples
    scheme: Scheme
    store: PixelStore
    config: Config
    run: Path
    device: torch.device

    def rows(self, split: str) -> Ints:
        """Row numbers of a split."""
        return np.flatnonzero(self.examples.split == split)

    def rows_by_level(self) -> Ints:
        """All row numbers, the easiest level first."""
        return np.argsort(self.examples.level, kind="stable")

    def classes(self, rows: Ints) -> Ints:
        """Class index of each row."""
        index = {name: k for k, name in enumerate(self.scheme.classes)}
        return np.array(
            [index[str(name)] for name in self.examples.consensus[rows]], dtype=np.int64
        )

    def subclasses(self, rows: Ints) -> Ints:
        """Subclass index of each row."""
        index = {name: s for s, name in enumerate(self.scheme.subclasses)}
        return np.array([index[str(name)] for name in self.examples.subclass[rows]], dtype=np.int64)

    def open_view(self, view: int) -> Pixels:
        """Open one view of the training frames, in the order of `rows("train")`."""
        rows = self.rows("train")
        # Views exist for training frames only: the other splits are never augmented.
        train = PixelStore(self.store.pixels[rows], f"{self.store.key}|train", self.store.folder)
        ids = [str(name) for name in self.examples.frame_id[rows]]
        return open_views(train, ids, view, config=self.config.augment, seed=self.config.seed)

    def active(self, epoch: int, epochs: int) -> NDArray[np.bool_]:
        """Tell which training frames take part in an epoch: (N_train,)."""
        return select_active(
            self.config.labels.curriculum,
            self.examples.stage[self.rows("train")],
            epoch=epoch,
            epochs=epochs,
            seed=self.config.seed,
        )


def class_scheme(scheme: Scheme) -> Scheme:
    """Forget the subclasses: one a class."""
    count = len(scheme.classes)
    return Scheme(scheme.classes, scheme.classes, np.arange(count), np.zeros(count, dtype=np.int64))
