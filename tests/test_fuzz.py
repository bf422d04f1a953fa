"""Damaged files of every kind, the same ones every time: each ends in one line, or is read.

`benchmarks/fuzz.py` is the long form of this: other seeds, child processes, bounds of memory.
"""

import itertools
import os
import shutil
import time
from collections import Counter
from pathlib import Path

import fuzz
import fuzz_child
import fuzz_readers
import fuzz_samples
import pytest

SECONDS = 10  # of the processor for a file
KINDS = [
    "image",
    "dicom",
    "video",
    "deidentify",
    "votes",
    "export",
    "config",
    "answers",
    "rules",
    "examples",
    "ballots",
    "arrays",
]


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz") / "samples"
    fuzz_samples.make_samples(folder, real=None)
    return folder


def read_damaged(samples: Path, cases, folder: Path) -> Counter:
    """Read damaged files; what is not the project's own error fails the test, and so does a name.

    Only the processor's time is held to a limit: the clock is other people's, too.
    """
    outcomes: Counter = Counter()
    for number, case in enumerate(cases):
        place = folder / str(number)
        place.mkdir()
        path = place / case["sample"]
        path.write_bytes(fuzz_child.build(case, samples))
        start = time.process_time()
        try:
            outcome, _ = fuzz_readers.read_case(case["kind"], path)
        except Exception as error:
            raise AssertionError(f"{case}: {type(error).__name__}: {error}") from error
        assert time.process_time() - start < SECONDS, case
        outcomes[outcome] += 1
        shutil.rmtree(place)
    return outcomes


def list_cases(samples: Path, kind: str, count: int, ways=("cut", "flip", "head", "mix")):
    """Give so many cases of each way, over all samples of a kind in turn."""
    names = sorted(path.name for path in (samples / kind).iterdir())
    for way in ways:
        for number, name in zip(range(count), itertools.cycle(names), strict=False):
            part = f"cut {(number * 7 + 1) % 64}" if way == "cut" else way
            yield {"kind": kind, "sample": name, "way": part, "seed": number}


@pytest.mark.parametrize("kind", KINDS)
def test_a_sound_file_is_read(samples, kind, tmp_path):
    if not (samples / kind).is_dir():
        pytest.skip("the extra polypskd[video] is not installed")
    names = sorted(path.name for path in (samples / kind).iterdir())
    cases = [{"kind": kind, "sample": name, "way": "whole", "seed": 0} for name in names]
    assert read_damaged(samples, cases, tmp_path) == {"read": len(names)}


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_ends_in_one_line_or_is_read(samples, kind, tmp_path, capfd):
    if not (samples / kind).is_dir():
        pytest.skip("the extra polypskd[video] is not installed")
    count = {"image": 200, "dicom": 200, "video": 150, "deidentify": 60}.get(kind, 60)
    outcomes = read_damaged(samples, list_cases(samples, kind, count), tmp_path)
    assert outcomes["refused"] > count  # some flips are of a pixel, and no fault
    assert fuzz_samples.MARK not in "".join(capfd.readouterr())


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["VL1_UNC", "VL1_RLE", "VL3_J2KR", "VL3_J2KI"])
def test_a_damaged_endoscopy_ends_in_one_line_or_is_read(name, tmp_path):
    folder = tmp_path / "samples" / "dicom_endoscopy"
    folder.mkdir(parents=True)
    shutil.copyfile(fuzz_samples.SHARED / "dicom" / "endoscopy" / name, folder / name)
    same = {"kind": "dicom_endoscopy", "sample": name}
    cases = [same | {"way": f"cut {part}", "seed": 0} for part in range(0, 64, 2)]
    cuts = len(cases)
    cases += [same | {"way": way, "seed": n} for way in ("flip", "head", "mix") for n in range(40)]
    outcomes = read_damaged(folder.parent, cases, tmp_path)
    assert outcomes["refused"] >= cuts


def test_a_process_that_dies_or_hangs_is_a_finding(samples, tmp_path, monkeypatch):
    """The long form must see what it is for: a child that is ended is told, and replaced."""
    case = {"kind": "config", "sample": "config.yaml", "way": "mix", "seed": 1}
    child = fuzz.Child(samples, tmp_path / "case")
    try:
        assert child.run(case)["outcome"] in ("refused", "same", "other")
        os.kill(child.process.pid, 9)
        child.process.wait()
        assert child.run(case)["outcome"] in ("refused", "same", "other")
        monkeypatch.setattr(fuzz, "WALL", 0.0)
        # So that its answer is not taken together with its "begun", however quick the child is.
        monkeypatch.setattr(os, "read", lambda file, _, read=os.read: read(file, 1))
        assert child.run(case)["outcome"] == "hang"
        child.folder = tmp_path / "a file"
        child.folder.write_text("")
        assert child.run(case)["outcome"] == "crash"
    finally:
        child.close()


def test_the_table_counts_what_is_wrong():
    case = {"kind": "image", "sample": "a.png", "way": "mix", "seed": 1}
    told = {"outcome": "same", "text": "", "cpu": 0.1, "peak": 100}
    rows = [told, told | {"cpu": 11.0}, told | {"peak": 3000}, told | {"outcome": "foreign"}]
    table = fuzz.tabulate([(case, row) for row in rows])["image"]
    found = [table[name] for name in ("read correctly", "hangs", "over 2 GiB")]
    assert found == [1, 1, 1]
    assert table["foreign exceptions"] == 1
    assert table["cases"] == 4
