"""What the training reads: the examples, their pixels and their indices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from polypskd.artifacts import RunLog, fingerprint
from polypskd.config import Config
from polypskd.data.augment import open_views
from polypskd.data.digests import hash_arrays
from polypskd.data.pixels import PixelFile, Taken
from polypskd.data.store import PixelStore, Reading, open_store
from polypskd.errors import ConfigError
from polypskd.labels.curriculum import select_active
from polypskd.labels.examples import Examples
from polypskd.labels.scheme import Scheme, find_names
from polypskd.models.predict import choose_device
from polypskd.models.processes import in_turn
from polypskd.ranks import rank, world_size

Ints = NDArray[np.int64]


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
        return find_names(self.examples.consensus[rows], self.scheme.classes)

    def subclasses(self, rows: Ints) -> Ints:
        """Subclass index of each row."""
        return find_names(self.examples.subclass[rows], self.scheme.subclasses)

    def outputs(self, rows: Ints, scheme: Scheme) -> Ints | None:
        """Index of the right output of each row; None where subclasses are invented."""
        if scheme.subclasses == scheme.classes:
            return self.classes(rows)
        return self.subclasses(rows) if scheme.subclasses == self.scheme.subclasses else None

    def votes(self, rows: Ints) -> Ints:
        """Votes of each row for each class, (N, K)."""
        columns = [self.examples.votes[name][rows] for name in self.scheme.classes]
        return np.stack(columns, axis=1)

    def pixels(self, rows: Ints) -> Taken:
        """Frames of some rows, not augmented, read when they are asked for."""
        return Taken(self.store.pixels, rows)

    def open_view(self, view: int) -> PixelFile:
        """Open one view of the training frames, in the order of `rows("train")`."""
        rows = self.rows("train")
        # Views exist for training frames only: the other splits are never augmented.
        ids, config = self.examples.frame_id[rows], self.config
        return open_views(self.store, rows, ids, view, config=config.augment, seed=config.seed)

    def draw_views(self) -> None:
        """Draw all views that are not drawn yet; each process of a job begins with another."""
        views = self.config.augment.views
        first = views * rank() // world_size()
        for view in range(views):
            self.open_view((first + view) % views)

    def active(self, epoch: int, epochs: int) -> NDArray[np.bool_]:
        """Tell which training frames take part in an epoch: (N_train,)."""
        return select_active(
            self.config.labels.curriculum,
            self.examples.stage[self.rows("train")],
            epoch=epoch,
            epochs=epochs,
            seed=self.config.seed,
        )

    def fingerprint(self) -> str:
        """Fingerprint what training reads: labels, pixels, views, curriculum and seed."""
        examples = self.examples
        return fingerprint(
            [
                [self.config.seed, self.config.fit_seed],
                self.config.augment.model_dump(mode="json"),
                self.config.labels.curriculum.model_dump(mode="json"),
                self.store.key,
                hash_arrays(
                    examples.frame_id,
                    examples.split,
                    examples.subclass,
                    examples.stage,
                    examples.consensus,
                ),
                self.scheme.subclasses,
            ]
        )

    def fingerprint_votes(self) -> str:
        """Fingerprint the votes: some students learn from them, no teacher does."""
        examples = self.examples
        votes = {name: hash_arrays(counts) for name, counts in examples.votes.items()}
        return fingerprint([votes, hash_arrays(examples.n_votes, examples.agreement)])


@dataclass(frozen=True)
class Places:
    """Where a run's files lie.

    Args:
        frames: the folder that the paths of the examples start from; None for votes alone.
        run: the run folder.
        pixels: folder of decoded frames and views.
    """

    frames: Path | None
    run: Path
    pixels: Path


def open_material(
    examples: Examples,
    scheme: Scheme,
    *,
    places: Places,
    config: Config,
    log: RunLog,
) -> Material:
    """Join examples with their pixels, decoding those that were not decoded yet.

    Args:
        examples: labelled frames.
        scheme: their subclasses.
        places: where files lie.
        config: the experiment.
        log: told how far the decoding is.

    Raises:
        ConfigError: there are votes only.
        CohortError: a frame has become unreadable.
    """
    if places.frames is None:
        raise ConfigError("cohort.frames: kind none has no frames to train on; use image_folder")
    frames = places.frames
    store = in_turn(
        lambda: open_store(
            frames,
            examples.path,
            size=config.augment.size,
            folder=places.pixels,
            reading=Reading(
                config.cohort.max_megapixels,
                config.cohort.crop,
                examples.carried.get("device"),
            ),
            progress=lambda done, total: log.progress("decode", done, total),
        )
    )
    return Material(examples, scheme, store, config, places.run, choose_device(config.device))
