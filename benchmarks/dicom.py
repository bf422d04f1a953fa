"""A 1280 x 1024 JPEG frame out of a DICOM file: milliseconds a frame, side by side.

    python benchmarks/dicom.py

Contestants, interleaved in every round: ours with the file open (`read` of one of 40 frames), ours
with opening the file too, pydicom's `pixel_array` of the same frame with each plugin that is
installed, and simplejpeg on the bare JPEG, which nothing that decodes with it can beat. A ratio is
taken within its round. Milliseconds are of the processor's time of one thread. Beside each stands
the largest difference of its pixels from Pillow's, in gray levels.
"""

import argparse
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import results
import simplejpeg
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder, pixel_array
from pydicom.uid import JPEGBaseline8Bit

from polypskd.cohort.dicom import describe_decoders, open_dicom

FRAMES = 40


def draw_frame(seed: int) -> np.ndarray:
    """Smooth shading and fine grain, (1024, 1280, 3) uint8, some 180 kB as a JPEG of quality 90."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 220, (9, 11, 3)).astype(np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((1280, 1024), Image.Resampling.BICUBIC))
    grain = rng.normal(0, 3, (1024, 1280, 1))
    return np.clip(smooth + grain, 0, 255).astype(np.uint8)


def write_dicom(path: Path, streams: list[bytes]) -> None:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7.4"
    dataset.SOPInstanceUID = "2.25.1"
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames = 1024, 1280, len(streams)
    dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
    dataset.PhotometricInterpretation = "YBR_FULL_422"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.PixelData = encapsulate(streams)
    dataset["PixelData"].VR = "OB"
    dataset.save_as(path, enforce_file_format=True)


def measure(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return (time.process_time() - start) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    for subsampling in ("444", "422", "420"):
        streams = [
            simplejpeg.encode_jpeg(draw_frame(seed), quality=90, colorsubsampling=subsampling)
            for seed in range(4)
        ] * (FRAMES // 4)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "clip.dcm"
            write_dicom(path, streams)
            compare(path, streams, subsampling, rounds)


def compare(path: Path, streams: list[bytes], subsampling: str, rounds: int) -> None:
    opened = open_dicom(path)
    number = FRAMES // 2 + 1
    stream = streams[number - 1]
    contestants: dict[str, Callable[[], np.ndarray]] = {
        "simplejpeg, bare": lambda: simplejpeg.decode_jpeg(stream),
        "polypskd": lambda: opened.read(number),
        "polypskd, opening too": lambda: open_dicom(path).read(number),
    }
    for plugin in get_decoder(JPEGBaseline8Bit).available_plugins:
        contestants[f"pydicom, {plugin}"] = lambda plugin=plugin: pixel_array(
            path, index=number - 1, decoding_plugin=plugin
        )
    reference = np.asarray(Image.open(io.BytesIO(stream))).astype(int)
    differences = {
        name: int(np.abs(call() - reference).max()) for name, call in contestants.items()
    }
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, call in contestants.items():
            times[name].append(measure(call))
    bare = np.array(times["simplejpeg, bare"])
    for name, found in times.items():
        low, middle, high = np.percentile(found, [25, 50, 75])
        results.record(
            "DICOM, one JPEG frame of 1280 x 1024",
            {
                "subsampling": subsampling,
                "kB": len(stream) // 1000,
                "contestant": name,
                "ms a frame": f"{middle:.1f} [{low:.1f}, {high:.1f}]",
                "times bare": f"{np.median(np.array(found) / bare):.2f}",
                "most gray levels from Pillow": differences[name],
                "decoder": describe_decoders()["JPEG"] if name.startswith("poly") else "",
            },
        )


if __name__ == "__main__":
    main()
