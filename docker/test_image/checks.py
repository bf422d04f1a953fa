"""What is asked of the serving image; each function is one question."""

# ruff: noqa: D103  the names say it
from __future__ import annotations

import json
import os
import shutil
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine import HARDENED
from image import (
    EXPORT,
    LARGEST,
    MODEL,
    PROGRAM,
    PYTHON,
    SHELLS,
    TRAINING,
    Image,
    expect,
    expect_line,
    expect_results,
    list_names,
)
from material import read_results

OUTSIDE = ("/", "/tmp", "/opt/holoscan/app", "/var/holoscan", "/input")  # noqa: S108


def it_is_small(image: Image) -> None:
    # What podman tells, and what a registry would store before it is compressed: the layers.
    engine = image.engine
    archive = image.work / "image.tar"
    engine.must("save", "--output", archive, image.name)
    with tarfile.open(archive) as parts:
        layers = sum(part.size for part in parts if part.isreg() and part.name.endswith(".tar"))
    archive.unlink()
    sizes = {"as podman images tells": engine.inspect(image.name)["Size"], "of all layers": layers}
    for name, size in sizes.items():
        image.numbers[f"MB {name}"] = round(size / 1e6, 1)
        expect(0 < size < LARGEST, f"{size} bytes {name}")


def it_says_what_it_is(image: Image) -> None:
    about = image.engine.inspect(image.name)
    settings, labels = about["Config"], about["Labels"]
    expect(settings["User"] == "10001:0", settings["User"])
    expect(settings["Entrypoint"] == [PROGRAM], settings["Entrypoint"])
    expect(about["Healthcheck"]["Test"] == ["CMD", PROGRAM, "app", "--check"], "health check")
    expect("research use only" in labels["org.opencontainers.image.description"].lower(), "label")
    expect({f"org.opencontainers.image.{name}" for name in ("title", "licenses")} <= {*labels}, "")
    variables = dict(one.split("=", 1) for one in settings["Env"])
    for name in ("ORT_DISABLE_TELEMETRY", "NO_ALBUMENTATIONS_UPDATE", "PYTHONDONTWRITEBYTECODE"):
        expect(variables.get(name) == "1", name)
    told = image.run("version").out.split()[-1]
    pages = json.loads(image.run("show").out)
    version = labels["org.opencontainers.image.version"]
    expect({version, told} == {pages["app.json"]["version"]}, f"{version}, {told}, {pages}")
    expect({"command", "type", "input", "output"} <= {*pages["app.json"]}, "app.json")
    expect(pages["pkg.json"]["applicationRoot"] == "/opt/holoscan/app/", "pkg.json")


def nothing_is_in_it_that_helps_an_intruder(image: Image) -> None:
    root = Path(image.engine.must("image", "mount", image.name).strip())
    try:
        found = list_helpful(root)
    finally:
        image.engine.must("image", "unmount", image.name)
    expect(not found, f"in the image: {found}")


def list_helpful(root: Path) -> list[str]:
    found = []
    for place, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(place, name)
            mode = path.lstat().st_mode
            shown = f"/{path.relative_to(root)}"
            if name in TRAINING or (name in SHELLS and name in files):
                found.append(shown)
            if not path.is_symlink() and mode & 0o6000:
                found.append(f"{shown} (setuid)")
            if not path.is_symlink() and mode & 0o002 and shown != "/tmp":  # noqa: S108
                found.append(f"{shown} (writable)")
    return found


def it_is_shut_in(image: Image) -> None:
    code = """
import json, os, socket
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines())
told = {name: status[name].strip() for name in ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp")}
told["uid"], told["gid"], told["groups"] = os.getuid(), os.getgid(), os.getgroups()
told["links"] = [name for _, name in socket.if_nameindex()]
for place in ("/", "/tmp", "/opt/holoscan/app", "/var/holoscan", "/input"):
    try:
        open(place + "/x", "w"); told[place] = "written"
    except OSError as error:
        told[place] = error.errno
try:
    socket.create_connection(("192.0.2.1", 80), 2); told["network"] = "reached"
except OSError as error:
    told["network"] = error.errno
print(json.dumps(told))
"""
    done = image.run("-c", code, more=(f"--entrypoint={PYTHON}",))
    told = json.loads(done.out)
    expect(told["uid"] == told["gid"] == 10001, str(told))
    expect(int(told["CapEff"], 16) == int(told["CapBnd"], 16) == 0, str(told))
    expect(told["NoNewPrivs"] == "1" and told["links"] == ["lo"], str(told))
    expect(told["network"] == 101, str(told))  # ENETUNREACH
    for place in OUTSIDE:
        expect(told[place] in (13, 30), str(told))  # EACCES, EROFS


def it_says_the_same_to_the_byte_as_predict_does_outside(image: Image) -> None:
    for case in image.cases:
        out = image.make_output()
        start = time.monotonic()
        done = image.judge(case, out)
        image.numbers[f"seconds of {case.name}"] = round(time.monotonic() - start, 2)
        expect_results(case, out, done)


def any_user_of_group_0_may_run_it(image: Image) -> None:
    out = image.make_output(0, 0, 0o770)
    expect_results(image.cases[0], out, image.judge(image.cases[0], out, "--user=55555:0"))


def it_is_found_by_the_variables_of_both_standards(image: Image) -> None:
    case = image.cases[0]
    environment = json.loads(image.run("show").out)["app.json"]["environment"]
    new = tuple(f"--env={name}={value}" for name, value in environment.items())
    old = ("--env=MONAI_INPUTPATH=/a", "--env=MONAI_OUTPUTPATH=/b", "--env=MONAI_MODELPATH=/c")
    places = {
        "of MAP 1.0.0": (("/var/holoscan/input", "/var/holoscan/output", MODEL), new, ()),
        "of MAP 0.1": (("/a", "/b", "/c"), old, ()),
        "given as arguments": (
            ("/d", "/e", "/f"),
            (*new, *old),
            ("app", "--input", "/d", "--output=/e", "--model", "/f", "--threads", "1"),
        ),
    }
    for name, (place, more, command) in places.items():
        out = image.make_output()
        mounts = ((case.frames, place[0]), (out, place[1]), (case.bundle, place[2]))
        done = image.run(*command, mounts=mounts, more=more)
        expect(read_results(out), f"{name}: {done.said}")
        expect_results(case, out, done)


def what_is_in_it_can_be_copied_out(image: Image) -> None:
    out = image.make_output()
    done = image.run("extract", mounts=((out, EXPORT), (image.cases[0].bundle, MODEL)))
    expect(done.code == 0, done.said)
    expect(list_names(out) == {"app", "config", "models", "docs"}, "parts")
    expect((out / "app" / "polypskd" / "cli.py").is_file(), "app")
    expect(list_names(out / "config") == {"app.json", "pkg.json", "app.yaml"}, "config")
    manifest = (out / "models" / "student" / "manifest.json").read_bytes()
    expect(manifest == (image.cases[0].bundle / "manifest.json").read_bytes(), "models")
    expect({"LICENSE", "image.md"} <= list_names(out / "docs"), "docs")
    out = image.make_output()
    (out / "docs").mkdir()
    (out / "docs").chmod(0o777)
    expect(image.run("extract", mounts=((out, EXPORT),)).code == 0, "docs alone")
    expect(list_names(out) == {"docs"} and list_names(out / "docs"), "docs alone")
    expect_line(image.run("extract"), EXPORT, "mount one")
    expect_line(image.run("extract", mounts=((image.make_output(0, 0), EXPORT),)), EXPORT)


def wrong_rights_are_told_in_one_line(image: Image) -> None:
    case = image.cases[0]
    bundle, frames = (case.bundle, MODEL), (case.frames, "/input")
    out = (image.make_output(), "/output")
    shut = image.work / "shut"
    shutil.copytree(case.bundle, shut)
    shut.chmod(0o700)
    changed = image.work / "changed"
    shutil.copytree(case.bundle, changed)
    (changed / "student.onnx").write_bytes((case.bundle / "student.onnx").read_bytes() + b"x")
    told = [
        ((bundle, frames), ("/output", "chown", "10001")),
        ((bundle, frames, (image.make_output(0, 0), "/output")), ("/output", "may not be written")),
        ((bundle, out), ("/input", "mount the frames")),
        ((bundle, (shut, "/input"), out), ("/input", "may not be read by user 10001")),
        ((frames, out), ("/opt/holoscan/models", "mount one")),
        (((shut, MODEL), frames, out), ("/opt/holoscan/models", "may not be read")),
        (((changed, MODEL), frames, out), ("student.onnx",)),
    ]
    for mounts, words in told:
        expect_line(image.run(mounts=mounts), *words)
    both = (bundle, frames, (image.make_output(), "/output"))
    done = image.run(mounts=both, more=("--user=55555:55555",))
    expect_line(done, "/output", "may not be written by user 55555")
    expect_line(image.run("demo"), "needs the package", "not installed")
    # A folder for results that is mounted read-only is no folder for results.
    fixed = f"--volume={image.make_output()}:/output:ro"
    expect_line(image.run(mounts=(bundle, frames), more=(fixed,)), "/output", "may not be written")


def its_health_is_checked_without_a_shell(image: Image) -> None:
    case, engine = image.cases[0], image.engine
    sleep = ("-c", "import time; time.sleep(120)")
    for bundle, wanted in ((case.bundle, 0), (image.work / "changed", 1)):
        volumes = [f"--volume={bundle}:{MODEL}:ro", f"--volume={case.frames}:/input:ro"]
        volumes.append(f"--volume={image.make_output()}:/output")
        hardened = [one for one in HARDENED if one != "--no-healthcheck"]
        command = ("run", "--detach", *hardened, "--user=10001:10001", *volumes)
        name = engine.must(*command, f"--entrypoint={PYTHON}", image.name, *sleep).strip()
        done = engine.call("healthcheck", "run", name)
        engine.must("rm", "--force", "--time", "0", name)
        expect(done.code == wanted, f"health {done.code} instead of {wanted}: {done.said}")


def it_stops_when_it_is_told_to(image: Image) -> None:
    case, engine = image.cases[0], image.engine
    many = image.work / "many"
    many.mkdir()
    for number in range(20_000):
        os.link(case.frames / "frame1.png", many / f"{number}.png")
    out = image.make_output()
    volumes = [f"--volume={case.bundle}:{MODEL}:ro", f"--volume={many}:/input:ro"]
    name = engine.must(
        "run", "--detach", *HARDENED, "--user=10001:10001", *volumes, f"--volume={out}:/output",
        image.name, "app", "--threads=1",
    ).strip()  # fmt: skip
    journal = out / ".predict" / "frames.jsonl"
    end = time.monotonic() + 30
    while not (journal.exists() and journal.stat().st_size) and time.monotonic() < end:
        time.sleep(0.05)
    start = time.monotonic()
    engine.must("stop", "--time", "30", name)
    took = time.monotonic() - start
    code = engine.must("inspect", "--format", "{{.State.ExitCode}}", name).strip()
    engine.must("rm", "--force", "--time", "0", name)
    expect(code == "130" and took < 25, f"exit code {code} after {took:.1f} s")
    expect(not (out / "predictions.csv").exists(), "results of a stopped run")


CHECKS: tuple[Callable[[Image], Any], ...] = (
    it_is_small,
    it_says_what_it_is,
    nothing_is_in_it_that_helps_an_intruder,
    it_is_shut_in,
    it_says_the_same_to_the_byte_as_predict_does_outside,
    any_user_of_group_0_may_run_it,
    it_is_found_by_the_variables_of_both_standards,
    what_is_in_it_can_be_copied_out,
    wrong_rights_are_told_in_one_line,
    its_health_is_checked_without_a_shell,
    it_stops_when_it_is_told_to,
)
