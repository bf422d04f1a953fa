"""Sound files of every kind that is read, small, each the same every time; and ways to damage them.

The samples lie in a folder, one folder a kind; real ones are taken from the shared data where these
are, generated ones are made here.
"""

import io
import json
import random
import shutil
import struct
from pathlib import Path

import numpy as np

MARK = "SENTINEL"
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
EXPLICIT = "1.2.840.10008.1.2.1"
ROOT = "1.2.840.10008.1.2"
CLASSES = ["a", "b"]
VOTES = [(f"p{i % 3}/f{i}.png", f"Dr {who}", "ab"[(i + k) % 2]) for i in range(8) for k, who in
         enumerate("ABC")]  # fmt: skip


def draw(height: int = 48, width: int = 64, seed: int = 0) -> np.ndarray:
    """A picture of slopes and noise, (H, W, 3) uint8."""
    y, x = np.mgrid[:height, :width]
    slopes = np.stack([x * 3 + seed * 9, y * 4, 220 - x - y], axis=-1)
    noise = np.random.default_rng(seed).integers(0, 12, (height, width, 3))
    return np.clip(slopes + noise, 0, 255).astype(np.uint8)


def make_samples(folder: Path, *, real: Path | None = SHARED) -> None:
    """Write every sample below a folder.

    Args:
        folder: made anew.
        real: folder of the shared data; None for generated samples alone.
    """
    for make in (make_images, make_dicoms, make_videos, make_tables, make_exports, make_pages,
                 make_run_files):  # fmt: skip
        make(folder)
    if real is not None and real.is_dir():
        for name in ("endoscopy", "multiframe"):
            for path in sorted((real / "dicom" / name).iterdir()):
                if path.stat().st_size < 2**23:
                    shutil.copyfile(path, _in(folder, f"dicom_{name}") / path.name)
        frames = sorted((real / "hyperkvasir" / "frames").rglob("*.jpg"))[:2]
        for path in frames:
            shutil.copyfile(path, _in(folder, "image") / path.name)


def _in(folder: Path, kind: str) -> Path:
    place = folder / kind
    place.mkdir(parents=True, exist_ok=True)
    return place


def make_images(folder: Path) -> None:
    import cv2

    place, frame = _in(folder, "image"), draw()
    tiff = int(cv2.IMWRITE_TIFF_COMPRESSION)
    for name, pixels, how in [
        ("color.png", frame, []),
        ("gray.png", frame[:, :, 0], []),
        ("deep.png", frame.astype(np.uint16) * 257, []),
        ("clear.png", np.dstack([frame, frame[:, :, :1]]), []),
        ("color.jpg", frame, []),
        ("progressive.jpg", frame, [int(cv2.IMWRITE_JPEG_PROGRESSIVE), 1]),
        ("gray.jpeg", frame[:, :, 0], []),
        ("plain.tif", frame, [tiff, 1]),
        ("lzw.tif", frame, [tiff, 5]),
        ("deflate.tiff", frame, [tiff, 32946]),
        ("deep.tif", frame.astype(np.uint16) * 257, []),
        ("color.bmp", frame, []),
        ("gray.bmp", frame[:, :, 0], []),
    ]:
        cv2.imwrite(str(place / name), pixels, how)


def build_dicom(pixels: object, syntax: str = EXPLICIT, **more: object) -> bytes:
    """Make a DICOM file of (H, W, 3) or (F, H, W, 3) pixels or of a list of codestreams."""
    import pydicom
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = (
        "1.2.840.10008.5.1.4.1.1.77.1.1"
    )
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "2.25.7"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "2.25.8", "2.25.9"
    dataset.PatientName, dataset.PatientID = f"{MARK}^Anna", f"{MARK}-4711"
    dataset.InstitutionName, dataset.PatientBirthDate = f"{MARK} clinic", "19470813"
    dataset.Manufacturer, dataset.ManufacturerModelName = "ACME", "SCOPE-1"
    dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
    dataset.PhotometricInterpretation = "RGB"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.Rows, dataset.Columns = 48, 64
    item = Dataset()
    item.CodeValue, item.CodeMeaning, item.PatientID = "T-59300", "Colon", MARK
    dataset.AnatomicRegionSequence = pydicom.Sequence([item])
    if isinstance(pixels, np.ndarray):
        if pixels.ndim == 4:
            dataset.NumberOfFrames = len(pixels)
        dataset.Rows, dataset.Columns = pixels.shape[-3:-1]
        dataset.PixelData = pixels.tobytes()
    else:
        dataset.NumberOfFrames = len(pixels)
        dataset.PixelData = encapsulate(list(pixels))
    for name, value in more.items():
        setattr(dataset, name, value)
    dataset["PixelData"].VR = "OB"
    if not isinstance(pixels, np.ndarray):
        dataset["PixelData"].is_undefined_length = True
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def compress_dicom(pixels: np.ndarray, syntax: str, plugin: str, **more: object) -> bytes:
    import pydicom

    dataset = pydicom.dcmread(io.BytesIO(build_dicom(pixels, **more)))
    dataset.compress(syntax, encoding_plugin=plugin, generate_instance_uid=False)
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def list_dicoms() -> dict[str, bytes]:
    """One file of every syntax and kind of color that can be written here."""
    import cv2

    frame, many = draw(), np.stack([draw(seed=i) for i in range(3)])
    jpegs = [cv2.imencode(".jpg", one[:, :, ::-1])[1].tobytes() for one in many]
    words = np.arange(256, dtype=np.uint16) * 257
    gray = frame[:, :, :1]
    palette = {f"{color}PaletteColorLookupTableData": words.tobytes() for color in
               ("Red", "Green", "Blue")}  # fmt: skip
    palette |= {f"{color}PaletteColorLookupTableDescriptor": [256, 0, 16] for color in
                ("Red", "Green", "Blue")}  # fmt: skip
    one = {"SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2"}
    return {
        "implicit": build_dicom(frame, ROOT),
        "explicit": build_dicom(many),
        "deflated": build_dicom(frame, f"{ROOT}.1.99"),
        "big": build_dicom(frame, f"{ROOT}.2"),
        "jpeg": build_dicom(jpegs, f"{ROOT}.4.50", PhotometricInterpretation="YBR_FULL_422"),
        "gray": build_dicom(gray, **one),
        "palette": build_dicom(gray, **(one | {"PhotometricInterpretation": "PALETTE COLOR"}),
                               **palette),
        "ybr": build_dicom(frame, PhotometricInterpretation="YBR_FULL"),
        "planes": build_dicom(frame, PlanarConfiguration=1),
        "rle": compress_dicom(many, f"{ROOT}.5", "pydicom"),
        "jpegls": compress_dicom(many, f"{ROOT}.4.80", "pyjpegls"),
        "j2k": compress_dicom(frame, f"{ROOT}.4.90", "pylibjpeg"),
    }  # fmt: skip


def make_dicoms(folder: Path) -> None:
    for name, data in list_dicoms().items():
        (_in(folder, "dicom") / f"{name}.dcm").write_bytes(data)
        (_in(folder, "deidentify") / f"{name}.dcm").write_bytes(data)
    for name, data in list_marked_images().items():
        (_in(folder, "deidentify") / name).write_bytes(data)


def list_marked_images() -> dict[str, bytes]:
    """Images with a marker in EXIF, comments and text."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    image, made = Image.fromarray(draw()), {}
    exif = Image.Exif()
    exif[0x010E] = exif[0x013B] = f"{MARK} Anna"
    text = PngInfo()
    text.add_text("Patient", f"{MARK} Anna")
    text.add_text("Note", f"{MARK} Anna", zip=True)
    for suffix, how in [
        ("jpg", {"exif": exif, "comment": MARK}),
        ("png", {"pnginfo": text, "exif": exif}),
        ("tif", {"tiffinfo": exif}),
    ]:
        buffer = io.BytesIO()
        image.save(buffer, {"jpg": "JPEG", "png": "PNG", "tif": "TIFF"}[suffix], **how)
        made[f"marked.{suffix}"] = buffer.getvalue()
    return made


def build_video(form: str, codec: str, frames: int = 12, **options: str) -> bytes:
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format=form) as container:
        container.metadata["title"] = f"{MARK} Anna"
        pix = "bgr0" if codec == "ffv1" else "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix
        stream.codec_context.gop_size, stream.codec_context.thread_count = 6, 1
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(draw(seed=number), format="rgb24")
            container.mux(stream.encode(frame.reformat(format=pix)))
        container.mux(stream.encode())
    return buffer.getvalue()


def make_videos(folder: Path) -> None:
    try:
        import av
    except ImportError:
        return
    av.logging.set_level(None)
    fast = {"preset": "veryfast"}
    quiet = {"x265-params": "log-level=none"} | {"preset": "ultrafast"}
    for name, form, codec, options in [
        ("h264.mp4", "mp4", "libx264", fast),
        ("fast.mp4", "mp4", "libx264", fast | {"movflags": "faststart"}),
        ("pieces.mp4", "mp4", "libx264", fast | {"movflags": "frag_keyframe+empty_moov"}),
        ("h264.mov", "mov", "libx264", fast),
        ("mjpeg.mov", "mov", "mjpeg", {}),
        ("h264.mkv", "matroska", "libx264", fast),
        ("ffv1.mkv", "matroska", "ffv1", {}),
        ("mpeg4.avi", "avi", "mpeg4", {}),
        ("mjpeg.avi", "avi", "mjpeg", {}),
        ("mpeg2.mpg", "mpeg", "mpeg2video", {}),
        ("h264.ts", "mpegts", "libx264", fast),
        ("hevc.mp4", "mp4", "libx265", quiet),
    ]:
        try:
            data = build_video(form, codec, **options)
        except av.FFmpegError:
            continue  # an encoder that this build lacks
        (_in(folder, "video") / name).write_bytes(data)
        if name in ("h264.mp4", "mjpeg.avi", "h264.mkv", "mpeg4.avi"):
            (_in(folder, "deidentify") / name).write_bytes(data)


def make_tables(folder: Path) -> None:
    place = _in(folder, "votes")
    rows = "".join(f"{frame},{who},{vote}\n" for frame, who, vote in VOTES)
    (place / "long.csv").write_text("frame,annotator,vote\n" + rows)
    names = sorted({frame for frame, _, _ in VOTES})
    of = {(frame, who): vote for frame, who, vote in VOTES}
    people = [f"Dr {one}" for one in "ABC"]
    wide = "".join(f"{n},{','.join(of[n, who] for who in people)},P{n[1]}\n" for n in names)
    (place / "wide.csv").write_text(f"frame,{','.join(people)},patient\n" + wide)
    counts = "".join(f'"{name}";{i};{3 - i % 3}\r\n' for i, name in enumerate(names))
    (place / "counts.csv").write_bytes(b"\xef\xbb\xbfframe;votes_a;votes_b\r\n" + counts.encode())


def make_exports(folder: Path) -> None:
    place = _in(folder, "export")
    number = {"Dr A": 1, "Dr B": 2, "Dr C": 3}
    by: dict[str, list[tuple[str, str]]] = {}
    for frame, who, vote in VOTES:
        by.setdefault(frame, []).append((who, vote))

    def result(vote: str) -> dict:
        value = {"choices": [vote]}
        return {"from_name": "c", "to_name": "image", "type": "choices", "value": value}

    tasks = [
        {"id": i, "data": {"image": f"/data/upload/1/0a1b2c3d-{frame}"}, "annotations": [
            {"completed_by": number[who], "was_cancelled": False, "result": [result(vote)]}
            for who, vote in given]}
        for i, (frame, given) in enumerate(by.items())
    ]  # fmt: skip
    flat = [{"image": frame, "id": i, "class": vote, "annotator": number[who]}
            for i, (frame, who, vote) in enumerate(VOTES)]  # fmt: skip
    coco = {
        "images": [{"id": i, "file_name": frame} for i, frame in enumerate(by)],
        "categories": [{"id": i, "name": name} for i, name in enumerate(CLASSES)],
        "annotations": [{"id": i, "image_id": i, "category_id": i % 2} for i in range(len(by))],
    }
    labels = {"label": {"labels": [{"name": name, "parent": ""} for name in CLASSES]}}
    items = [
        {"id": frame, "image": {"path": frame}, "annotations": [
            {"type": "label", "label_id": CLASSES.index(vote), "attributes": {"who": who}}
            for who, vote in given]}
        for frame, given in by.items()
    ]  # fmt: skip
    page = {"version": "5", "flags": {"a": True, "b": False}, "shapes": [],
            "imagePath": "f1.png", "imageData": None}  # fmt: skip
    for name, value in {
        "label_studio.json": tasks,
        "min.json": flat,
        "coco.json": coco,
        "datumaro.json": {"info": {}, "categories": labels, "items": items},
        "labelme.json": page,
    }.items():
        (place / name).write_text(json.dumps(value, indent=1))
    images = "".join(
        f'<image id="{i}" name="{frame}" width="64" height="48">'
        + "".join(f'<tag label="{vote}" source="manual"><attribute name="who">{who}</attribute>'
                  "</tag>" for who, vote in given)
        + "</image>\n"
        for i, (frame, given) in enumerate(by.items())
    )  # fmt: skip
    head = '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n'
    (place / "cvat.xml").write_text(head + images + "</annotations>\n")
    (place / "report.dcm").write_bytes(build_opinion())


def build_opinion() -> bytes:
    """A structured report in which a person names what a frame shows."""
    from pydicom.dataset import Dataset, FileMetaDataset

    def code(value: str, scheme: str, meaning: str) -> list:
        made = Dataset()
        made.CodeValue, made.CodingSchemeDesignator, made.CodeMeaning = value, scheme, meaning
        return [made]

    def item(kind: str, name: tuple[str, str, str], **more: object) -> Dataset:
        made = Dataset()
        made.RelationshipType, made.ValueType = "CONTAINS", kind
        made.ConceptNameCodeSequence = code(*name)
        for keyword, value in more.items():
            setattr(made, keyword, value)
        return made

    reference = Dataset()
    reference.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.1"
    reference.ReferencedSOPInstanceUID = "2.25.7"
    parts = [
        item("CODE", ("121005", "DCM", "Observer Type"),
             ConceptCodeSequence=code("121006", "DCM", "Person")),
        item("PNAME", ("121008", "DCM", "Person Observer Name"), PersonName=f"{MARK}^Doctor"),
        item("CONTAINER", ("126010", "DCM", "Imaging Measurements"), ContentSequence=[
            item("CONTAINER", ("125007", "DCM", "Measurement Group"), ContentSequence=[
                item("IMAGE", ("121112", "DCM", "Source"), ReferencedSOPSequence=[reference]),
                item("CODE", ("121071", "DCM", "Finding"),
                     ConceptCodeSequence=code("A", "99X", "a"))])]),
    ]  # fmt: skip
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = EXPLICIT
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = (
        "1.2.840.10008.5.1.4.1.1.88.33"
    )
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "2.25.11"
    dataset.PatientName, dataset.Modality, dataset.ValueType = f"{MARK}^Anna", "SR", "CONTAINER"
    dataset.ConceptNameCodeSequence = code("126000", "DCM", "Imaging Measurement Report")
    dataset.ContentSequence = parts
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


CONFIG = """\
name: fuzz
seed: 3
cohort:
  frames: {kind: image_folder, root: frames}
  votes: {kind: long, path: votes.csv}
  classes: [a, b]
  patients: {kind: pattern, pattern: '(p[0-9]+)/'}
  merge: &merge {a: [a, c], b: [b]}
student: {method: {kind: kd, temperature: 4.0}}
"""
ANSWERS = """\
study: {}
guidelines:
  claim: {"1": "Yes, in the title.", "2": not applicable}
"""
RULES = """\
rules:
  - match: {manufacturer: ACME, model: SCOPE-1}
    black: [[0, 0, 20, 48]]
private:
  - {creator: ACME, group: 0x0019, element: 0x10}
"""


def make_pages(folder: Path) -> None:
    (_in(folder, "config") / "config.yaml").write_text(CONFIG)
    (_in(folder, "answers") / "report.yaml").write_text(ANSWERS)
    (_in(folder, "rules") / "rules.yaml").write_text(RULES)


def make_run_files(folder: Path) -> None:
    """Files of a run, as the next step reads them."""
    from polypskd.arrays import write_arrays

    head = "frame_id,path,patient_id,split,consensus,subclass,level,stage,agreement,n_votes,"
    rows = "".join(
        f"f{i}.png,f{i}.png,p{i},{split},a,a,0,0,1.000000,3,3,0\n"
        for i, split in enumerate(["train", "val", "test"] * 4)
    )
    (_in(folder, "examples") / "examples.csv").write_text(f"{head}votes_a,votes_b\n{rows}")
    votes = "".join(f"{frame},{who},{vote}\n" for frame, who, vote in VOTES)
    (_in(folder, "ballots") / "votes.csv").write_text("frame_id,annotator,vote\n" + votes)
    rng = np.random.default_rng(0)
    arrays = {"logits": rng.normal(size=(6, 2, 4)), "recalls": np.ones(4),
              "fingerprint": np.asarray("f" * 64)}  # fmt: skip
    write_arrays(_in(folder, "arrays") / "targets.npz", arrays)


def make_network(folder: Path) -> None:
    """A small network of a run; apart from the others, as it needs torch."""
    import torch

    from polypskd.config import read_config
    from polypskd.labels.scheme import Scheme
    from polypskd.models.checkpoint import describe_network, write_network
    from polypskd.models.networks import build_network

    page = folder.parent / "network.yaml"
    small = "{network: {kind: resnet10, width: 16}, method: {kind: kd}}"
    page.write_text(CONFIG.replace("{method: {kind: kd, temperature: 4.0}}", small))
    config = read_config(page)
    torch.manual_seed(0)
    network = build_network(config.student.network, 2)
    scheme = Scheme(("a", "b"), ("a", "b"), np.array([0, 1]), np.array([0, 0]))
    about = describe_network(config, scheme, "student")
    write_network(_in(folder, "network") / "student.safetensors", network, about)


TOKENS = [
    b"\0", b'"', b"'", b"\n", b"\r", b"\t", b"[" * 3000, b"{" * 3000, b"9" * 5000, b"\xff\xfe",
    b"\xef\xbb\xbf", b"../../etc/passwd", b"=HYPERLINK(1)", b"&x [*x]", b"*x", b"<<: *merge\n",
    b"!!python/object:os.system ", b"!!int 'x'", b"!!timestamp 'x'", b"2024-13-45", b"!!binary '?'",
    b"!!float 'x'", b"!!bool 'x'", b"0x", b"1_", b"1:2:3:4", b"1e999", b".nan", b"-" * 3000,
    b"- " * 3000, b"<" * 2000, b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"&b;", b"\\u0000", b"\\ud800",
    b"null", b"true", b"[]", b"{}", b"-1", b"1e400", b"NaN", b"x" * 100_000, b",", b";", b"#",
    b"\\", b"%", b"/", b":", b"\xc3\x28", b"\xed\xa0\x80", b"\x1b[2J", b"~", b"? ", b"|\n", b">\n",
]  # fmt: skip
EXTREMES = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 60_000, 0x7FFFFFFF, 0x80000000,
            0xFFFFFFFE, 0xFFFFFFFF]  # fmt: skip


def damage(data: bytes, rng: random.Random, *, text: bool = False, others: list[bytes]) -> bytes:
    """Damage a file in one to four ways.

    Args:
        data: the file.
        rng: decides.
        text: whether it is text, which gets words that mean something.
        others: files to splice with.
    """
    made = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        size = max(len(made), 1)
        near = min(size, 1024)
        at = rng.choice((rng.randrange(size), rng.randrange(near), size - 1 - rng.randrange(near)))
        length = rng.choice((1, 2, 4, 16, rng.randrange(1, size + 1)))
        way = rng.randrange(11 if text else 9)
        if way <= 2 and made:
            for _ in range(rng.choice((1, 1, 2, 8))):
                spot = min(at + rng.randrange(16), size - 1) if rng.random() < 0.5 else at
                made[spot] ^= 1 << rng.randrange(8) if rng.random() < 0.5 else rng.randrange(1, 256)
        elif way == 3:
            del made[at:]
        elif way == 4:
            del made[at : at + length]
        elif way == 5:
            made[at:at] = made[at : at + min(length, 65536)] * rng.choice((1, 1, 3))
        elif way == 6:
            made[at : at + length] = bytes([rng.choice((0, 255, 0x41))]) * min(length, size - at)
        elif way == 7:
            form, limit = rng.choice((("<H", 16), (">H", 16), ("<I", 32), (">I", 32), ("B", 8)))
            value = struct.pack(form, rng.choice(EXTREMES) & ((1 << limit) - 1))
            made[at : at + len(value)] = value
        elif way == 8:
            other = rng.choice(others)
            made[at:] = other[min(at, len(other)) :]
        else:
            made[at:at] = rng.choice(TOKENS)
    return bytes(made)
