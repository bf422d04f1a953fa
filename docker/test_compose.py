"""Run what docker/compose.yaml says, with podman and the real Orthanc of Debian in Docker's place.

    python docker/test_image --keep IMAGES; python docker/test_compose.py IMAGES

Nothing here understands compose, so the lines of the file are read and given to podman one by one;
Orthanc runs beside it, with docker/orthanc/orthanc.json, in a network of its own. Needs root and
Debian's packages podman, runc, conmon, iproute2, orthanc and orthanc-dicomweb. Exit code 0: all is
as it should be; 1: it is not; 77: it cannot be tried here, and the last line says why.
"""

# ruff: noqa: S603, S607  the commands are Debian's, and their arguments are ours
from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
for room in ("docker/test_image", "tests/deployment", "tests/deployment/pacs"):
    sys.path.insert(0, str(ROOT / room))

from engine import CannotRunError, Engine, FailedError  # noqa: E402
from pydicom import dcmwrite  # noqa: E402
from small_bundle import write_bundle  # noqa: E402
from small_studies import build_instance  # noqa: E402

IMAGE, CONTAINER, CANNOT = "localhost/polypskd:serve", "polypskd-compose", 77
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
STUDIES = 3
PATHS = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
Ask = Callable[..., Any]


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def build_flags(service: dict[str, Any], work: Path) -> list[str]:
    """Give podman what compose would be given."""
    flags = ["--cap-drop=ALL"] if service["cap_drop"] == ["ALL"] else []
    flags += ["--read-only"] if service["read_only"] else []
    flags += [f"--security-opt={one.partition(':')[0]}" for one in service["security_opt"]]
    flags += [f"--tmpfs={one}" for one in service["tmpfs"]]
    flags += [f"--user={service['user']}", f"--memory={service['mem_limit']}"]
    flags += [f"--pids-limit={service['pids_limit']}", f"--stop-signal={service['stop_signal']}"]
    flags += ["--no-healthcheck"]  # its timer needs systemd; the command is called below
    for volume in service["volumes"]:
        tail = ":ro" if volume.get("read_only") else ""
        flags.append(f"--volume={work}{volume['target']}:{volume['target']}{tail}")
    for secret in service["secrets"]:
        flags.append(f"--volume={work}/secrets/{secret}:/run/secrets/{secret}:ro")
    return flags


def prepare(work: Path, service: dict[str, Any]) -> str:
    """Lay out what is mounted, as the head of the file says; give the password."""
    user = int(service["user"].partition(":")[0])
    for name in ("config", "state", "secrets", "orthanc/db", "orthanc/config"):
        (work / name).mkdir(parents=True)
    os.chown(work / "state", user, user)
    (work / "state").chmod(0o700)
    write_bundle(work / "bundle")
    text = (ROOT / "docker/orthanc/pacs.yaml").read_text()
    for slow, quick in (("poll_s: 30", "poll_s: 2"), ("settle_s: 60", "settle_s: 3")):
        if slow not in text:
            raise FailedError(f"docker/orthanc/pacs.yaml: has no {slow!r} that could be shortened")
        text = text.replace(slow, quick)
    (work / "config/pacs.yaml").write_text(text)
    password = secrets.token_hex(24)
    place = work / "secrets/pacs_password"
    place.write_text(f"{password}\n")
    os.chown(place, user, user)
    place.chmod(0o400)
    page = json.loads((ROOT / "docker/orthanc/orthanc.json").read_text())
    folder = str(work / "orthanc/db")
    page |= {"Plugins": [str(PLUGIN)], "StorageDirectory": folder, "IndexDirectory": folder}
    (work / "orthanc/config/orthanc.json").write_text(json.dumps(page))
    users = {"RegisteredUsers": {"polypskd": password}}
    (work / "orthanc/config/users.json").write_text(json.dumps(users))
    return password


def store_studies(work: Path, ask: Ask) -> None:
    """Store studies of today."""
    for number in range(STUDIES):
        study = build_instance(number)
        study.StudyDate = f"{date.today():%Y%m%d}"
        dcmwrite(work / "one.dcm", study, enforce_file_format=True)
        ask("instances", "--data-binary", f"@{work / 'one.dcm'}")


def wait_for(what: str, is_so: Callable[[], bool], seconds: float = 90) -> None:
    """Wait until something is so.

    Raises:
        FailedError: it is not, after so many seconds.
    """
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise FailedError(f"{what}: not after {seconds:.0f} s")
        time.sleep(0.5)


def try_services(engine: Engine, work: Path, space: str) -> None:
    """Start both, and see that each study is answered once.

    Raises:
        FailedError: something is not as it should be.
    """
    service = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())["services"]["polypskd"]
    password = prepare(work, service)
    inside = ["ip", "netns", "exec", space]
    login = f"polypskd:{password}"

    def ask(path: str, *more: str) -> Any:
        command = [*inside, "curl", "-sS", "-u", login, *more, f"http://127.0.0.1:8042/{path}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def start() -> None:
        flags = build_flags(service, work)
        flags += [f"--network=ns:/run/netns/{space}", "--add-host=orthanc:127.0.0.1"]
        engine.must("run", "--detach", f"--name={CONTAINER}", *flags, IMAGE, *service["command"])

    def count() -> dict[str, int]:
        return {one: len(ask(f"studies/{one}/instances")) for one in ask("studies")}

    with (work / "orthanc.log").open("w") as log:
        command = [*inside, "/usr/sbin/Orthanc", str(work / "orthanc/config")]
        orthanc = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_for("Orthanc answers", lambda: ask("system") is not None)
        store_studies(work, ask)
        start()
        wait_for("every study has one result", lambda: {*count().values()} == {2})
        say(f"ok    {STUDIES} studies were answered in a read-only container without rights")
        engine.must("exec", CONTAINER, *service["healthcheck"]["test"][1:])
        say("ok    the health check passes")
        engine.must("stop", "--time=60", CONTAINER)
        code = engine.must("inspect", "--format={{.State.ExitCode}}", CONTAINER).strip()
        told = engine.call("logs", CONTAINER)
        if code != "0" or password in told.out + told.said or "PLANTED" in told.out + told.said:
            raise FailedError(f"stopped with {code}, or the log tells too much: {told.said[-500:]}")
        say("ok    it stops when it is told to, and its log holds no password and no patient")
        engine.must("rm", CONTAINER)
        start()
        time.sleep(12)
        if count() != dict.fromkeys(count(), 2):
            raise FailedError(f"started again, it answers again: {count()}")
        say("ok    started again, it answers nothing twice")
    except FailedError:
        say(engine.call("logs", CONTAINER).said[-2000:])
        raise
    finally:
        engine.call("rm", "--force", "--time=0", CONTAINER)
        orthanc.terminate()
        orthanc.wait(30)


def main() -> int:
    """Do it."""
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python docker/test_compose.py IMAGES\n")
        return 2
    # Told to stop, it clears away what it started and mounted.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with ExitStack() as closing:
            try_images(Path(sys.argv[1]).resolve(), closing)
    except CannotRunError as error:
        say(f"not tried: {error}")
        return CANNOT
    except FailedError as error:
        say(f"FAIL  {error}")
        return 1
    return 0


def try_images(images: Path, closing: ExitStack) -> None:
    """Try what the folder of docker/test_image holds.

    Raises:
        CannotRunError: the image, a program or a right is missing.
        FailedError: something is not as it should be.
    """
    missing = [one for one in ("ip", "curl", "Orthanc") if not shutil.which(one, path=PATHS)]
    if missing or not PLUGIN.exists():
        raise CannotRunError(f"not installed: {', '.join(missing) or PLUGIN}")
    if not (images / "graph").is_dir():
        raise CannotRunError(f"{images}: no images here; docker/test_image --keep makes them")
    engine = Engine(images)
    closing.callback(engine.close, keep=True)
    if engine.call("image", "exists", IMAGE).code:
        raise CannotRunError(f"{images}: has no {IMAGE}; docker/test_image --keep makes it")
    space = f"polypskd-{os.getpid()}"
    delete = ["ip", "netns", "delete", space]
    closing.callback(subprocess.run, delete, capture_output=True, check=False)
    for command in (["add", space], ["exec", space, "ip", "link", "set", "lo", "up"]):
        if subprocess.run(["ip", "netns", *command], check=False).returncode:
            raise CannotRunError("no network of its own can be made (ip netns)")
    work = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="compose-")))
    work.chmod(0o755)
    try_services(engine, work, space)


if __name__ == "__main__":
    sys.exit(main())
