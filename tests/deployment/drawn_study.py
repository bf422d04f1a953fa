"""Studies drawn for tests of DICOM results, and the judge that is not ours."""

import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from planting import ROOT, draw_dataset, write_dicom
from small_bundle import build_evidence, write_bundle

from polypskd.deployment.bundle import open_bundle
from polypskd.deployment.dicom_objects.result_objects import Exam, Finding
from polypskd.deployment.dicom_objects.source_images import read_source_image
from polypskd.deployment.results import Answer

MOMENT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
MULTI = "1.2.840.10008.5.1.4.1.1.7.4"  # Multi-frame True Color Secondary Capture
REPORT = "Comprehensive 3D SR Storage"
PATIENT = ("ZQNAME", "Zqfirst", "ZQ4711", "19470813", "ZQ^Zqref", "134759")
needs_judge = pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) not found"
)


def list_errors(path):
    """List what dciodvfy, a judge by another author, calls an error."""
    done = subprocess.run(
        ["dciodvfy", str(path)], capture_output=True, text=True, errors="replace", check=False
    )
    return [line for line in done.stderr.splitlines() if line.startswith("Error")]


def make_bundle(folder, **limits):
    return write_bundle(folder, more={"evidence.onnx": build_evidence()}, **limits)


def draw_blob(height=60, width=90, box=(20, 10, 40, 30), color=(230, 20, 20)):
    """Draw a bright blob; box is left, top, right, bottom."""
    frame = np.full((height, width, 3), 8, np.uint8)
    frame[box[1] : box[3], box[0] : box[2]] = color
    return frame


def draw_file(path, number=1, frames=1, study=1, frame=None, **values):
    """Draw a file of a study; of several frames, each is a little brighter."""
    pixels = draw_blob() if frame is None else frame
    more = {
        "StudyInstanceUID": f"{ROOT}.1.{study}",
        "SeriesInstanceUID": f"{ROOT}.1.{study}.1",
        "SOPInstanceUID": f"{ROOT}.1.{study}.1.{number}",
        "InstanceNumber": str(number),
    }
    if frames > 1:
        stack = np.stack([np.clip(pixels.astype(int) + turn, 0, 255) for turn in range(frames)])
        more |= {"SOPClassUID": MULTI, "NumberOfFrames": str(frames)}
        more |= {"PixelData": stack.astype(np.uint8).tobytes()}
    dataset = draw_dataset(pixels, **(more | values))
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID") or f"{ROOT}.9"
    return write_dicom(path, dataset)


def answer(name, frame=None, predicted="adenoma", abstained="", sop_uid=""):
    second = 0.75 if predicted == "adenoma" else 0.25
    return Answer(
        source=name,
        address=name,
        frame=frame,
        sop_uid=sop_uid,
        input_sha256="ab" * 32,
        predicted="" if abstained else predicted,
        class_probabilities=(1 - second, second),
        subclass_probabilities=(0.125, 0.875 - second, 0.1, second - 0.1),
        confidence=max(second, 1 - second),
        abstained=abstained,
    )


def make_exam(tmp_path, frames=(None,), unread=0, abstained=(), limits=None, **values):
    """Make an exam of one file."""
    bundle = open_bundle(make_bundle(tmp_path / "bundle", **(limits or {})))
    count = len([one for one in frames if one is not None])
    path = draw_file(tmp_path / "a.dcm", frames=max(count, 1), **values)
    image = read_source_image(path)
    reasons = [*abstained, *([""] * len(frames))]
    findings = [
        Finding(answer("a.dcm", frame, abstained=reason), image)
        for frame, reason in zip(frames, reasons, strict=False)
    ]
    return Exam(bundle, tuple(findings), MOMENT, unread)


def read_json(out):
    return json.loads((Path(out) / "predictions.json").read_text())["frames"]


def read_reports(out):
    for path in sorted((out / "dicom").rglob("*.dcm")):
        if pydicom.dcmread(path, stop_before_pixels=True).SOPClassUID.name == REPORT:
            yield hd.sr.srread(path)


def said_in(report):
    """Give (instance, frame) → class, reasons and shares, of a report."""
    said = {}
    for group in report.content.get_image_measurement_groups():
        (source,) = group.source_images
        frames = source.referenced_frame_numbers or [None]
        why = [
            item.value.value
            for item in group.get_qualitative_evaluations()
            if item.name.value == "skd:withheld"
        ]
        finding = group.finding_type.value if group.finding_type else None
        numbers = [item.value for item in group.get_measurements()]
        said[str(source.referenced_sop_instance_uid), frames[0]] = (finding, bool(why), numbers)
    return said


def results_of(out):
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted((out / "dicom").rglob("*"))
        if path.is_file()
    }
