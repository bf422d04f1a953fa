"""The list of what the image is made of: both forms are valid, and nothing is missing from them."""

import gzip
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from small_bundle import write_bundle

ROOT = Path(__file__).resolve().parents[2]
STATUS = """Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9+deb12u13

Package: removed-one
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0

Package: tzdata
Status: install ok installed
Architecture: all
Version: 2026a-0+deb12u1
"""
RELEASE = 'ID=debian\nVERSION_ID="12"\n'
COPYRIGHT = "Format: x\n\nFiles: *\nLicense: LGPL-2.1+\n\nFiles: a\nLicense: BSD-3-clause\n text\n"
PLACE = "opt/polypskd/lib/python3.11/site-packages"
LOCK = {"numpy": "2.4.6", "typing-extensions": "4.16.0"}


def tell_distribution(name: str, version: str, *lines: str) -> str:
    return "\n".join(["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", *lines, ""])


FILES = {
    "var/lib/dpkg/status": STATUS,
    "etc/os-release": RELEASE,
    "usr/share/doc/libc6/copyright": COPYRIGHT,
    f"{PLACE}/numpy-2.4.6.dist-info/METADATA": tell_distribution(
        "numpy", "2.4.6", "License-Expression: BSD-3-Clause AND 0BSD"
    ),
    f"{PLACE}/typing_extensions-4.16.0.dist-info/METADATA": tell_distribution(
        "typing_extensions", "4.16.0", "Classifier: License :: OSI Approved :: MIT License"
    ),
    f"{PLACE}/pip-26.0.dist-info/METADATA": tell_distribution("pip", "26.0", "License: odd terms"),
    f"{PLACE}/polypskd-0.1.0.dist-info/METADATA": tell_distribution(
        "polypskd", "0.1.0", "License-Expression: Apache-2.0"
    ),
    "usr/lib/python3/dist-packages/wheel-0.38.4.egg-info/PKG-INFO": tell_distribution(
        "wheel", "0.38.4", "License: MIT"
    ),
    "usr/local/bin/python3.11": "x\0python3.11\x003.11.15\x003.9.1\0",
    "home/secret.txt": "not of the list",
}


def write_lock(path: Path, **versions: str) -> Path:
    lines = ["# by hand"]
    for name, version in versions.items():
        hashes = [hashlib.sha256(f"{name}{turn}".encode()).hexdigest() for turn in range(2)]
        lines.append(f"{name}=={version} \\\n    --hash=sha256:{hashes[0]} \\")
        lines.append(f"    --hash=sha256:{hashes[1]}\n    # via x")
    path.write_text("\n".join(lines) + "\n")
    return path


def pack(files: dict, *, links: dict | None = None) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, text in files.items():
            data = text if isinstance(text, bytes) else text.encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        for name, to in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, to
            archive.addfile(entry)
    return made.getvalue()


# The same system in two layers: the second takes a package's page away and replaces another's.
LOWER = FILES | {
    f"{PLACE}/old-1.0.dist-info/METADATA": tell_distribution("old", "1.0"),
    f"{PLACE}/numpy-2.4.6.dist-info/METADATA": "Name: numpy\nVersion: 0\n",
    "srv/emptied-1.0.dist-info/METADATA": tell_distribution("emptied", "1.0"),
    "srv/linked-1.0.dist-info/METADATA": tell_distribution("linked", "1.0"),
}
UPPER = {
    f"{PLACE}/.wh.old-1.0.dist-info": "",
    f"{PLACE}/numpy-2.4.6.dist-info/METADATA": FILES[f"{PLACE}/numpy-2.4.6.dist-info/METADATA"],
    "srv/emptied-1.0.dist-info/.wh..wh..opq": "",
}
LINKS = {"srv/linked-1.0.dist-info/METADATA": "/etc/shadow"}


def write_folder(place: Path) -> Path:
    for name, text in FILES.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    (place / "usr/share/doc/tzdata").mkdir()
    (place / "usr/share/doc/tzdata/copyright").symlink_to("/etc/shadow")
    return place


def write_flat(place: Path) -> Path:
    place.write_bytes(pack({f"./{name}": text for name, text in FILES.items()}))
    return place


def write_oci(place: Path) -> Path:
    blobs = {}

    def add(data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = data
        return f"sha256:{digest}"

    layers = [gzip.compress(pack(LOWER), mtime=0), pack(UPPER, links=LINKS)]
    page = {"schemaVersion": 2, "layers": [{"digest": add(layer)} for layer in layers]}
    index = {"manifests": [{"digest": add(json.dumps(page).encode())}]}
    place.write_bytes(
        pack({"oci-layout": "{}", "index.json": json.dumps(index), "blobs/x": "no", **blobs})
    )
    return place


def write_docker(place: Path) -> Path:
    page = [{"Config": "c.json", "Layers": ["a/layer.tar", "b/layer.tar"]}]
    layers = {"a/layer.tar": pack(LOWER), "b/layer.tar": pack(UPPER, links=LINKS)}
    place.write_bytes(pack({"manifest.json": json.dumps(page), **layers}))
    return place


KINDS = {"folder": write_folder, "flat": write_flat, "oci": write_oci, "docker": write_docker}


def call(out: Path, *arguments: object, **environment: str):
    return subprocess.run(
        [sys.executable, "-I", ROOT / "docker" / "sbom", "--out", out, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )


def read(out: Path) -> tuple[dict, dict]:
    return tuple(
        json.loads((out / f"polypskd.{kind}.json").read_text()) for kind in ("cdx", "spdx")
    )


@pytest.fixture(scope="module")
def material(tmp_path_factory) -> tuple[Path, Path, Path]:
    """An image, a lock and a bundle."""
    folder = tmp_path_factory.mktemp("material")
    return (
        write_oci(folder / "serve.tar"),
        write_lock(folder / "serve.lock", **LOCK),
        write_bundle(folder / "bundle"),
    )


@pytest.fixture(scope="module")
def whole(material, tmp_path_factory) -> Path:
    image, lock, bundle = material
    out = tmp_path_factory.mktemp("out")
    done = call(out, "--image", image, "--lock", lock, "--bundle", bundle)
    assert (done.returncode, done.stderr) == (0, "")
    return out


@pytest.fixture(scope="module")
def sparse(material, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("sparse")
    done = call(out, "--lock", material[1])
    assert (done.returncode, done.stderr) == (0, "")
    return out


@pytest.mark.parametrize("which", ["whole", "sparse"])
def test_the_page_is_valid_cyclonedx(which, request):
    validation = pytest.importorskip("cyclonedx.validation.json", reason="no cyclonedx-python-lib")
    schema = pytest.importorskip("cyclonedx.schema")
    text = (request.getfixturevalue(which) / "polypskd.cdx.json").read_text()
    judge = validation.JsonStrictValidator(schema.SchemaVersion.V1_6)
    assert judge.validate_str(text) is None
    assert judge.validate_str(text.replace('"machine-learning-model"', '"oracle"', 1)) or (
        which == "sparse"
    )


@pytest.mark.parametrize("which", ["whole", "sparse"])
def test_the_page_is_valid_spdx(which, request):
    pytest.importorskip("spdx_tools", reason="no spdx-tools")
    path = request.getfixturevalue(which) / "polypskd.spdx.json"
    code = (
        "import sys; from spdx_tools.spdx.parser.parse_anything import parse_file; "
        "from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document; "
        "told = validate_full_spdx_document(parse_file(sys.argv[1]), 'SPDX-2.3'); "
        "print(*(one.validation_message for one in told), sep='\\n')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


def list_refs(page: dict) -> list[str]:
    inside = [inner for one in page["components"] for inner in one.get("components", [])]
    return [one["bom-ref"] for one in page["components"] + inside]


def test_every_reference_leads_to_one_part(whole):
    page, other = read(whole)
    refs = [page["metadata"]["component"]["bom-ref"], *list_refs(page)]
    assert len(refs) == len({*refs})
    named = [ref for one in page["dependencies"] for ref in (one["ref"], *one["dependsOn"])]
    assert {*named} == {*refs}
    ids = [one["SPDXID"] for one in other["packages"] + other["files"]] + ["SPDXRef-DOCUMENT"]
    assert len(ids) == len({*ids})
    pairs = [(one["spdxElementId"], one["relatedSpdxElement"]) for one in other["relationships"]]
    assert {end for pair in pairs for end in pair} == {*ids}


def test_every_file_of_the_bundle_is_listed_with_its_hash(whole, material):
    bundle = material[2]
    expected = {
        path.relative_to(bundle).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in bundle.rglob("*")
        if path.is_file()
    }
    page, other = read(whole)
    (model,) = (one for one in page["components"] if one["bom-ref"].startswith("bundle:"))
    assert expected == {one["name"]: one["hashes"][0]["content"] for one in model["components"]}
    assert expected == {
        one["fileName"].removeprefix("./"): one["checksums"][1]["checksumValue"]
        for one in other["files"]
    }
    kinds = {one["name"]: one["type"] for one in model["components"]}
    assert kinds.pop("student.onnx") == kinds.pop("student.safetensors") == model["type"]
    assert model["type"] == "machine-learning-model"
    assert {*kinds.values()} == {"data"}


def test_weights_say_that_they_are_for_research_and_that_nobody_stated_a_license(whole):
    page, other = read(whole)
    model = page["components"][-1]
    told = {one["name"]: one["value"] for one in model["properties"]}
    assert told["polypskd:research_use_only"] == "true"
    assert "not stated" in told["polypskd:license"]
    assert "Research use only" in str(model["modelCard"]["considerations"])
    assert "licenses" not in model
    assert "Research use only" in other["packages"][-1]["comment"]


def test_a_license_of_the_weights_is_told_where_it_is_given(material, tmp_path):
    done = call(
        tmp_path,
        "--lock",
        material[1],
        "--bundle",
        material[2],
        "--weights-license",
        "CC-BY-NC-4.0",
    )
    assert done.returncode == 0
    page, other = read(tmp_path)
    told = {one["name"]: one.get("licenses") for one in page["components"][-1]["components"]}
    assert told["student.onnx"] == [{"expression": "CC-BY-NC-4.0"}]
    assert told["codebook.json"] is None
    assert other["packages"][-1]["licenseDeclared"] == "CC-BY-NC-4.0"


@pytest.mark.parametrize("kind", KINDS)
def test_each_form_of_an_image_gives_the_same_parts(kind, material, tmp_path):
    image = KINDS[kind](tmp_path / "image")
    done = call(tmp_path / "out", "--image", image, "--lock", material[1])
    assert done.returncode == 0, done.stderr
    page, other = read(tmp_path / "out")
    expected = {
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u13?arch=amd64&distro=debian-12",
        "pkg:deb/debian/tzdata@2026a-0%2Bdeb12u1?arch=all&distro=debian-12",
        "pkg:pypi/numpy@2.4.6",
        "pkg:pypi/pip@26.0",
        "pkg:pypi/polypskd@0.1.0",
        "pkg:pypi/typing-extensions@4.16.0",
        "pkg:pypi/wheel@0.38.4",
        "pkg:generic/python@3.11.15",
    }
    assert {one["purl"] for one in page["components"]} == expected
    assert {one["externalRefs"][0]["referenceLocator"] for one in other["packages"][1:]} == expected
    licenses = {one["name"]: one.get("licenses") for one in page["components"]}
    assert licenses["libc6"] == [
        {"license": {"name": name}} for name in ("BSD-3-clause", "LGPL-2.1+")
    ]
    assert licenses["numpy"] == [{"expression": "BSD-3-Clause AND 0BSD"}]
    assert licenses["typing_extensions"] == [{"expression": "MIT"}]
    assert licenses["pip"] == [{"license": {"name": "odd terms"}}]
    assert licenses["wheel"] == [{"expression": "MIT"}]
    assert licenses["tzdata"] is None


def test_every_distribution_of_the_lock_is_listed_with_all_its_hashes(sparse, material):
    text = material[1].read_text()
    page, other = read(sparse)
    told = {one["purl"]: str(one) for one in page["components"]}
    also = {one["name"]: str(one) for one in other["packages"]}
    for name, version in LOCK.items():
        (block,) = re.findall(rf"^{name}==.*?# via", text, re.MULTILINE | re.DOTALL)
        for value in re.findall(r"sha256:(\w{64})", block):
            assert value in told[f"pkg:pypi/{name}@{version}"]
            assert value in also[name]


def test_the_lock_of_this_project_is_listed_whole(tmp_path):
    lock = ROOT / "docker" / "serve.lock"
    if not lock.exists():
        pytest.skip("docker/serve.lock is not there")
    done = call(tmp_path)
    assert done.returncode == 0, done.stderr
    names = set(re.findall(r"^([A-Za-z0-9][\w.-]*)==", lock.read_text(), re.MULTILINE))
    assert names <= {one["name"] for one in read(tmp_path)[0]["components"]}
    assert len(names) > 10


def test_what_is_left_out_is_said(sparse, whole):
    for page in (read(sparse)[0], read(whole)[0]):
        told = [one["value"] for one in page["metadata"]["component"]["properties"]]
        (composition,) = page["compositions"]
        missing = [line for line in told if "not listed" in line or "No weights" in line]
        assert (composition["aggregate"] == "incomplete") == bool(missing)
    assert "System packages are not listed" in read(sparse)[1]["comment"]
    assert "comment" not in read(whole)[1]


def test_the_same_input_gives_the_same_bytes_and_another_time_is_told(material, tmp_path):
    image, lock, bundle = material
    given = ["--image", image, "--lock", lock, "--bundle", bundle]
    for name, moment in (("a", "0"), ("b", "0"), ("c", "1790000000")):
        assert call(tmp_path / name, *given, SOURCE_DATE_EPOCH=moment).returncode == 0
    for kind in ("cdx", "spdx"):
        a, b, c = ((tmp_path / name / f"polypskd.{kind}.json").read_bytes() for name in "abc")
        assert a == b != c
    assert read(tmp_path / "c")[0]["metadata"]["timestamp"] == "2026-09-21T14:13:20Z"


def fail(done) -> str:
    assert done.returncode == 1, done.stdout
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_an_image_without_a_distribution_of_the_lock_is_refused(material, tmp_path):
    lock = write_lock(tmp_path / "lock", **(LOCK | {"numpy": "2.4.7"}))
    told = fail(call(tmp_path / "out", "--image", material[0], "--lock", lock))
    assert "has not numpy 2.4.7 of the lock (2.4.6 is there)" in told
    assert not (tmp_path / "out").exists()


def test_weights_inside_an_image_are_those_that_are_listed(material, tmp_path):
    image, lock, bundle = write_folder(tmp_path / "image"), material[1], material[2]
    inside = image / "opt/holoscan/models/student"
    inside.mkdir(parents=True)
    (inside / "manifest.json").write_bytes((bundle / "manifest.json").read_bytes())
    given = ["--image", image, "--lock", lock]
    assert call(tmp_path / "out", *given, "--bundle", bundle).returncode == 0
    assert "weights in the image are not listed" in call(tmp_path / "out", *given).stdout
    (inside / "manifest.json").write_text("{}")
    told = fail(call(tmp_path / "out", *given, "--bundle", bundle))
    assert "holds another bundle" in told


@pytest.mark.parametrize("harm", ["changed", "added", "missing", "linked"])
def test_a_bundle_that_differs_from_its_manifest_is_refused(harm, material, tmp_path):
    bundle = write_bundle(tmp_path / "bundle")
    network = bundle / "student.onnx"
    match harm:
        case "changed":
            network.write_bytes(network.read_bytes()[:-1] + b"x")
        case "added":
            (bundle / "extra.txt").write_text("x")
        case "missing":
            network.unlink()
        case "linked":
            network.rename(tmp_path / "elsewhere")
            network.symlink_to(tmp_path / "elsewhere")
    told = fail(call(tmp_path / "out", "--lock", material[1], "--bundle", bundle))
    assert str(bundle) in told


@pytest.mark.parametrize(
    "text", ["", "numpy==1.0\n", "numpy>=1 --hash=sha256:" + "0" * 64 + "\n", "\udcff"]
)
def test_a_lock_that_locks_nothing_is_refused(text, tmp_path):
    lock = tmp_path / "lock"
    lock.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert str(lock) in fail(call(tmp_path / "out", "--lock", lock))


@pytest.mark.parametrize("harm", ["cut", "text", "empty", "folder", "blob"])
def test_an_image_that_is_none_is_refused(harm, material, tmp_path):
    image = tmp_path / "image"
    data = material[0].read_bytes()
    match harm:
        case "cut":
            image.write_bytes(data[: len(data) // 2])
        case "text":
            image.write_text("no archive")
        case "empty":
            image.write_bytes(pack({}))
        case "folder":
            image.mkdir()
        case "blob":
            image.write_bytes(data.replace(b'"schemaVersion": 2', b'"schemaVersion": 3'))
    assert str(image) in fail(call(tmp_path / "out", "--image", image, "--lock", material[1]))
