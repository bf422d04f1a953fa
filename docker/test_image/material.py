"""What is judged: frames and DICOM files drawn here, and a bundle that no one has trained."""

# ruff: noqa: S603  the programs are ours
from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EPOCH = "1767225600"  # the moment that results tell of


@dataclass(frozen=True)
class Case:
    """A bundle, frames, and what `predict` says of them outside of the container.

    Args:
        name: of the case.
        bundle: folder.
        frames: folder.
        options: of `predict`.
        expected: folder of results.
        code: exit code.
    """

    name: str
    bundle: Path
    frames: Path
    options: tuple[str, ...]
    expected: Path
    code: int


def draw_bundle(folder: Path) -> Path:
    """Write a bundle as the tests have it."""
    sys.path[:0] = [str(ROOT / "tests" / "deployment"), str(ROOT)]
    from small_bundle import write_bundle

    return Path(write_bundle(folder))


def draw_frames(folder: Path) -> Path:
    """Draw PNG, JPEG and DICOM frames, one broken file and one that is no frame."""
    import cv2
    import numpy as np
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

    rng = np.random.default_rng(5)
    (folder / "exam").mkdir(parents=True)

    def draw() -> np.ndarray:
        small = rng.integers(0, 255, (12, 16, 3), np.uint8)
        return np.asarray(cv2.resize(small, (320, 240), interpolation=cv2.INTER_CUBIC))

    for number in range(6):
        cv2.imwrite(str(folder / f"frame{number}.png"), draw())
        cv2.imwrite(str(folder / "exam" / f"frame{number}.jpg"), draw())
    for number, syntax in enumerate(
        (ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless, JPEGBaseline8Bit)
    ):
        data = Dataset()
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.1"
        data.SOPInstanceUID = f"2.25.100{number}"
        data.StudyInstanceUID, data.SeriesInstanceUID = "2.25.7", "2.25.8"
        data.PatientID, data.PatientName, data.Modality = "1", "Test^Test", "ES"
        pixels = draw()
        data.set_pixel_data(pixels, "RGB", 8)
        if syntax == JPEGBaseline8Bit:
            from pydicom.encaps import encapsulate

            coded = cv2.imencode(".jpg", pixels[:, :, ::-1])[1].tobytes()
            data.PixelData = encapsulate([coded])
            data.file_meta.TransferSyntaxUID = syntax
            data.PhotometricInterpretation = "YBR_FULL_422"
        elif syntax != ExplicitVRLittleEndian:
            data.compress(syntax)
        data.save_as(folder / "exam" / f"IM{number}.dcm", enforce_file_format=True)
    (folder / "broken.png").write_bytes((folder / "frame0.png").read_bytes()[:3000])
    (folder / "notes.txt").write_text("not a frame")
    return folder


def build_reference(folder: Path) -> Path:
    """Make a virtual environment of serve.lock, as the image has it, and give its Python.

    Raises:
        CalledProcessError: a package is not to be had.
    """
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
    locked = [f"--requirement={ROOT}/docker/{name}.lock" for name in ("serve", "build")]
    for more in (
        ["--require-hashes", "--only-binary=:all:", *locked],
        ["--no-build-isolation", str(ROOT)],
    ):
        subprocess.run([*pip, *more], check=True, stderr=subprocess.DEVNULL)
    return python


def predict(python: Path, case: Case, out: Path) -> int:
    """Run `predict` outside of the container, by a Python of one's choice; give its exit code."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "SOURCE_DATE_EPOCH": EPOCH}
    # The image reads no videos, unless it was built so.
    code = "import sys; sys.modules['av'] = None; from polypskd.cli import main; main()"
    command = [python, "-c", code, "predict", case.bundle, case.frames, "--out", out]
    done = subprocess.run(
        [*map(str, command), *case.options, "--quiet"],
        env=environment,
        cwd=out.parent,
        capture_output=True,
        check=False,
    )
    return done.returncode


def read_results(folder: Path) -> dict[str, bytes]:
    """Read all results, but the journal that lets a killed run go on."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".predict" not in path.parts
    }
