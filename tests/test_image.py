"""The serving image: its recipe, and the image itself where containers can be built and run."""

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

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


@pytest.mark.parametrize("name", ["serve", "video", "build", "train"])
def test_every_package_of_a_lock_is_pinned_and_has_hashes(name):
    text = (ROOT / "docker" / f"{name}.lock").read_text()
    parts = re.split(r"\n(?=[a-z])", text.partition("#\n\n")[2] or text[text.index("==") - 40 :])
    pinned = re.findall(r"^([a-z0-9-]+)==\S+ \\$", text, re.MULTILINE)
    if name != "train":  # locked by pyproject.toml
        wanted = {re.split(r"[><=\[]", line)[0] for line in read_requirements(f"{name}.in")}
        assert wanted <= {*pinned}
    assert len(re.findall(r"^[a-z]", text, re.MULTILINE)) == len(pinned)
    assert all("--hash=sha256:" in part for part in parts if "==" in part)


def test_nothing_is_installed_in_any_stage_but_by_a_lock_with_hashes():
    commands = re.findall(
        r"pip\b[^&\n]*?\b(?:install|wheel|download) [^&\n]*", RECIPE.replace("\\\n", "")
    )
    assert len(commands) == 8
    for command in commands:
        assert "--no-deps" in command
        if "--no-index" not in command:
            assert "--require-hashes" in command
            assert "--only-binary :all:" in command


def test_all_that_training_needs_is_pinned_for_its_image():
    project = read_project()
    text = (ROOT / "docker" / "train.lock").read_text()
    pinned = dict(re.findall(r"^([a-z0-9-]+)==(\S+) \\$", text, re.MULTILINE))
    for line in [*project["dependencies"], *project["optional-dependencies"]["pdf"]]:
        wanted = Requirement(line)
        assert pinned[wanted.name] in wanted.specifier, line


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


def try_script(*command: str) -> list[str]:
    """Run a script of docker/ and give its lines; skip where it says that it cannot be tried."""
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode == CANNOT:
        pytest.skip(done.stdout.strip().splitlines()[-1])
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def images():
    with tempfile.TemporaryDirectory(prefix="images-") as folder:
        yield Path(folder)
        mounts = Path("/proc/mounts").read_text()
        assert folder not in mounts, mounts


@pytest.mark.slow
def test_it_builds_runs_hardened_and_says_what_predict_says(images):
    # What is drawn is judged everywhere; the real files where they are.
    data = ["--data", str(DATA)] if DATA.is_dir() else []
    lines = try_script("docker/test_image", "--keep", str(images), *data)
    assert sum(line.startswith("ok    ") for line in lines) >= 14


@pytest.mark.slow
def test_it_answers_a_real_archive_as_the_compose_file_says(images):
    lines = try_script("docker/test_compose.py", str(images))
    assert sum(line.startswith("ok    ") for line in lines) == 4
