"""The application of the image, outside of it: what is judged, how, and with which rights."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from small_bundle import write_bundle
from typer.testing import CliRunner

from polypskd.cli import app
from polypskd.deployment import application_package
from polypskd.deployment.application import (
    check_rights,
    find_bundle,
    find_places,
    read_options,
)
from polypskd.deployment.application_package import (
    EXPORT,
    build_app_manifest,
    build_package_manifest,
    export_parts,
    read_manifests,
    write_manifests,
)
from polypskd.errors import ArtifactError, ConfigError, OutputError, PolypskdError

ROOT = Path(__file__).resolve().parents[2]
VERSION = re.compile(r"\d+\.\d+\.\d+")


@pytest.fixture
def mounted(tmp_path, monkeypatch):
    for name in os.environ:
        if name.startswith(("HOLOSCAN_", "MONAI_")):
            monkeypatch.delenv(name)
    frames = tmp_path / "frames"
    frames.mkdir()
    cv2.imwrite(str(frames / "a.png"), np.full((40, 40, 3), 90, np.uint8))
    (tmp_path / "results").mkdir()
    write_bundle(tmp_path / "models" / "student")
    monkeypatch.setenv("HOLOSCAN_INPUT_PATH", str(frames))
    monkeypatch.setenv("HOLOSCAN_OUTPUT_PATH", str(tmp_path / "results"))
    monkeypatch.setenv("HOLOSCAN_MODEL_PATH", str(tmp_path / "models"))
    monkeypatch.setenv("HOLOSCAN_CONFIG_PATH", str(tmp_path / "app.yaml"))
    return tmp_path


def call(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [*map(str, arguments)])
    if isinstance(done.exception, PolypskdError):
        return 1, str(done.exception)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_without_an_argument_it_judges_what_is_mounted(mounted):
    assert call("app", "--quiet")[0] == 0
    assert (mounted / "results" / "predictions.csv").read_text().count("\n") == 2


def test_what_it_does_not_know_is_an_option_of_predict(mounted):
    code, said = call("app", "--json", "--threads", 2, "--quiet")
    assert code == 0
    assert json.loads(said)["frames"] == 1
    assert call("app", "--no-such-option")[0] == 2


def test_answers_of_other_frames_are_dropped_only_if_asked(mounted):
    assert call("app", "--quiet")[0] == 0
    (mounted / "frames" / "a.png").rename(mounted / "frames" / "b.png")
    code, said = call("app", "--quiet")
    assert code == 1
    assert "holds answers of 1 other frame;" in said
    code, said = call("app", "--quiet", "--json", "--overwrite")
    assert (code, json.loads(said)["dropped"]) == (0, 1)
    (mounted / "frames" / "b.png").rename(mounted / "frames" / "c.png")
    (mounted / "app.yaml").write_text("overwrite: true\n")
    assert call("app", "--quiet")[0] == 0


def test_an_argument_counts_more_than_the_variables(mounted):
    (mounted / "other").mkdir()
    assert call("app", "--quiet", "--output", mounted / "other")[0] == 0
    assert (mounted / "other" / "predictions.csv").is_file()
    assert not any((mounted / "results").iterdir())


def test_options_stand_in_the_settings_and_arguments_count_more(mounted):
    (mounted / "app.yaml").write_text("quiet: true\njson: true\nthreads: 1\nstride: 3\n")
    assert read_options(mounted / "app.yaml") == ["--quiet", "--json", "--threads=1", "--stride=3"]
    code, said = call("app", "--threads", 2)
    assert (code, json.loads(said)["frames"]) == (0, 1)
    (mounted / "app.yaml").write_text("threads: none of them\n")
    assert call("app")[0] == 2


@pytest.mark.parametrize(
    ("page", "word"),
    [
        ("- stride", "no mapping"),
        ("stride: [1]", "no single value"),
        ("a: {", "check it"),
        ("1: 2", "1"),
    ],
)
def test_settings_that_are_no_options_are_a_fault(tmp_path, page, word):
    (tmp_path / "app.yaml").write_text(page)
    with pytest.raises(ConfigError, match=word) as fault:
        read_options(tmp_path / "app.yaml")
    assert len(fault.value.lines) == 1


def test_settings_that_are_empty_or_missing_are_none(tmp_path):
    (tmp_path / "app.yaml").write_text("# stride: 5\n")
    assert read_options(tmp_path / "app.yaml") == read_options(tmp_path / "missing.yaml") == []


def test_the_settings_of_the_image_are_none():
    assert read_options(ROOT / "docker" / "map" / "app.yaml") == []


def test_a_check_judges_nothing_and_finds_a_changed_bundle(mounted):
    assert call("app", "--check") == (0, "Ready: bundle small\n")
    assert not any((mounted / "results").iterdir())
    with (mounted / "models" / "student" / "student.onnx").open("ab") as file:
        file.write(b"x")
    code, said = call("app", "--check")
    assert code == 1
    assert "student.onnx" in said


def test_the_order_is_argument_new_variable_old_variable_folder():
    old = {"MONAI_INPUTPATH": "/old", "MONAI_OUTPUTPATH": "/old", "MONAI_MODELPATH": "/old"}
    new = {f"HOLOSCAN_{name}_PATH": "/new" for name in ("INPUT", "OUTPUT", "MODEL")}
    given = (Path("/given"),) * 3
    for environment, arguments, wanted in (
        (old | new, given, "/given"),
        (old | new, (), "/new"),
        (old | dict.fromkeys(new, ""), (), "/old"),
    ):
        places = find_places(environment, *arguments)
        assert {places.input, places.output, places.models} == {Path(wanted)}
    assert find_places({}).models == Path("/opt/holoscan/models")


def test_a_bundle_is_the_folder_or_the_only_one_in_it(tmp_path):
    with pytest.raises(ArtifactError, match="mount one"):
        find_bundle(tmp_path / "missing")
    one = write_bundle(tmp_path / "models" / "one")
    assert find_bundle(one) == find_bundle(tmp_path / "models") == one
    write_bundle(tmp_path / "models" / "two")
    with pytest.raises(ArtifactError, match="several bundles"):
        find_bundle(tmp_path / "models")


def test_missing_mounts_are_told_with_what_to_do(mounted):
    places = find_places(os.environ)
    check_rights(places)
    for one in (mounted / "frames").iterdir():
        one.unlink()
    with pytest.raises(ConfigError, match=r"empty; mount the frames: -v FRAMES:.*:ro"):
        check_rights(places)
    with pytest.raises(ConfigError, match="no input here"):
        check_rights(find_places(os.environ, mounted / "none"))
    cv2.imwrite(str(mounted / "frames" / "a.png"), np.zeros((40, 40, 3), np.uint8))
    with pytest.raises(OutputError, match="no folder here"):
        check_rights(find_places(os.environ, None, mounted / "frames" / "a.png"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_missing_rights_are_told_with_the_user(mounted):
    (mounted / "results").chmod(0o500)
    with pytest.raises(OutputError, match=f"user {os.geteuid()}, group {os.getegid()}"):
        check_rights(find_places(os.environ))
    (mounted / "frames").chmod(0o300)
    with pytest.raises(ConfigError, match="may not be read by user"):
        check_rights(find_places(os.environ))


def write_root(root: Path) -> Path:
    for name in ("opt/holoscan/app/polypskd", "opt/holoscan/docs", "var/holoscan", "etc/holoscan"):
        (root / name).mkdir(parents=True)
    (root / "opt/holoscan/app/polypskd/cli.py").write_text("")
    (root / "opt/holoscan/docs/LICENSE").write_text("")
    (root / "var/holoscan/app.yaml").write_text("")
    write_bundle(root / "opt/holoscan/models/student")
    for name in ("app.json", "pkg.json"):
        (root / "etc/holoscan" / name).write_text("{}")
    (root / str(EXPORT).lstrip("/")).mkdir(parents=True)
    return root / str(EXPORT).lstrip("/")


def test_all_parts_are_copied_where_none_is_chosen(tmp_path):
    target = write_root(tmp_path)
    assert export_parts(tmp_path) == ["app", "config", "models", "docs"]
    assert {path.name for path in (target / "config").iterdir()} == {
        "app.yaml",
        "app.json",
        "pkg.json",
    }
    assert (target / "app" / "polypskd" / "cli.py").is_file()
    assert find_bundle(target / "models") == target / "models" / "student"


def test_the_chosen_parts_alone_are_copied(tmp_path):
    target = write_root(tmp_path)
    (target / "docs").mkdir()
    assert export_parts(tmp_path) == ["docs"]
    assert [path.name for path in target.iterdir()] == ["docs"]


def test_without_a_mount_nothing_is_copied_and_outside_of_the_image_nothing_is_shown(tmp_path):
    with pytest.raises(OutputError, match=f"-v FOLDER:{EXPORT}"):
        export_parts(tmp_path)
    with pytest.raises(ArtifactError, match="this verb is for the image"):
        read_manifests(tmp_path)


# The standard's tables: what is a must, and what should be there.
APP_FIELDS = "type command input output apiVersion sdk sdkVersion version workingDirectory "
APP_FIELDS += "readiness liveness timeout environment"
PROBE_FIELDS = "type command initialDelaySeconds periodSeconds timeoutSeconds failureThreshold"
PACKAGE_FIELDS = "apiVersion version applicationRoot modelRoot models resources"


def test_the_manifests_hold_what_the_standard_requires_and_recommends():
    page = build_app_manifest("1.2.3")
    assert set(APP_FIELDS.split()) == {*page}
    assert page["type"] in {"application", "service"}
    for probe in (page["readiness"], page["liveness"]):
        assert set(PROBE_FIELDS.split()) == {*probe}
        assert probe["type"] == "command"
        assert probe["command"][0] == page["command"].split()[0]
    assert {page["input"]["path"], page["output"]["path"]} == {"input/", "output/"}
    assert page["timeout"] == 0
    assert VERSION.fullmatch(page["sdkVersion"])
    assert page["command"].startswith("/opt/holoscan/app/")
    assert page["input"]["formats"]
    assert page["output"]["format"]
    assert page["workingDirectory"].startswith("/")
    names = "INPUT_PATH OUTPUT_PATH WORKDIR MODEL_PATH CONFIG_PATH APP_MANIFEST_PATH "
    names += "PKG_MANIFEST_PATH DOCS LOGS"
    assert {f"HOLOSCAN_{name}" for name in names.split()} == {*page["environment"]}
    assert all(isinstance(value, str) for value in page["environment"].values())
    package = build_package_manifest("1.2.3", None)
    assert set(PACKAGE_FIELDS.split()) == {*package}
    assert package["applicationRoot"] == "/opt/holoscan/app/"
    assert re.fullmatch(r"[1-9]\d*(Gi|Mi)", package["resources"]["memory"])
    assert {page["version"], package["version"]} == {"1.2.3"}
    assert VERSION.fullmatch(page["apiVersion"])


def test_manifests_are_written_for_the_programs_own_version_and_a_whole_bundle(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(application_package, "installed", lambda name: "1.2.3")
    with pytest.raises(ArtifactError, match=r"--build-arg VERSION=1\.2\.3"):
        write_manifests(tmp_path, "1.2.4")
    write_manifests(tmp_path, "1.2.3", tmp_path / "models")
    assert "sha256" not in read_manifests(tmp_path)["pkg.json"]["models"][0]
    bundle = write_bundle(tmp_path / "models" / "student")
    write_manifests(tmp_path, "1.2.3", tmp_path / "models")
    told = read_manifests(tmp_path)["pkg.json"]["models"][0]["sha256"]
    assert (
        told
        == json.loads((bundle / "manifest.json").read_text())["files"]["student.onnx"]["sha256"]
    )
    (bundle / "limits.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"limits\.json"):
        write_manifests(tmp_path, "1.2.3", tmp_path / "models")


def test_a_verb_of_training_tells_which_package_the_image_has_not():
    code = "import sys; sys.modules['polars'] = None; from polypskd.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "check", "none.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("polypskd: this verb needs the package polars, which is not")
    assert done.stderr.endswith("install polypskd with all its dependencies\n")
    assert done.stderr.count("\n") == 1
