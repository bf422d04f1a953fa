"""The serving image: its recipe, and the image itself where containers can be built and run."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data" / "dicom"
CANNOT = 77
RECIPE = (ROOT / "docker" / "Dockerfile").read_text()
SERVE = RECIPE[RECIPE.index("FROM scratch AS serve") : RECIPE.index(" AS train-build")]


def read_requirements(name: str) -> list[str]:
    lines = (ROOT / "docker" / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def read_project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_images_packages_are_bounded_as_the_projects_are():
    project = read_project()
    extras = project["optional-dependencies"]
    known = {*project["dependencies"], *extras["serve"], *extras["pacs"], *extras["video"]}
    assert {*read_requirements("serve.in"), *read_requirements("video.in")} <= known
    assert {*extras["serve"], *extras["pacs"]} - {"polypskd[serve]"} <= {
        *read_requirements("serve.in")
    }


@pytest.mark.parametrize("name", ["serve", "video", "build"])
def test_every_package_of_a_lock_is_pinned_and_has_hashes(name):
    text = (ROOT / "docker" / f"{name}.lock").read_text()
    parts = re.split(r"\n(?=[a-z])", text.partition("#\n\n")[2] or text[text.index("==") - 40 :])
    pinned = re.findall(r"^([a-z0-9-]+)==\S+ \\$", text, re.MULTILINE)
    wanted = {re.split(r"[><=\[]", line)[0] for line in read_requirements(f"{name}.in")}
    assert wanted <= {*pinned}
    assert len(re.findall(r"^[a-z]", text, re.MULTILINE)) == len(pinned)
    assert all("--hash=sha256:" in part for part in parts if "==" in part)


def test_no_package_of_training_is_in_the_lock():
    text = (ROOT / "docker" / "serve.lock").read_text()
    names = "torch|monai|albumentations|polars|scipy|scikit-learn|matplotlib|statsmodels|av"
    assert not re.findall(rf"^(?:{names})==", text, re.MULTILINE)


def test_the_image_is_labeled_with_the_programs_version():
    version = read_project()["version"]
    assert {*re.findall(r"^ARG VERSION=(\S+)$", RECIPE, re.MULTILINE)} == {version}


def test_nothing_of_the_serving_image_is_run_by_a_shell():
    lines = re.findall(r"^\s*(?:ENTRYPOINT|CMD) (.+)$", SERVE, re.MULTILINE)
    assert len(lines) == 3
    assert all(line.startswith("[") for line in lines)
    assert not re.search(r"^(RUN|SHELL|ADD|EXPOSE)", SERVE, re.MULTILINE)


def test_the_image_for_training_is_what_is_built_if_none_is_named():
    assert re.findall(r"^FROM .+ AS (\S+)$", RECIPE, re.MULTILINE)[-1] == "train"


@pytest.mark.slow
def test_it_builds_runs_hardened_and_says_what_predict_says():
    # What is drawn is judged everywhere; the real files where they are.
    data = ["--data", str(DATA)] if DATA.is_dir() else []
    done = subprocess.run(
        [sys.executable, "docker/test_image", *data],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == CANNOT:
        pytest.skip(done.stdout.strip().splitlines()[-1])
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("ok    ") >= 14
