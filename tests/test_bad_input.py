"""Every kind of hostile or damaged file, one by one: each ends in a line that says what it is."""

import gzip
import io
import json
import os
import pickle
import resource
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hospital_files import draw_frame, write_dicom, write_image, write_key, write_table

from polypskd.arrays import read_arrays, write_arrays
from polypskd.cohort.dicom.syntaxes import CODECS, NATIVE
from polypskd.cohort.exports.reading import read_export
from polypskd.cohort.frames import check_frames
from polypskd.cohort.load import load_cohort
from polypskd.cohort.recognition import recognize_votes
from polypskd.config import CohortConfig, read_config
from polypskd.errors import ArtifactError, CohortError, ConfigError, Fault, PolypskdError

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
CLASSES = ["a", "b"]
SIDE = 60_000
TOO_LARGE = "too large '60000x60000'"


def tell(path: Path) -> str:
    """Give the one line that a frame ends in; fail if it is read, or if there are more lines."""
    faults = check_frames(path.parent, [path.name], min_side=16, max_megapixels=64)
    (line,) = map(str, faults)
    assert line.isprintable()
    assert len(line) < 300
    return line


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def encode(suffix: str) -> bytes:
    return cv2.imencode(suffix, draw_frame(1))[1].tobytes()


def call(*words: object, data: int = 2 << 30, seconds: int = 60) -> subprocess.CompletedProcess:
    """Run a verb in a process that may allocate two gigabytes."""
    return subprocess.run(
        [sys.executable, "-m", "polypskd", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (data, data)),
    )


# Headers of 60,000 x 60,000 pixels


def swell_png() -> bytes:
    data = bytearray(encode(".png"))
    data[16:24] = struct.pack(">II", SIDE, SIDE)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    return bytes(data)


def swell_jpeg() -> bytes:
    data = bytearray(encode(".jpg"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", SIDE, SIDE)
    return bytes(data)


def swell_tiff(*, twice: bool = False) -> bytes:
    """Make a TIFF of 60,000 pixels a side; with `twice`, a smaller size is told after it."""
    entries = [(256, 4, SIDE), (257, 4, SIDE), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8),
               (277, 3, 1), (278, 4, SIDE), (279, 4, 10)]  # fmt: skip
    entries += [(256, 4, 48), (257, 4, 48)] if twice else []
    rows = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + rows + bytes(64)


def swell_bmp() -> bytes:
    data = bytearray(encode(".bmp"))
    data[18:26] = struct.pack("<ii", SIDE, SIDE)
    return bytes(data)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("a.png", swell_png),
        ("a.jpg", swell_jpeg),
        ("a.tif", swell_tiff),
        ("b.tif", lambda: swell_tiff(twice=True)),
        ("a.bmp", swell_bmp),
    ],
)
def test_an_image_of_60000_pixels_a_side_is_refused_by_its_header(tmp_path, name, make):
    assert TOO_LARGE in tell(write(tmp_path / name, make()))


@pytest.mark.parametrize("syntax", [*NATIVE, *CODECS])
def test_a_dicom_file_of_60000_pixels_a_side_is_refused_in_every_syntax(tmp_path, syntax):
    import pydicom
    from pydicom.encaps import encapsulate

    path = tmp_path / "a.dcm"
    write_dicom(path, [1])
    dataset = pydicom.dcmread(path)
    dataset.Rows = dataset.Columns = SIDE
    if syntax in CODECS:
        dataset.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax
    little, implicit = syntax != "1.2.840.10008.1.2.2", syntax == "1.2.840.10008.1.2"
    made = pydicom.Dataset({tag: dataset[tag] for tag in dataset.keys()})  # noqa: SIM118
    made.file_meta = dataset.file_meta
    pydicom.dcmwrite(path, made, implicit_vr=implicit, little_endian=little,
                     enforce_file_format=True)  # fmt: skip
    assert TOO_LARGE in tell(path)


NO_SIZE = "its header tells no size, or one that cannot be"


@pytest.mark.parametrize(
    ("form", "told"),
    [("mp4", NO_SIZE), ("mov", NO_SIZE), ("avi", NO_SIZE), ("matroska", "damaged: the frame")],
)
def test_a_video_of_60000_pixels_a_side_is_refused(tmp_path, form, told):
    pytest.importorskip("av", reason="the extra polypskd[video] is not installed")
    from video_clips import make_clip

    data = make_clip(form, "mjpeg", 3, pix="yuvj420p", size=(64, 48))
    huge = struct.pack(">HH", SIDE, SIDE)
    for here, there in [
        (struct.pack(">HH", 64, 48), huge),  # of the sample entry
        (struct.pack(">HH", 48, 64), huge),  # of each JPEG
        (struct.pack("<II", 64, 48), struct.pack("<II", SIDE, SIDE)),  # of avi
    ]:
        data = data.replace(here, there)
    suffix = "mkv" if form == "matroska" else form
    assert told in tell(write(tmp_path / f"a.{suffix}", data).with_name(f"a.{suffix}#0"))


# Archives by another name, bombs within


def pack(kind: str) -> bytes:
    buffer = io.BytesIO()
    inner = encode(".png")
    if kind == "gzip":
        return gzip.compress(inner)
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("a.png", inner)
    else:
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            about = tarfile.TarInfo("a.png")
            about.size = len(inner)
            archive.addfile(about, io.BytesIO(inner))
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["zip", "gzip", "tar"])
def test_an_archive_named_as_a_frame_or_a_table_is_no_frame_and_no_table(tmp_path, kind):
    data = pack(kind)
    assert "not a readable image" in tell(write(tmp_path / "a.png", data))
    assert "not a readable DICOM file" in tell(write(tmp_path / "a.dcm", data))
    with pytest.raises(CohortError) as error:
        read_votes_table(write(tmp_path / "a.csv", data))
    (line,) = error.value.lines
    assert any(words in line for words in ("Excel workbook", "not UTF-8", "not text, byte '0x00'"))


def add_chunk(data: bytes, kind: bytes, body: bytes) -> bytes:
    chunk = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return data[:33] + chunk + data[33:]


def test_a_bomb_among_the_notes_of_a_png_does_not_go_off(tmp_path):
    bomb = zlib.compress(bytes(1 << 29), 1)
    heads = {b"zTXt": b"Comment\0\0", b"iTXt": b"C\0\1\0\0\0", b"iCCP": b"p\0\0"}
    for kind, head in heads.items():
        data = add_chunk(encode(".png"), kind, head + bomb)
        write(tmp_path / "frames" / "a" / f"{kind.decode()}.png", data)
        write_image(tmp_path / "frames" / "b" / f"{kind.decode()}.png", 2)
    told = call("check", write_folders(tmp_path), data=1 << 30)
    assert told.returncode == 0, told.stderr
    assert told.stderr == ""


def write_folders(folder: Path, **frames: object) -> Path:
    """Write a config of frames whose folders are their classes."""
    page = {
        "name": "x",
        "cohort": {
            "frames": {"kind": "image_folder", "root": str(folder / "frames")} | frames,
            "votes": {"kind": "folders"},
            "classes": CLASSES,
        },
        "student": {"method": {"kind": "kd"}},
    }
    return write(folder / "c.yaml", json.dumps(page).encode())


def test_a_jpeg_of_ten_thousand_scans_is_refused(tmp_path):
    frame = np.full((64, 64, 3), 120, np.uint8)
    data = cv2.imencode(".jpg", frame, [int(cv2.IMWRITE_JPEG_PROGRESSIVE), 1])[1].tobytes()
    scan = data[data.rindex(b"\xff\xda") : -2]
    whole = write(tmp_path / "whole.jpg", data)
    assert check_frames(tmp_path, [whole.name], min_side=16, max_megapixels=64) == []
    made = data[:-2] + scan * 10_000 + data[-2:]
    assert "too many JPEG scans: '10010'" in tell(write(tmp_path / "a.jpg", made))


def test_a_deep_image_takes_no_more_room_than_its_pixels(tmp_path):
    """Sixteen bits become eight without a copy in floats, and to the nearest."""
    deep = np.arange(65_536, dtype=np.uint16).reshape(256, 256)
    cv2.imwrite(str(tmp_path / "a.png"), deep)
    from polypskd.cohort.frames import read_frame

    expected = np.rint(deep / 257.0).astype(np.uint8)
    assert np.array_equal(read_frame(tmp_path / "a.png")[:, :, 0], expected)


@pytest.mark.parametrize("lines", range(1, 13))
def test_a_strip_of_picture_at_an_edge_of_a_frame_is_found_or_not_and_ends(lines):
    """As of a frame whose bytes break off after some rows."""
    from polypskd.cohort.field import find_field

    for height, width in [(48, 64), (29, 39), (70, 51), (200, 300)]:
        strip = np.zeros((height, width, 3), np.uint8)
        strip[:lines] = draw_frame(1, 300)[:lines, :width]
        for frame in (strip, strip[::-1], strip[:, ::-1], strip.transpose(1, 0, 2)):
            field = find_field(np.ascontiguousarray(frame))
            assert 0 <= field.left < field.right <= frame.shape[1]
            assert 0 <= field.top < field.bottom <= frame.shape[0]


def read_label_studio(path: Path) -> None:
    section = {
        "frames": {"kind": "none"},
        "votes": {"kind": "label_studio", "path": path},
        "classes": CLASSES,
    }
    faults = read_export(CohortConfig.model_validate(section).votes, None).faults
    raise CohortError(faults)


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("a.json", b"[" * 200_000, "lists lie too deep in each other"),
        ("a.json", b'[{"a":' * 50_000, "lists lie too deep in each other"),
        ("a.json", b'[{"id": ' + b"9" * 100_000 + b"}]", "a number too long"),
        ("a.json", b"PK\x03\x04", "is a ZIP archive"),
        ("a.json", b"\x1f\x8b\x08", "is packed with gzip"),
    ],
)
def test_nested_json_is_told(tmp_path, name, data, told):
    with pytest.raises(CohortError, match=told):
        read_label_studio(write(tmp_path / name, data))


BILLION = (
    '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "lol">'
    + "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9))
    + ']><annotations><image name="&j;"/></annotations>'
)


@pytest.mark.parametrize(
    "data",
    [
        BILLION,
        "<annotations>" + "<image>" * 100_000,
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotations>&x;</annotations>',
    ],
    ids=["billion laughs", "nesting", "a file of another"],
)
def test_xml_that_grows_or_reads_other_files_is_told(tmp_path, data):
    votes = {"kind": "cvat", "path": write(tmp_path / "a.xml", data.encode())}
    section = {"frames": {"kind": "none"}, "votes": votes, "classes": CLASSES}
    with pytest.raises(CohortError) as error:
        raise CohortError(read_export(CohortConfig.model_validate(section).votes, None).faults)
    assert all("root:" not in line and len(line) < 400 for line in error.value.lines)


# Links, pipes, devices, and paths that lead out of the folder


def make_outside(folder: Path) -> tuple[Path, Path]:
    """Make a root with one frame, and a frame outside of it."""
    write_image(folder / "outside" / "secret.png", 1)
    write_image(folder / "root" / "in.png", 2)
    return folder / "root", folder / "outside"


def test_a_link_that_leads_outside_is_told_wherever_it_stands(tmp_path):
    root, outside = make_outside(tmp_path)
    (root / "out.png").symlink_to(outside / "secret.png")
    (root / "middle").symlink_to(outside)
    (root / "loop.png").symlink_to(root / "loop.png")
    (root / "gone.png").symlink_to(root / "never.png")
    names = ["out.png", "middle/secret.png", "../outside/secret.png", "loop.png", "gone.png"]
    faults = check_frames(root, names, min_side=16, max_megapixels=64)
    told = [str(fault) for fault in faults]
    assert len(told) == 5
    assert all("leads outside the frames' folder" in line for line in told[:3])
    assert "cannot be read (Too many levels of symbolic links)" in told[3]
    assert "file not found" in told[4]


def test_a_link_within_the_folder_is_followed(tmp_path):
    root, _ = make_outside(tmp_path)
    (root / "same.png").symlink_to(root / "in.png")
    assert check_frames(root, ["same.png"], min_side=16, max_megapixels=64) == []


@pytest.mark.parametrize("name", ["pipe.png", "pipe.dcm", "pipe", "pipe.mp4", "zero.png", "z.dcm"])
def test_pipes_and_devices_in_a_folder_are_no_frames(tmp_path, name):
    if name.startswith("pipe"):
        os.mkfifo(tmp_path / name)
    else:
        (tmp_path / name).symlink_to("/dev/zero")
    line = tell(tmp_path / (f"{name}#0" if name.endswith("mp4") else name))
    words = ("is no file", "not a file", "leads outside", "unknown suffix", "not a readable DICOM")
    assert any(word in line for word in words), line


def test_every_verb_ends_in_a_folder_of_pipes_loops_and_devices(tmp_path):
    root = tmp_path / "frames"
    for number, place in enumerate(["a/1.png", "a/2.png", "b/3.png", "b/4.png"]):
        write_image(root / place, number)
    for name in ("p.png", "p.dcm", "p.mp4", "bare"):
        os.mkfifo(root / "a" / name)
    (root / "a" / "zero.png").symlink_to("/dev/zero")
    (root / "a" / "zero.dcm").symlink_to("/dev/zero")
    (root / "a" / "loop.png").symlink_to("loop.png")
    (root / "a" / "up").symlink_to(root)
    (root / "a" / "gone.png").symlink_to("never")
    key = write_key(tmp_path)
    before = list_tree(tmp_path)
    for words, code in [
        (("check", write_folders(tmp_path)), 1),
        (("run", tmp_path / "c.yaml", "--out", tmp_path / "out-run"), 1),
        (("import", root, "--out", tmp_path / "out-import", "--key-file", key), 0),
        (("deidentify", root, "--out", tmp_path / "out-clean", "--key-file", key,
          "--pixels-are-clean"), 1),
    ]:  # fmt: skip
        told = call(*words)
        assert told.returncode == code, (words, told.stdout, told.stderr)
        assert "Traceback" not in told.stderr
        assert "internal error" not in told.stderr
    after = {name for name in list_tree(tmp_path) if not name.startswith("out-")}
    assert after - before == {"c.yaml"}


def list_tree(folder: Path) -> set[str]:
    return {
        (Path(place) / name).relative_to(folder).as_posix()
        for place, _, names in os.walk(folder)
        for name in names
    }


PATHS = [
    "../outside/secret.png",
    "x/../../outside/secret.png",
    "..\\outside\\secret.png",
    "{outside}/secret.png",
    "C:\\outside\\secret.png",
    "\\\\host\\share\\secret.png",
    "file://{outside}/secret.png",
    "./../outside/secret.png",
    "%2e%2e/outside/secret.png",
    "~/secret.png",
]


@pytest.mark.parametrize("given", PATHS)
@pytest.mark.parametrize("tool", ["table", "label_studio", "labelme", "cvat", "coco", "datumaro"])
def test_a_path_that_leads_outside_names_no_frame(tmp_path, given, tool):
    root, outside = make_outside(tmp_path)
    path = given.format(outside=outside)
    votes = write_paths(tmp_path, tool, path)
    section = {
        "frames": {"kind": "image_folder", "root": root},
        "votes": votes,
        "classes": CLASSES,
    }
    with pytest.raises(CohortError) as error:
        load_cohort(CohortConfig.model_validate(section))
    words = ("leads outside the frames' folder", "no image for frame")
    assert any(word in error.value.lines[0] for word in words), error.value.lines
    assert len(error.value.faults) == 1


def write_paths(folder: Path, tool: str, path: str) -> dict:
    from export_writers import write_export

    if tool == "table":
        rows = ["frame,annotator,vote", '"' + path + '",Dr A,a', "in.png,Dr A,b"]
        return {"kind": "long", "path": write(folder / "v.csv", "\n".join(rows).encode())}
    (folder / "export").mkdir()
    return write_export(tool, folder / "export", [(path, "Dr A", "a"), ("in.png", "Dr A", "b")])


def test_a_directory_of_a_file_set_leads_nowhere(tmp_path):
    """A DICOMDIR may refer to any file: none is opened for it."""
    import pydicom

    root, _ = make_outside(tmp_path)
    write_dicom(root / "in.dcm", [1])
    write_dicom(tmp_path / "outside" / "secret.dcm", [2])
    entry = pydicom.Dataset()
    entry.DirectoryRecordType = "IMAGE"
    entry.ReferencedFileID = ["XX", "OUTSIDE", "SECRET"]
    directory = pydicom.Dataset()
    directory.DirectoryRecordSequence = [entry]
    directory.file_meta = pydicom.dataset.FileMetaDataset()
    directory.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    directory.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    directory.file_meta.MediaStorageSOPInstanceUID = "2.25.3"
    directory.save_as(root / "DICOMDIR", enforce_file_format=True)
    data = (root / "DICOMDIR").read_bytes()
    (root / "DICOMDIR").write_bytes(data.replace(b"XX\\OUTSIDE", b"..\\outside"))
    from polypskd.cohort.listing import list_cohort
    from polypskd.config import DicomFolder

    listing = list_cohort(DicomFolder(root=root, key_file=write_key(tmp_path)))
    assert listing.frames == ["in.dcm"]


def test_a_name_that_is_no_text_is_told(tmp_path):
    write_image(tmp_path / "a.png", 1)
    (tmp_path / "a.png").rename(tmp_path / os.fsdecode(b"\xff.png"))
    from polypskd.cohort.frames import list_frames

    with pytest.raises(CohortError) as error:
        list_frames(tmp_path)
    assert error.value.lines[0].startswith("\\udcff.png: the name is not UTF-8; rename the file")


def test_a_name_cannot_move_the_cursor_of_a_terminal(tmp_path):
    name = "a\x1b[2J\u202eb\n.png"
    write(tmp_path / name, b"")
    assert tell(tmp_path / name).startswith("a\\x1b[2J\\u202eb .png: the file is empty")


# Tables


def read_votes_table(path: Path) -> None:
    section = {
        "frames": {"kind": "none"},
        "votes": {"kind": "long", "path": path},
        "classes": CLASSES,
    }
    lines: tuple[str, ...] = ()
    try:
        recognize_votes(None, path)
    except PolypskdError as error:
        lines = error.lines
    assert all(line.isprintable() and len(line) < 2000 for line in lines)
    load_cohort(CohortConfig.model_validate(section))


HEAD = b"frame,annotator,vote\n"
GOOD = HEAD + b"f1,A,a\nf1,B,b\nf2,A,a\n"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "the file is empty"),
        (b" \n\n", "the file is empty"),
        (HEAD, "no rows below the header"),
        (GOOD + b"f3,\0,a\n", "row 5: not text, byte '0x00'"),
        (GOOD.decode().encode("utf-16"), "not UTF-8, byte '0xff'"),
        (GOOD.decode().encode("utf-16-le"), "not text, byte '0x00'"),
        (GOOD.decode().encode("utf-32"), "not UTF-8, byte '0xff'"),
        (GOOD + b"f3,A,\xe9\n", "row 5: not UTF-8, byte '0xe9'"),
        (GOOD + "ä\n".encode() * 9_000_000 + b"\xff", "row 9000005: not UTF-8, byte '0xff'"),
        (GOOD + b'f3,"A,a\n', "not a CSV table"),
        (b'frame,"annotator,vote\nf1,A,a\n', ""),
        (GOOD + b'"', ""),
        (GOOD + b"f3,A,a,more\n", "row 5: 4 cells, but the header has 3"),
        (GOOD + b"f3,A,=HYPERLINK(1)\n", "row 5: unknown class '=HYPERLINK(1)'"),
        (GOOD + b"f3,A,\"@SUM(1+1)*cmd|' /C calc'!A0\"\n", "unknown class"),
        (GOOD + b"f3,A," + b"x" * 10_000_000 + b"\n", "row 5: a cell of 10,000,000 bytes"),
        (b",".join(b"c%d" % i for i in range(10_000)) + b"\n", "row 1: 10,000 columns"),
        (b"frame," * 3 + b"vote\na,b,c,d\n", "two columns have the name 'frame'"),
        (b"x" * (40 << 20), "row 1: a line of more than 16,777,216 bytes"),
        (GOOD + b"f3,A," + b"x," * (20 << 20), "row 5: a line of more than 16,777,216 bytes"),
        (GOOD + b'f3,A,"' + b"x\n" * (4 << 20), ""),
        (b"PK\x03\x04" + bytes(100), "is an Excel workbook"),
        (b"\xd0\xcf\x11\xe0" + bytes(100), "not UTF-8, byte '0xd0'"),
        (b"\x1f\x8b\x08", "not UTF-8, byte '0x8b'"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[:12].hex(),
)
def test_a_table_that_is_none_ends_in_one_short_line(tmp_path, data, told):
    with pytest.raises(CohortError) as error:
        read_votes_table(write(tmp_path / "v.csv", data))
    assert told in error.value.lines[0]
    assert all(line.isprintable() and len(line) < 400 for line in error.value.lines)


def test_a_line_of_a_gigabyte_takes_neither_memory_nor_time(tmp_path):
    path = tmp_path / "v.csv"
    with path.open("wb") as file:  # a hole: it takes no room on the disk
        file.write(b"frame,annotator,vote\n" + b"f1,A,a" * 1000)
        file.truncate(1_000_000_000)
    page = {
        "name": "x",
        "cohort": {
            "frames": {"kind": "none"},
            "votes": {"kind": "long", "path": str(path)},
            "classes": CLASSES,
        },
        "student": {"method": {"kind": "kd"}},
    }
    told = call("check", write(tmp_path / "c.yaml", json.dumps(page).encode()))
    assert told.returncode == 1, told.stderr
    assert told.stderr.startswith("polypskd: v.csv row 2: a line of more than 16,777,216 bytes")
    assert len(told.stderr.splitlines()) == 1
    with path.open("ab") as file:
        file.truncate(2_000_000_000)
    with pytest.raises(CohortError, match="too large: '2,000,000,000 bytes'"):
        read_votes_table(path)


def test_a_column_of_long_cells_is_told_before_every_frame_pays_for_it(tmp_path):
    rows = [f"f{i},a,b," for i in range(5000)]
    rows[7] += "x" * 64_000
    votes = write_table(tmp_path / "v.csv", "frame,Dr A,Dr B,story", rows)
    section = {
        "frames": {"kind": "none"},
        "votes": {"kind": "wide", "annotators": ["Dr A", "Dr B"], "path": votes},
        "classes": CLASSES,
    }
    with pytest.raises(CohortError, match="column 'story' has a cell of 64,000 characters"):
        load_cohort(CohortConfig.model_validate(section))


def test_a_message_is_short_however_long_the_value(tmp_path):
    fault = Fault("f" * 9000, "unknown class", "x" * 9000, "y" * 9000)
    assert len(str(fault)) <= 1600
    assert "'" + "x" * 199 + "…'" in str(fault)


# YAML


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
)
MERGES = "a: &a {x: 1}\n" + "".join(
    f"b{i}: &b{i} {{<<: [{', '.join(['*' + (f'b{i - 1}' if i else 'a')] * 9)}]}}\n"
    for i in range(9)
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (LAUGHS, "more than 100,000 keys and values, aliases counted"),
        (MERGES, "more than 100,000 keys and values, aliases counted"),
        ("a: &a [*a]", "an alias holds itself"),
        ("[" * 5000, "nested too deeply"),
        ("a:\n" + "".join(" " * i + "- \n" for i in range(900)), "nested too deeply"),
        ("seed: " + "9" * 10_000, "a value is not what it seems"),
        ("seed: !!int x", "a value is not what it seems"),
        ("seed: !!bool x", "a value is not what it seems"),
        ("name: 2024-13-45", "a value is not what it seems"),
        ("a: !!python/object/apply:os.system [id]", "could not determine a constructor"),
        ("a: !!binary '?'", ""),
        ("seed: 1\nseed: 2", "key 'seed' stands twice"),
        ("? [1, 2]\n: 3", ""),
        ("a: \0", "not valid YAML"),
        ("x" * 2_000_000, "more than 1,048,576 bytes"),
        ("", "the file must be a YAML mapping"),
        ("name: x\nseed: 9e99", "seed"),
        ("\ufeff" * 2, ""),
    ],
    ids=lambda value: value[:24],
)
def test_a_config_that_grows_or_runs_code_is_told(tmp_path, text, told):
    with pytest.raises(ConfigError) as error:
        read_config(write(tmp_path / "c.yaml", text.encode()))
    assert told in str(error.value)
    assert len(str(error.value)) < 1500


@pytest.mark.parametrize("value", ["2024-13-45", "[" * 5000, "!!int x", "9" * 9000, LAUGHS])
def test_an_override_that_is_no_yaml_is_told(tmp_path, value):
    page = write_folders(tmp_path)
    with pytest.raises(ConfigError, match="--set"):
        read_config(page, (f"seed={value}",))


# Files of a run


def test_an_archive_that_swells_or_holds_code_is_damaged(tmp_path):
    path = tmp_path / "targets.npz"
    write_arrays(path, {"logits": np.zeros(3)})
    assert read_arrays(path, ("logits",), verb="teach")["logits"].tolist() == [0, 0, 0]

    def refused() -> bool:
        with pytest.raises(ArtifactError, match=r"targets\.npz: damaged") as error:
            read_arrays(path, ("logits",), verb="teach")
        return len(error.value.lines) == 1

    np.savez_compressed(path, logits=np.zeros(40_000_000))
    assert refused()
    np.savez(path, logits=np.array([{"a": Trap()}], dtype=object))
    assert refused()
    path.write_bytes(pickle.dumps(Trap()))
    assert refused()
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": "<f8", "fortran_order": False, "shape": (10**13,)}
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("logits.npy", buffer.getvalue())
    assert refused()
    path.write_bytes(b"\x93NUMPY\x01\0\x10\0{'descr': '<f8'}")
    assert refused()


class Trap:
    """Fails the test where it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("was unpickled",))


# Broken DICOM files of other people


BROKEN = {
    "GH1376.dcm": "compressed pixels under a transfer syntax without compression; ask for the file "
    "anew: its header is wrong",
    "JPEG2000-embedded-sequence-delimiter.dcm": "a frame has another size than its header says "
    "'3722445056x1024'; the header says 256x1024",
    "MR_truncated.dcm": "cut short: a part of the pixels is missing; copy the file anew",
    "badVR.dcm": "bits allocated '32'; 8 or 16 bits are read",
    "meta_missing_tsyntax.dcm": "photometric interpretation of a gray image 'missing'; one of: "
    "MONOCHROME1, MONOCHROME2, PALETTE COLOR",
    "no_meta.dcm": "not a readable DICOM file; check that it is a DICOM file, and whole",
    "rtplan_truncated.dcm": "has no pixels; give image files, and whole ones",
}


@pytest.mark.realdata
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_ends_in_its_line(name):
    folder = SHARED / "dicom" / "broken"
    assert {path.name for path in folder.iterdir()} == set(BROKEN)
    faults = check_frames(folder, [name], min_side=16, max_megapixels=64)
    assert [str(fault) for fault in faults] == [f"{name}: {BROKEN[name]}"]


@pytest.mark.parametrize(
    ("about", "shown"),
    [
        ("[]", "a list"),
        ("{}", "nothing"),
        ("9", "a number"),
        ("[" * 5000, "nesting"),
        ('{"network": {"kind": "resnet10", "width": 16}, "subclasses": 5}', "no names"),
        (
            '{"network": {"kind": "resnet10", "width": 16}, "subclasses": ["a"], "members": 1e9}',
            "no whole number",
        ),
        (
            '{"network": {"kind": "resnet10", "width": 16}, "subclasses": ["a"], '
            '"members": 1000000000}',
            "a billion members",
        ),
        (
            '{"network": {"kind": "resnet10", "width": 16}, "subclasses": ["a"], "members": 0}',
            "no member",
        ),
    ],
    ids=lambda value: value[:30],
)
def test_a_network_that_lies_about_itself_is_damaged(tmp_path, about, shown):
    import torch
    from safetensors.torch import save_file

    from polypskd.models.checkpoint import read_network

    path = tmp_path / "student.safetensors"
    save_file({"a": torch.zeros(2)}, path, metadata={"polypskd": about})
    with pytest.raises(ArtifactError, match=r"student\.safetensors: damaged"):
        read_network(path, "distill")
    assert shown


def test_a_network_that_does_not_name_its_classes_is_damaged(tmp_path):
    import torch
    from safetensors.torch import save_file

    from polypskd.config.networks import ResNet
    from polypskd.models.checkpoint import read_network
    from polypskd.models.networks import build_network

    torch.manual_seed(0)
    network = build_network(ResNet(kind="resnet10", width=16), 2)
    about = {"network": {"kind": "resnet10", "width": 16}, "subclasses": ["a", "b"]}
    whole = {"classes": ["a", "b"], "class_of": [0, 1], "size": 32}
    path = tmp_path / "student.safetensors"
    save_file(network.state_dict(), path, metadata={"polypskd": json.dumps(about | whole)})
    assert read_network(path, "distill").classes == ("a", "b")
    for name in whole:
        lacking = {key: value for key, value in whole.items() if key != name}
        save_file(network.state_dict(), path, metadata={"polypskd": json.dumps(about | lacking)})
        with pytest.raises(ArtifactError, match="damaged"):
            read_network(path, "distill")


def test_a_network_whose_head_lies_about_its_length_is_damaged(tmp_path):
    from polypskd.models.checkpoint import read_network

    for head in (b"\xff" * 8, struct.pack("<Q", 2**40), struct.pack("<Q", 4) + b"{}{}", b""):
        with pytest.raises(ArtifactError, match="damaged"):
            read_network(write(tmp_path / "student.safetensors", head), "distill")


def test_a_table_of_a_run_with_one_endless_cell_is_told_at_once(tmp_path):
    from polypskd.cohort.ballot_table import read_votes
    from polypskd.labels.examples import read_examples

    head = "frame_id,path,patient_id,split,consensus,subclass,level,stage,agreement,n_votes,votes_a"
    rows = [f"f{i},f{i},p,train,a,a,0,0,1.0,1,1" for i in range(2000)]
    good = write_table(tmp_path / "examples.csv", head, rows)
    assert len(read_examples(good)) == 2000
    rows[5] = "x" * 1_000_000 + rows[5]
    with pytest.raises(ArtifactError, match="not an examples table"):
        read_examples(write_table(tmp_path / "examples.csv", head, rows))
    votes = ["f1,A," + "x" * 1_000_000, *["f1,A,a"] * 2000]
    with pytest.raises(ArtifactError, match="damaged"):
        read_votes(write_table(tmp_path / "votes.csv", "frame_id,annotator,vote", votes))
