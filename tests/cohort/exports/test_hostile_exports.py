"""Damaged and hostile exports end in one line, in little memory and time."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from export_writers import TOOLS, annotation, choice, task, write_export
from hypothesis import given, settings
from hypothesis import strategies as st

from polypskd.cohort.exports.markup import read_tags
from polypskd.cohort.exports.reading import read_export
from polypskd.cohort.exports.stream import stream_json
from polypskd.config import CohortConfig
from polypskd.errors import CohortError

VOTES = [("p1/f.png", "Dr A", "a"), ("p1/f.png", "Dr B", "b"), ("g.png", "Dr A", "b")]
TASK = json.dumps(task(1, "f.png", annotation(1, choice("a"))))


def read(**votes):
    section = {"frames": {"kind": "none"}, "votes": votes, "classes": ["a", "b"]}
    return read_export(CohortConfig.model_validate(section).votes, None)


def told(path: Path, data: bytes | str, kind: str = "label_studio", **more) -> str:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    try:
        faults = read(kind=kind, path=path, **more).faults
    except CohortError as error:
        faults = error.faults
    assert all("\n" not in str(fault) and len(str(fault)) < 500 for fault in faults)
    return str(CohortError(faults))


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "e.json: the file is empty"),
        (b" \n ", "line 2: not JSON of a label tool"),
        (TASK.encode("utf-16"), "e.json: is UTF-16; save the file as UTF-8"),
        (TASK.encode("utf-16-le"), "line 1: not text, byte '0x00'"),
        (b"[" + TASK.encode()[:60] + b"\0]", "not text, byte '0x00'"),
        (b"PK\x03\x04abc", "is a ZIP archive; unpack it"),
        (b"\x1f\x8b\x08abc", "is packed with gzip"),
        (b'[{"a": "\xff"}]', "line 1: not UTF-8, byte '0xff'"),
        (b'[\n\n{"a": "\xc3\xa4", "b": "\xff"}]', "line 3: not UTF-8, byte '0xff'"),
        (f"[{TASK},\n{TASK}", "line 2: not JSON: the file ends or breaks off"),
        (f"[{TASK},\n{TASK[:50]}", "line 2: not JSON: "),
        (f"[{TASK}] x", "text after the end of the JSON"),
        ('[{"id": 1, "data": {"image": "a", "image": "b"}}]', "a key stands twice: 'image'"),
        ('{"images": [], "images": []}', "a key stands twice: 'images'"),
        ("[" * 100_000, "lists lie too deep in each other"),
        ('[{"a": ' + "[" * 100_000, "lists lie too deep in each other"),
        ("[" + "9" * 5000 + "]", "not JSON: a number too long"),
        (r'[{"id": 1, "data": {"image": "\u0000"}, "annotations": []}]', "holds a NUL character"),
        (r'[{"id": 1, "data": {"image": "\ud800"}, "annotations": []}]', "holds half a character"),
        ('[{"data": {"image": "data:image/png;base64,AAAA"}, "annotations": []}]', "itself stands"),
        (f'[{{"data": {{"image": "{"x" * 2000}"}}, "annotations": []}}]', "has 2,000 characters"),
        ("[]", "no votes in this export; it holds no annotation"),
        ('{"tasks": []}', "no votes in this export"),
        ("7", "not JSON of a label tool"),
    ],
)
def test_damaged_json_is_told_in_one_line(tmp_path, data, fault):
    assert fault in told(tmp_path / "e.json", data)


def test_a_byte_order_mark_does_no_harm(tmp_path):
    path = tmp_path / "e.json"
    path.write_bytes(b"\xef\xbb\xbf[" + TASK.encode() + b"]")
    assert read(kind="label_studio", path=path).table.cells["vote"].to_list() == ["a"]


WRONG = [None, True, 7, 1.5, "x", "", [], [[]], {}, {"id": {}}, ["a", "b"], [{}, 3]]


def list_places(value) -> list:
    """List every place of a JSON value: what holds it, and its key there."""
    places = []
    for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
        places.append((value, key))
        if isinstance(inner, dict | list):
            places += list_places(inner)
    return places


@pytest.mark.parametrize("tool", [tool for tool in TOOLS if tool != "cvat"])
def test_a_value_of_another_type_anywhere_is_read_or_told(tmp_path, tool):
    form = write_export(tool, tmp_path, VOTES)
    path = form["path"] if isinstance(form["path"], Path) else next(iter(form["path"].values()))
    path = next(path.rglob("*.json")) if path.is_dir() else path
    whole = json.loads(path.read_text())
    told_of = 0
    for holder, key in list_places(whole):
        good = holder[key]
        for wrong in WRONG:
            holder[key] = wrong
            path.write_text(json.dumps(whole))
            try:
                faults = read(**form).faults
            except CohortError as error:
                faults = error.faults
            assert all("\n" not in str(fault) for fault in faults)
            told_of += bool(faults)
        holder[key] = good
    assert told_of > 40


@given(st.sampled_from(TOOLS), st.data())
@settings(max_examples=150)
def test_cut_and_flipped_bytes_are_read_or_told(tmp_path_factory, tool, data):
    form = write_export(tool, tmp_path_factory.mktemp("flipped"), VOTES)
    path = form["path"] if isinstance(form["path"], Path) else next(iter(form["path"].values()))
    path = next(path.rglob("*.json")) if path.is_dir() else path
    whole = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        whole = whole[: data.draw(st.integers(0, len(whole)))]
    elif whole:
        for _ in range(data.draw(st.integers(1, 3))):
            whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(whole)
    with contextlib.suppress(CohortError):
        read(**form)


LAUGHS = """<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>
<annotations>&b;</annotations>"""
OUTSIDE = """<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotations/>"""


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (LAUGHS, "e.xml line 1: declares a document type; take the DOCTYPE out"),
        (OUTSIDE, "declares a document type"),
        ("<annotations>&b;</annotations>", "not XML: undefined entity"),
        ("<annotations>" * 40, "tags lie too deep"),
        ("<kitti/>", "the first tag is not annotations but 'kitti'"),
        ("<annotations><image name='f'></annotations>", "not XML: mismatched tag"),
        ("<annotations>\n<image name='f'>", "line 2: not XML: no element found"),
        ("<annotations><image/></annotations>", "line 1: an image's name is empty"),
        ("<annotations a='1' a='2'/>", "not XML: duplicate attribute"),
        ("<?xml version='1.0' encoding='latin-1'?><annotations/>", "is not encoded as UTF-8"),
        (b"<annotations>\xff</annotations>", "not XML: not well-formed"),
        ("<annotations/>".encode("utf-16"), "is UTF-16"),
        ("<annotations>\0</annotations>", "not text, byte '0x00'"),
        ("{}", "not XML"),
        ("<annotations><track label='a'/></annotations>", "not used: 1 × track"),
        ("<annotations/>", "no votes in this export"),
    ],
)
def test_damaged_xml_is_told_in_one_line(tmp_path, data, fault):
    assert fault in told(tmp_path / "e.xml", data, "cvat")


def test_a_tag_without_end_is_refused_before_it_fills_the_memory(tmp_path):
    path = tmp_path / "e.xml"
    path.write_bytes(b"<annotations a='" + b"x" * (20 << 20))
    with pytest.raises(CohortError, match="a tag has more than 8 MiB"):
        read_tags(path, "e.xml", lambda *_: None, lambda *_: None)


def test_a_pipe_is_refused_as_it_would_never_end(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(CohortError, match="is no file"):
        read(kind="label_studio", path=tmp_path / "pipe.json")


def test_an_endless_list_of_faults_ends_after_a_thousand(tmp_path):
    path = tmp_path / "e.json"
    path.write_text("[" + "[]," * 100_000 + "[]]")
    with pytest.raises(CohortError) as error:
        read(kind="label_studio", path=path)
    assert error.value.count == 1000


def test_a_large_file_is_read_one_entry_at_a_time(tmp_path):
    path = tmp_path / "large.json"
    entry = json.dumps(task(1, "f.png", annotation(1, choice("a")), notes="x" * 5000))
    path.write_text("[" + ",\n".join([entry] * 12_000) + "]")
    assert path.stat().st_size > 60e6
    code = (
        "import sys, resource; from pathlib import Path\n"
        "from polypskd.cohort.exports.stream import stream_json\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(sum(1 for _ in stream_json(Path(sys.argv[1]), 'x')))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    count, grown = map(int, done.stdout.split())
    assert count == 12_000
    assert grown < 30_000  # KiB; the file has 60 MB


def test_an_entry_that_is_too_large_is_refused(tmp_path):
    path = tmp_path / "e.json"
    path.write_text('["' + "x" * (26 << 20) + '"]')
    with pytest.raises(CohortError, match="an entry has more than 24 MiB"):
        list(stream_json(path, "e.json"))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    ).filter(lambda value: isinstance(value, list | dict))
)
@settings(max_examples=200)
def test_streamed_json_is_what_json_reads(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "streamed.json"
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf-8", newline="\n")
    pieces = list(stream_json(path, "s"))
    if isinstance(value, list):
        assert [piece.value for piece in pieces] == value
        return
    read_back: dict = {key: [] for key, inner in value.items() if isinstance(inner, list)}
    for piece in pieces:
        if piece.listed:
            read_back[piece.key].append(piece.value)
        else:
            read_back[piece.key] = piece.value
    assert read_back == value


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_pieces_of_any_size_give_the_same(tmp_path, monkeypatch, size):
    monkeypatch.setattr("polypskd.cohort.exports.source.PIECE", size)
    path = tmp_path / "s.json"
    path.write_text('[ 12,\n-3.5e2 , "ä€😀\\n", {"k": [1, {"é": null}]}, [ ], true ]\n')
    found = [(piece.value, piece.line) for piece in stream_json(path, "s")]
    assert found == [
        (12, 1),
        (-350.0, 2),
        ("ä€😀\n", 2),
        ({"k": [1, {"é": None}]}, 2),
        ([], 2),
        (True, 2),
    ]
