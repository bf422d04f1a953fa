"""Studies in a real archive, and the verbs as a test calls them."""

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager

import yaml
from orthanc import USER
from small_studies import build_instance, compress_as_jpeg, study_uid, write_bytes
from typer.testing import CliRunner

from polypskd.cli import app
from polypskd.errors import PolypskdError

LEVELS = {"Study": "StudyInstanceUID", "Instance": "SOPInstanceUID"}


@contextmanager
def keep_studies(server, name):
    """Give what uploads studies that this test alone asks for; they are removed in the end."""
    word = re.sub(r"\W", "-", name)[-60:]
    first = 1000 + sum(map(ord, name)) * 20
    made = []

    def upload(count=3, frames=2):
        for number in range(first, first + count):
            told = [build_instance(number, turn, StudyDescription=word) for turn in range(frames)]
            told[-1] = compress_as_jpeg(told[-1])
            server.upload(*map(write_bytes, told))
            made.append(study_uid(number))
        return word, [*range(first, first + count)]

    yield upload
    for uid in made:
        delete_study(server, uid)


def find_own(server, uid, level="Study"):
    """Find the names that the server itself has for a study or instance."""
    asked = {"Level": level, "Query": {LEVELS[level]: uid}}
    with server.rest() as rest:
        return rest.post(f"{server.address}/tools/find", json=asked, timeout=30).json()


def delete_study(server, uid):
    with server.rest() as rest:
        for own in find_own(server, uid):
            rest.delete(f"{server.address}/studies/{own}", timeout=30)


def count_modalities(server, numbers):
    """Count the instances of each modality in each study."""
    told = []
    for number in numbers:
        found = Counter()
        for own in find_own(server, study_uid(number)):
            for series in server.ask(f"/studies/{own}/series"):
                found[series["MainDicomTags"]["Modality"]] += len(series["Instances"])
        told.append(dict(found))
    return told


def write_settings(folder, server, word, url=None, **more):
    folder.mkdir(exist_ok=True)
    (folder / "password").write_text(more.pop("secret", server.password))
    (folder / "password").chmod(0o600)
    archive = {"kind": "dicomweb", "url": url or server.web, "username": USER}
    page = {
        "archive": archive | {"password_file": "password"},
        "query": {"description": word},
        "transfer": {"tries": 3, "first_wait_s": 0.01, "longest_wait_s": 0.05, "read_s": 20},
        "watch": {"poll_s": 0.2, "settle_s": 0, "heartbeat_s": 0.3},
        "threads": 2,
    } | more
    path = folder / "pacs.yaml"
    path.write_text(yaml.safe_dump(page))
    return path


def call(*arguments):
    """Call a verb in this process; give its exit code and what it says."""
    done = CliRunner().invoke(app, [*map(str, arguments)])
    if isinstance(done.exception, PolypskdError):
        return 1, str(done.exception)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout


def run(settings, bundle, out, *more):
    code, told = call("pacs", "run", settings, bundle, "--out", out, "--quiet", "--json", *more)
    return code, json.loads(told) if told.startswith("{") else told


def start(*arguments):
    """Start a verb in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "polypskd", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def wait_for(path, least, process):
    """Wait until a file has so many lines."""
    end = time.monotonic() + 30
    while time.monotonic() < end and process.poll() is None:
        if path.exists() and path.read_bytes().count(b"\n") >= least:
            return
        time.sleep(0.001)


def list_left(out):
    """List what lies in the folder beside journal and lock."""
    return [
        path.relative_to(out).as_posix()
        for path in out.rglob("*")
        if path.is_file() and path.name not in {"journal.jsonl", "lock"}
    ]
