import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_bundle import CLASSES, SUBCLASSES, write_bundle

from polypskd.deployment.bundle import REQUIRED, open_bundle
from polypskd.deployment.manifest import (
    MOST_JSON,
    SIGNATURES,
    parse_json,
    write_canonical,
)
from polypskd.errors import ArtifactError


@pytest.fixture
def folder(tmp_path):
    return write_bundle(tmp_path / "bundle")


def reseal(folder, **changes):
    """Write a manifest whose hashes fit whatever lies there now."""
    path = folder / "manifest.json"
    page = json.loads(path.read_text())
    for name in page["files"]:
        if (folder / name).is_file():
            data = (folder / name).read_bytes()
            page["files"][name] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    path.write_bytes(write_canonical(page | changes))


def rewrite(folder, name, **changes):
    page = json.loads((folder / name).read_text()) | changes
    (folder / name).write_bytes(write_canonical(page))
    reseal(folder)


def refuse(folder, *words):
    with pytest.raises(ArtifactError) as caught:
        open_bundle(folder)
    text = str(caught.value)
    assert "\n" not in text
    for word in words:
        assert word in text
    return text


def test_a_bundle_opens_with_what_it_was_made_of(folder):
    bundle = open_bundle(folder)
    assert bundle.classes == CLASSES
    assert bundle.subclasses == SUBCLASSES
    assert bundle.subclass_to_class == (0, 0, 1, 1)
    assert bundle.positive == (False, True)
    assert bundle.size == 32
    assert bundle.crop.kind == "none"
    assert bundle.model_hash == hashlib.sha256((folder / "student.onnx").read_bytes()).hexdigest()
    assert bundle.read("model_card.md") == b"# Small\n"


def test_a_bundle_opens_without_torch(folder):
    code = (
        "import sys, pathlib; from polypskd.deployment.bundle import open_bundle; "
        "open_bundle(pathlib.Path(sys.argv[1])); "
        "assert not {'torch', 'monai', 'albumentations', 'safetensors'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True)


@pytest.mark.parametrize("name", REQUIRED)
def test_one_changed_bit_is_found_in_every_file(folder, name):
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    refuse(folder, name, "SHA-256")


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    refuse(folder, name, "missing")


@pytest.mark.parametrize("name", REQUIRED)
def test_a_manifest_that_leaves_out_a_file_is_refused(folder, name):
    page = json.loads((folder / "manifest.json").read_text())
    del page["files"][name]
    (folder / "manifest.json").write_bytes(write_canonical(page))
    (folder / name).unlink()
    refuse(folder, "manifest.json", name)


@pytest.mark.parametrize("name", ["more.txt", "configs/more.json", ".hidden", "deep/er/x"])
def test_a_file_too_many_is_named(folder, name):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("x")
    refuse(folder, name, "not in the manifest")


def test_a_file_of_another_length_is_not_read(folder):
    with (folder / "student.onnx").open("r+b") as file:
        file.truncate(1 << 40)  # a hole: hashing it would take an hour
    refuse(folder, "student.onnx", "bytes instead of")


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_detached_signature_may_lie_beside_the_manifest(folder, name):
    (folder / name).write_bytes(b"\x30\x45")
    assert open_bundle(folder).classes == CLASSES


@pytest.mark.parametrize(
    "name", ["../outside", "/etc/passwd", "configs/../../outside", "a//b", ".", "manifest.json", ""]
)
def test_a_manifest_that_leads_outside_is_refused(folder, name):
    (folder.parent / "outside").write_text("x")
    page = json.loads((folder / "manifest.json").read_text())
    page["files"][name] = {"sha256": hashlib.sha256(b"x").hexdigest(), "size": 1}
    (folder / "manifest.json").write_bytes(write_canonical(page))
    refuse(folder, "manifest.json", "no bundle has")


def test_links_and_pipes_are_refused_and_not_opened(folder):
    outside = folder.parent / "card"
    (folder / "model_card.md").rename(outside)
    (folder / "model_card.md").symlink_to(outside)
    refuse(folder, "not a plain file")
    (folder / "model_card.md").unlink()
    os.mkfifo(folder / "model_card.md")  # opening it would wait for ever
    refuse(folder, "not a plain file")


def test_a_linked_folder_is_refused(folder):
    (folder / "configs").rename(folder.parent / "elsewhere")
    (folder / "configs").symlink_to(folder.parent / "elsewhere")
    refuse(folder, "not a plain file")


def test_a_manifest_in_another_form_is_refused(folder):
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text())))
    refuse(folder, "canonical")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"format_version": 1, "format_version": 1}',
        b'{"a": NaN}',
        b'{"a": ' + b"9" * 10_000 + b"}",
        b"[1]",
        b"null",
        b'"manifest"',
        b"{}",
    ],
)
def test_a_damaged_manifest_is_one_line(folder, text):
    (folder / "manifest.json").write_bytes(text)
    refuse(folder, "manifest.json")


def test_a_huge_manifest_is_not_read(folder):
    with (folder / "manifest.json").open("wb") as file:
        file.truncate(1 << 40)
    refuse(folder, f"larger than {MOST_JSON} bytes")


def test_a_huge_page_is_refused_by_its_size(folder):
    page = json.loads((folder / "manifest.json").read_text())
    page["files"]["limits.json"]["size"] = 1 << 50
    (folder / "manifest.json").write_bytes(write_canonical(page))
    refuse(folder, "manifest.json", "size")


def test_a_folder_of_many_files_is_not_listed_to_its_end(folder):
    (folder / "x").mkdir()
    for number in range(200):
        (folder / "x" / str(number)).touch()
    refuse(folder, "more files")


def test_a_newer_format_asks_for_an_update(folder):
    reseal(folder, format_version=2)
    refuse(folder, "format 2", "update")


@pytest.mark.parametrize(
    ("name", "changes", "word"),
    [
        ("limits.json", {"size": 0}, "size"),
        ("limits.json", {"unknown": 1}, "unknown"),
        ("limits.json", {"positive": ["hyperplastic"]}, "positive"),
        ("limits.json", {"positive": []}, "positive"),
        ("limits.json", {"quality": {"max_blur": 2}}, "max_blur"),
        ("limits.json", {"crop": {"kind": "exec"}}, "crop"),
        ("codebook.json", {"classes": []}, "classes"),
        ("codebook.json", {"subclasses": []}, "subclasses"),
    ],
)
def test_pages_that_do_not_fit_are_refused_though_their_hashes_do(folder, name, changes, word):
    rewrite(folder, name, **changes)
    refuse(folder, name, word)


def test_a_subclass_of_no_class_is_refused(folder):
    page = json.loads((folder / "codebook.json").read_text())
    page["subclasses"][0]["of"] = "nothing"
    rewrite(folder, "codebook.json", **page)
    refuse(folder, "codebook.json", "belong together")


@pytest.mark.parametrize("where", ["missing", "file"])
def test_what_is_no_bundle_is_one_line(tmp_path, where):
    if where == "file":
        (tmp_path / where).write_text("x")
    refuse(tmp_path / where, "no such folder")


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path):
    refuse(tmp_path, "not a bundle")


def test_a_file_changed_after_opening_is_found_when_it_is_read(folder):
    bundle = open_bundle(folder)
    data = bytearray((folder / "student.onnx").read_bytes())
    data[-1] ^= 1
    (folder / "student.onnx").write_bytes(data)
    with pytest.raises(ArtifactError, match="SHA-256"):
        bundle.read("student.onnx")
    with pytest.raises(ArtifactError, match=r"has no teacher\.onnx"):
        bundle.read("teacher.onnx")


def test_the_band_of_confidence_holds_back_what_lies_within(tmp_path):
    band = {"negative_to": 0.3, "positive_from": 0.7, "fixed_on": "val", "unit": "frames"}
    bundle = open_bundle(write_bundle(tmp_path / "bundle", confidence=band))
    p = np.array([[0.8, 0.2], [0.7, 0.3], [0.6, 0.4], [0.31, 0.69], [0.25, 0.75]])
    assert bundle.measure_risk(p).tolist() == p[:, 1].tolist()
    assert bundle.find_confident(p).tolist() == [True, True, False, False, True]
    plain = open_bundle(write_bundle(tmp_path / "plain"))
    assert plain.find_confident(p).all()


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), json_values))
def test_the_canonical_form_is_one_and_reads_back_equal(page):
    data = write_canonical(page)
    again = parse_json(data, "page")
    assert again == page
    assert write_canonical(dict(reversed(again.items()))) == data
