"""The folder for machines without network: it installs from itself alone, or not at all.

Its wheels are small ones made here; `docker/test_offline` does the same with the real ones.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from small_bundle import write_bundle

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "docker" / "offline" / "build.py"
CODE = "import alpha\ndef main():\n    print('polypskd', alpha.VERSION)\n"


def write_wheel(folder: Path, name: str, version: str, code: str) -> Path:
    info = f"{name}-{version}.dist-info"
    entry = f"[console_scripts]\n{name} = {name}:main\n" if "main" in code else ""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    pages = {
        f"{name}/__init__.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n"
        "Requires-Dist: torch\nLicense-Expression: MIT\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
        f"{info}/entry_points.txt": entry,
    }
    pages[f"{info}/RECORD"] = "".join(f"{one},,\n" for one in [*pages, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as wheel:
        for one, text in pages.items():
            wheel.writestr(zipfile.ZipInfo(one), text)
    return path


def hash_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def material(tmp_path_factory) -> Path:
    """A shelf of wheels, a lock of them, and polypskd's own wheel."""
    folder = tmp_path_factory.mktemp("material")
    (folder / "shelf").mkdir()
    wheel = write_wheel(folder / "shelf", "alpha", "1.0", "VERSION = '1.0'\n")
    write_wheel(folder / "shelf", "alpha", "2.0", "VERSION = 'newer, and not locked'\n")
    write_wheel(folder, "polypskd", "0.1.0", CODE)
    other = "0" * 64
    (folder / "lock").write_text(
        f"alpha==1.0 \\\n    --hash=sha256:{other} \\\n    --hash=sha256:{hash_of(wheel)}\n"
    )
    return folder


def build(
    material: Path, out: Path, lock: str = "lock", *more: object
) -> subprocess.CompletedProcess:
    wheel = material / "polypskd-0.1.0-py3-none-any.whl"
    return subprocess.run(
        [
            sys.executable,
            BUILD,
            "--lock",
            material / lock,
            "--own-wheel",
            wheel,
            "--out",
            out,
            *more,
        ],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(material / "shelf")},
    )


@pytest.fixture(scope="module")
def made(material, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("made") / "offline"
    done = build(material, out)
    assert (done.returncode, done.stderr) == (0, "")
    assert hash_of(out / "SHA256SUMS") in done.stdout
    return out


@pytest.fixture
def folder(made, tmp_path) -> Path:
    """A copy, as it lies on the other machine."""
    return shutil.copytree(made, tmp_path / "a usb stick", symlinks=True)


def without_network() -> list[str]:
    can = subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False)
    return [] if can.returncode else ["unshare", "-rn"]


def install(folder: Path, place: object, cwd: Path, **environment: str):
    return subprocess.run(
        [*without_network(), "sh", folder / "install.sh", place],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=os.environ | {"PYTHON": sys.executable} | environment,
    )


def sign_anew(folder: Path) -> None:
    """What somebody does who changes the checksums too."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [
        f"{hash_of(path)}  ./{path.relative_to(folder)}\n"
        for path in files
        if path.name != "SHA256SUMS"
    ]
    (folder / "SHA256SUMS").write_text("".join(lines))


def test_it_installs_without_network_from_itself_alone_and_runs(folder, tmp_path):
    hostile = {
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_FIND_LINKS": "/nowhere",
        "PIP_NO_BINARY": ":all:",
        "PYTHONPATH": str(folder),
    }
    done = install(folder, "new place", tmp_path, **hostile)
    assert done.returncode == 0, done.stderr
    program = tmp_path / "new place" / "bin" / "polypskd"
    told = subprocess.run([program], capture_output=True, text=True, check=True, env={})
    assert told.stdout == "polypskd 1.0\n"
    assert "polypskd 1.0" in done.stdout


def test_a_folder_that_exists_is_not_touched(folder, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("x")
    done = install(folder, tmp_path / "mine", tmp_path)
    assert done.returncode == 1
    assert "exists; give a new folder" in done.stderr
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["file"]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


WHEEL = "wheels/alpha-1.0-py3-none-any.whl"
HARMS = {
    "a wheel with one flipped bit": lambda f: flip(f / WHEEL),
    "a wheel is missing": lambda f: (f / WHEEL).unlink(),
    "a list changed": lambda f: flip(f / "sbom/polypskd.cdx.json"),
    "another wheel beside": lambda f: (f / "wheels/alpha-1.1-py3-none-any.whl").write_text("x"),
    "a hidden file": lambda f: (f / "wheels/.x").write_text("x"),
    "a link": lambda f: (f / "wheels/x.whl").symlink_to("/etc/passwd"),
    "a file with a strange name": lambda f: (f / "wheels/a\nb").write_text("x"),
    "no checksums": lambda f: (f / "SHA256SUMS").unlink(),
    "empty checksums": lambda f: (f / "SHA256SUMS").write_text(""),
    "checksums that are none": lambda f: (f / "SHA256SUMS").write_text("x  y\n"),
    "another Python": lambda f: ((f / "TARGET").write_text("2.7 sparc\n"), sign_anew(f)),
}


@pytest.mark.parametrize("harm", HARMS)
def test_nothing_is_installed_where(harm, folder, tmp_path):
    HARMS[harm](folder)
    done = install(folder, tmp_path / "place", tmp_path)
    assert done.returncode == 1, done.stdout
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert not (tmp_path / "place").exists()


def test_a_wheel_changed_together_with_the_checksums_is_refused_by_its_locked_hash(
    folder, tmp_path
):
    write_wheel(folder / "wheels", "alpha", "1.0", "VERSION = 'evil'\n")
    sign_anew(folder)
    done = install(folder, tmp_path / "place", tmp_path)
    assert done.returncode == 1
    assert "pip refused" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "place").exists()


def test_a_signature_beside_the_checksums_is_let_pass(folder, tmp_path):
    (folder / "SHA256SUMS.asc").write_text("signature")
    (folder / "TARGET").write_text("x")  # so that it ends before it installs
    told = install(folder, tmp_path / "place", tmp_path).stderr
    assert "SHA256SUMS.asc" not in told


def test_wrong_usage_exits_with_2(folder, tmp_path):
    done = subprocess.run(["sh", folder / "install.sh"], capture_output=True, check=False)
    assert done.returncode == 2


def test_every_file_has_a_checksum_and_every_wheel_is_listed_with_its_hash(made):
    lines = (made / "SHA256SUMS").read_text().splitlines()
    sums = {line[66:]: line[:64] for line in lines}
    files = [path for path in made.rglob("*") if path.is_file() and path.name != "SHA256SUMS"]
    assert sums == {f"./{path.relative_to(made)}": hash_of(path) for path in files}
    hashes = {path.name.split("-")[0]: hash_of(path) for path in (made / "wheels").iterdir()}
    page = json.loads((made / "sbom" / "polypskd.cdx.json").read_text())
    assert {one["name"]: one["hashes"][0]["content"] for one in page["components"]} == hashes
    wanted = (made / "requirements.txt").read_text()
    assert wanted == "".join(
        f"{name}=={version} --hash=sha256:{hashes[name]}\n"
        for name, version in (("alpha", "1.0"), ("polypskd", "0.1.0"))
    )


def test_the_same_wheels_give_the_same_bytes_and_it_replaces_its_own_folder(
    material, made, tmp_path
):
    for _ in range(2):
        assert build(material, tmp_path / "again").returncode == 0
    assert hash_of(tmp_path / "again" / "SHA256SUMS") == hash_of(made / "SHA256SUMS")
    assert [path.name for path in tmp_path.iterdir()] == ["again"]


def test_a_bundle_goes_with_it_and_a_changed_one_does_not(material, tmp_path):
    bundle = write_bundle(tmp_path / "student")
    assert build(material, tmp_path / "out", "lock", "--bundle", bundle).returncode == 0
    sums = (tmp_path / "out" / "SHA256SUMS").read_text()
    assert f"{hash_of(bundle / 'student.onnx')}  ./bundle/student.onnx\n" in sums
    assert "student.onnx" in (tmp_path / "out" / "sbom" / "polypskd.spdx.json").read_text()
    flip(bundle / "student.onnx")
    done = build(material, tmp_path / "other", "lock", "--bundle", bundle)
    assert done.returncode == 1
    assert "SHA-256 differs" in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"student", "out"}


def test_a_folder_with_other_things_is_not_replaced(material, tmp_path):
    (tmp_path / "mine").write_text("x")
    done = build(material, tmp_path)
    assert done.returncode == 1
    assert "holds other things" in done.stderr
    assert (tmp_path / "mine").read_text() == "x"


def test_a_wheel_that_is_not_the_locked_one_is_not_taken(material, tmp_path):
    (material / "other").write_text(f"alpha==1.0 --hash=sha256:{'1' * 64}\n")
    done = build(material, tmp_path / "out", "other")
    assert done.returncode == 1
    assert done.stderr.startswith("error: pip download: ")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()
