"""Decoded pixels on disk, keyed by content and decode settings.

Decoding a frame costs tens of times more than reading its pixels, and the processes of one run
share its store through the page cache. A store appears whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from polypskd.cohort.address import order_address, split_address
from polypskd.cohort.agreed_fields import Fields, agree_on_fields
from polypskd.cohort.cropping import read_cropped
from polypskd.cohort.decoders import IMAGES, describe_decoders
from polypskd.cohort.field import FINDER
from polypskd.cohort.preparation import prepare_frame
from polypskd.config import Crop, FieldCrop, NoCrop
from polypskd.data.blocks import Draw, Progress, draw_file
from polypskd.data.digests import Names, hash_frames
from polypskd.data.pixels import PixelFile, Pixels

RUN = 8  # blocks at a time where frames share a file: each time decodes from a key frame
VERSION = "2"  # raise it when decoding or preparation changes


@dataclass(frozen=True)
class Reading:
    """How frames are read.

    Args:
        max_megapixels: larger frames are refused before they are decoded.
        crop: what of a frame is looked at.
        devices: of each frame, where they are known, for a crop to the field.
    """

    max_megapixels: float = 64.0
    crop: Crop = field(default_factory=NoCrop)
    devices: Names | None = None


@dataclass(frozen=True)
class PixelStore:
    """Frames as the network's input size.

    Args:
        pixels: (N, size, size, 3) uint8 RGB.
        key: SHA-256 of the frames' bytes, their order and the decode settings.
        folder: where it lies; views are kept beside it.
    """

    pixels: Pixels
    key: str
    folder: Path


def open_store(
    root: Path,
    paths: Names,
    *,
    size: int,
    folder: Path,
    reading: Reading | None = None,
    progress: Progress = lambda done, total: None,
) -> PixelStore:
    """Open the store of these frames, decoding them first if it does not exist.

    Args:
        root: folder of the frames.
        paths: N paths below the root, a list or an array.
        size: side of the prepared frames in pixels.
        folder: where stores are kept.
        reading: how they are read; whole, up to 64 megapixels, if not given.
        progress: called with (frames done, frames to do) while hashing, then while decoding.

    Raises:
        ArtifactError: a frame has gone since it was listed, or the store is damaged.
        CohortError: a frame cannot be decoded.
        OutputError: the folder cannot be written to, or the disk is full.
    """
    reading = reading or Reading()
    digest = hashlib.sha256(f"{VERSION}|{size}|{len(paths)}".encode())
    fields = _agree(root, paths, reading, folder)
    digest.update(_describe_reading(paths, reading, fields).encode())
    digest.update(hash_frames(root, paths, folder, progress).data)
    key = digest.hexdigest()
    path = folder / f"{key[:24]}.npy"

    def decode(start: int, stop: int) -> NDArray[np.uint8]:
        names = [str(name) for name in paths[start:stop]]
        block = np.empty((len(names), size, size, 3), np.uint8)
        # In the order of a file's frames, so that a video is decoded on and not sought in.
        for row in sorted(range(len(names)), key=lambda row: order_address(names[row])):
            most = reading.max_megapixels
            name, crop = names[row], reading.crop
            pixels = read_cropped(root, name, crop, fields=fields, max_megapixels=most)
            block[row] = prepare_frame(pixels, size)
        return block

    many = any(split_address(str(name))[1] is not None for name in paths)
    draw_file(path, (len(paths), size, size, 3), decode, progress, at_once=RUN if many else 1)
    return PixelStore(PixelFile(path), key, folder)


def _agree(root: Path, paths: Names, reading: Reading, folder: Path) -> Fields | None:
    """Find what the frames agree on, for a crop to the field."""
    if not isinstance(reading.crop, FieldCrop):
        return None
    frames = [str(name) for name in paths]
    devices = None if reading.devices is None else [str(name) for name in reading.devices]
    most = reading.max_megapixels
    return agree_on_fields(root, frames, devices, max_megapixels=most, cache=folder)


def _describe_reading(paths: Names, reading: Reading, fields: Fields | None) -> str:
    """Say what else the pixels depend on; nothing for whole image files."""
    crop = "" if isinstance(reading.crop, NoCrop) else reading.crop.model_dump_json()
    crop += f"|{FINDER}|{json.dumps(fields.describe())}" if fields is not None else ""
    decoders = describe_decoders(str(name) for name in paths)
    decoders.pop(IMAGES)
    return crop + (json.dumps(decoders, sort_keys=True) if decoders else "")


def open_derived(
    store: PixelStore,
    name: str,
    count: int,
    draw: Draw,
    progress: Progress = lambda done, total: None,
) -> PixelFile:
    """Open pixels derived from a store, drawing them first if they do not exist.

    Args:
        store: the store they derive from.
        name: what tells this derivation from every other of the same store.
        count: N, its number of frames.
        draw: (start, stop) → these of its frames, (stop - start, size, size, 3); called from
            several threads.
        progress: called with (frames done, N) while drawing.

    Raises:
        ArtifactError: the file is damaged.
        OutputError: the folder cannot be written to, or the disk is full.
    """
    key = hashlib.sha256(f"{store.key}|{name}".encode()).hexdigest()
    path = store.folder / f"{store.key[:24]}-{key[:16]}.npy"
    draw_file(path, (count, *store.pixels.shape[1:]), draw, progress)
    return PixelFile(path)
