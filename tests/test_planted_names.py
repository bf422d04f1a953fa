"""A patient's name, planted wherever a hospital writes it, comes out nowhere.

What a cohort and a run carry on purpose, and what is therefore not planted here: the names of
files (they are the frames' ids), the columns that a table with one row a frame has beside its
votes, and the values of columns that the config names (classes, annotators, patients). The verb
`deidentify` names the files that it refused where it was asked to, on the terminal, and nowhere
else: their new names tell nothing.
"""

import io
import json
import os
import shutil
from pathlib import Path

import fuzz_samples
import numpy as np
import pytest
import warm_verb
import yaml
from export_writers import annotation, choice, task
from hospital_files import draw_frame, write_key

MARKERS = (b"SENTINEL", b"sentinel", b"Sentinel", b"X4711", b"19470813", b"1947-08-13")
NAME = "SENTINEL^ANNA"


def write_marked_jpeg(path: Path, number: int) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x010E] = exif[0x013B] = exif[0x010F] = "SENTINEL Anna X4711"
    exif[0x0132] = "1947-08-13 12:00:00"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(draw_frame(number)).save(path, exif=exif, comment=b"SENTINEL Anna")


def write_marked_png(path: Path, number: int) -> None:
    """Write a PNG with text, and with a broken color profile, whose name libpng would print."""
    import cv2
    from test_bad_input import add_chunk

    data = cv2.imencode(".png", draw_frame(number)[:, :, ::-1])[1].tobytes()
    data = add_chunk(data, b"tEXt", b"Patient\0SENTINEL Anna")
    path.write_bytes(add_chunk(data, b"iCCP", b"SENTINEL Anna\0\0broken"))


def write_hospital(folder: Path) -> Path:
    """Write a folder of images, DICOM files and videos, sound and damaged, all with names."""
    root = folder / "hospital"
    for patient in range(8):
        for number in range(3):
            write_marked_jpeg(root / f"p{patient:02d}" / f"f{number}.jpg", 10 * patient + number)
        write_marked_png(root / f"p{patient:02d}" / "g.png", 10 * patient + 5)
        made = fuzz_samples.build_dicom(
            draw_frame(10 * patient + 7),
            PatientComments="SENTINEL was here",
            OperatorsName="SENTINEL^Operator",
            AccessionNumber="X4711",
            StudyDate="19470813",
        )
        (root / f"p{patient:02d}" / "d.dcm").write_bytes(made)
    damage_some(root)
    return root


def damage_some(root: Path) -> None:
    """Add files whose faults might quote what they hold."""
    whole = (root / "p00" / "d.dcm").read_bytes()
    bad = {
        "cut.dcm": whole[:-500],
        "head.dcm": whole[:900],
        "rows.dcm": fuzz_samples.build_dicom(draw_frame(1), Rows=9999),
        "color.dcm": fuzz_samples.build_dicom(
            draw_frame(1), PhotometricInterpretation="SENTINEL ANNA"
        ),
        "vr.dcm": whole.replace(b"PN", b"ZZ"),
        "length.dcm": whole.replace(b"LO\x0e\0", b"LO\xff\xff"),
        "syntax.dcm": whole.replace(b"1.2.840.10008.1.2.1\0", b"SENTINEL.4711.19.08\0"),
        "cut.jpg": (root / "p00" / "f0.jpg").read_bytes()[:-300],
        "exif.jpg": (root / "p00" / "f0.jpg").read_bytes()[:120],
        "cut.png": (root / "p00" / "g.png").read_bytes()[:-200],
        "text.png": b"SENTINEL Anna X4711",
    }
    (root / "bad").mkdir()
    for name, data in bad.items():
        (root / "bad" / name).write_bytes(data)
    try:
        video = fuzz_samples.build_video("mp4", "libx264", preset="ultrafast")
    except ImportError:
        return
    (root / "bad" / "clip.mp4").write_bytes(video)
    (root / "bad" / "cut.mp4").write_bytes(video[:-700])


def write_votes(root: Path, path: Path) -> Path:
    """Write votes with columns that no config names, and faults."""
    lines = ["frame,annotator,vote,patient name,born,story"]
    frames = sorted(one.relative_to(root).as_posix() for one in root.glob("p*/*"))
    for number, frame in enumerate(frames):
        for person in range(3):
            vote = "ab"[(number // 5 + (person == 2 and number % 3 == 0)) % 2]
            lines.append(f"{frame},A{person},{vote},{NAME},1947-08-13,SENTINEL X4711")
    lines.append(f"p99/none.jpg,A1,a,{NAME},1947-08-13,SENTINEL")
    lines.append(f"bad/cut.dcm,A1,a,{NAME},1947-08-13,SENTINEL")
    path.write_text("\n".join(lines) + "\n")
    return path


def write_label_studio(path: Path) -> Path:
    """Write an export with the names and addresses of people."""
    people = [{"id": n, "email": f"sentinel{n}@clinic.example", "first_name": "SENTINEL"}
              for n in (1, 2, 3)]  # fmt: skip
    tasks = [
        task(
            number,
            f"/data/upload/1/0a1b2c3d-f{number}.jpg",
            *(annotation(who, choice("ab"[(number + i) % 2]), created_username="SENTINEL, X4711")
              for i, who in enumerate(people)),
            meta={"patient": NAME},
            updated_by="sentinel@clinic.example",
        )
        for number in range(6)
    ]  # fmt: skip
    tasks[3]["annotations"][0]["result"] = [{"type": "choices", "value": NAME}]
    path.write_text(json.dumps(tasks))
    return path


class Story:
    """What every verb said and wrote."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: dict[str, bytes] = {}
        self.codes: dict[str, int] = {}

    def call(self, name: str, *words: object) -> None:
        hidden = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
        done = warm_verb.start(*words, cwd=self.folder, env=hidden).finish()
        self.said[f"{name}: standard output"] = done.stdout.encode()
        self.said[f"{name}: standard error"] = done.stderr.encode()
        self.codes[name] = done.returncode
        assert "Traceback" not in done.stderr

    def list_texts(self) -> dict[str, bytes]:
        """Give what was said, the files below out/, and their names."""
        files = [path for path in (self.folder / "out").rglob("*") if path.is_file()]
        texts = {str(path.relative_to(self.folder)): path.read_bytes() for path in files}
        told = {
            name: text.replace(b"SENTINEL_ANNA_", b"") if name.startswith("deidentify") else text
            for name, text in self.said.items()
        }
        return told | texts | {"names": "\n".join(texts).encode()}


def write_config(out: Path) -> Path:
    """Make the first config of an import small enough to run."""
    page = yaml.safe_load((out / "config.yaml").read_text())
    page["cohort"]["patients"] = {"kind": "pattern", "pattern": "(p[0-9]+)/"}
    page["cohort"]["drop_faulty"] = True
    page["augment"] = {"size": 32}
    network = {"kind": "resnet10", "width": 16}
    page["teacher"] = {"network": network, "fit": {"epochs": 1}}
    page["student"] = {"network": network, "method": {"kind": "kd"}, "fit": {"epochs": 1}}
    (out / "tiny.yaml").write_text(yaml.safe_dump(page, sort_keys=False))
    return out / "tiny.yaml"


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    root, key, out = write_hospital(folder), write_key(folder), folder / "out"
    told = Story(folder)
    votes = write_votes(root, folder / "votes.csv")
    told.call("import", "import", root, "--out", out / "cohort", "--votes", votes,
              "--key-file", key)  # fmt: skip
    config = write_config(out / "cohort")
    told.call("check", "check", config, "--html", out / "sheet.html")
    told.call("run", "run", config, "--out", out / "run", "--no-pdf")
    source = {"kind": "dicom", "root": str(root), "key_file": str(key)}
    page = {
        "name": "bad",
        "cohort": {
            "frames": source,
            "votes": {"kind": "long", "path": str(votes)},
            "classes": ["a", "b"],
        },
        "student": {"method": {"kind": "kd"}},
    }
    (folder / "bad.yaml").write_text(yaml.safe_dump(page, sort_keys=False))
    told.call("faults", "check", folder / "bad.yaml")
    told.call("faults as json", "check", folder / "bad.yaml", "--json")
    export = write_label_studio(folder / "export.json")
    page["cohort"] |= {"frames": {"kind": "none"}, "votes": {"kind": "label_studio",
                                                             "path": str(export)}}  # fmt: skip
    (folder / "export.yaml").write_text(yaml.safe_dump(page, sort_keys=False))
    told.call("export", "check", folder / "export.yaml")
    told.call("init", "init", "--votes", export, "--out", out / "init.yaml")
    for number, path in enumerate(sorted(root.glob("p00/*"))):
        shutil.copyfile(path, root / f"SENTINEL_ANNA_{number}{path.suffix}")
    for way in ("--pixels-are-clean", "--trust-field"):
        told.call(f"deidentify {way}", "deidentify", root, "--out", out / f"clean{way}",
                  "--key-file", key, way, "--video-pixels-are-clean")  # fmt: skip
    return told


def test_every_verb_came_as_far_as_it_should(story):
    assert story.codes == {
        "import": 0,
        "check": 0,
        "run": 0,
        "faults": 1,
        "faults as json": 1,
        "export": 1,
        "init": 0,
        "deidentify --pixels-are-clean": 1,
        "deidentify --trust-field": 1,
    }, story.said
    texts = story.list_texts()
    assert len(texts) > 100
    assert any(name.endswith("report.html") for name in texts)
    assert any(name.endswith("log.jsonl") for name in texts)
    assert any(name.endswith("provenance.json") for name in texts)
    assert len([name for name in texts if "clean--" in name]) > 40
    assert story.said["faults: standard error"].count(b"\n") > 5


@pytest.mark.parametrize("marker", MARKERS)
def test_no_output_holds_what_was_planted(story, marker):
    found = [name for name, text in story.list_texts().items() if marker in text]
    assert found == []


def test_what_is_planted_would_be_found(story):
    root = story.folder / "hospital"
    for name in ("p00/f0.jpg", "p00/g.png", "p00/d.dcm", "bad/cut.dcm", "bad/cut.jpg"):
        assert b"SENTINEL" in (root / name).read_bytes(), name


def test_no_image_that_is_written_holds_notes(story):
    """Text may be packed within: by its kind it is not there at all."""
    from polypskd.cohort.importing import is_plain_jpeg
    from polypskd.cohort.png import NOTES

    for name, data in story.list_texts().items():
        if name.startswith("out/c") and name.endswith(".png"):
            assert not any(kind in data for kind in NOTES), name
        if name.startswith("out/c") and name.endswith(".jpg"):
            assert is_plain_jpeg(data), name


def test_pixels_are_those_of_the_source(story):
    import cv2

    made = story.folder / "out" / "cohort" / "frames" / "p01" / "d.dcm.png"
    made = made if made.is_file() else made.with_name("d.png")
    pixels = cv2.imdecode(np.frombuffer(made.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(pixels[:, :, ::-1], draw_frame(17))
    assert io.BytesIO(made.read_bytes()).read(8) == b"\x89PNG\r\n\x1a\n"
