"""Build the serving image from a base that is made here, and run it as a hospital would.

    python docker/test_image [--data FOLDER --bundle FOLDER] [--keep FOLDER]

Needs root, Debian's packages podman, runc, conmon and mmdebstrap, and the virtual environment of
`make check`. Exit code 0: all is as it should be; 1: it is not; 77: it cannot be tried here, and
the last line says why.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from checks import CHECKS
from engine import CannotRunError, Engine, FailedError, import_base
from image import Image
from material import ROOT, Case, build_reference, draw_bundle, draw_frames, predict, read_results

NAME = "localhost/polypskd:serve"
CANNOT = 77


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def build_image(engine: Engine) -> float:
    """Build it; give the seconds that it took."""
    start = time.monotonic()
    trust = ["--volume=/etc/ssl/certs:/etc/ssl/certs:ro"] if Path("/etc/ssl/certs").is_dir() else []
    command = [
        "build",
        "--network=host",
        "--format=docker",
        *trust,
        "--target=serve",
        "--tag",
        NAME,
    ]
    engine.must(*command, "--file", ROOT / "docker/Dockerfile", ROOT, seconds=900)
    return time.monotonic() - start


def list_cases(work: Path, python: Path, data: Path | None, bundle: Path | None) -> list[Case]:
    """Judge frames outside of the container: by the lock's packages, and by this environment's."""
    drawn = draw_frames(work / "frames")
    plain = draw_bundle(work / "bundle")
    wanted = [("drawn frames", plain, drawn, ()), ("DICOM results", plain, drawn, ("--dicom",))]
    if data is not None:
        wanted.append(("given frames", bundle or plain, data, ("--dicom",)))
    cases = []
    for number, (name, model, frames, options) in enumerate(wanted):
        expected = work / f"expected{number}"
        case = Case(name, model, frames, options, expected, 1)
        case = Case(name, model, frames, options, expected, predict(python, case, expected))
        other = work / f"here{number}"
        code = predict(Path(sys.executable), case, other)
        found, locked = read_results(other), read_results(expected)
        if code != case.code or found != locked:
            names = [one for one in {*found, *locked} if found.get(one) != locked.get(one)]
            raise FailedError(
                f"{name}: this environment's packages say something else than the locked ones: "
                f"exit code {code} and {case.code}, {sorted(names)[:5]}"
            )
        cases.append(case)
    return cases


def try_image(engine: Engine, work: Path, options: argparse.Namespace) -> dict[str, float]:
    """Build the image and ask all questions; give the numbers."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "polypskd-image"
    import_base(engine, cache)
    say("ok    a base was made, and containers run")
    numbers = {"seconds of the build": round(build_image(engine), 1)}
    say("ok    the image was built")
    cases = list_cases(work, build_reference(work / "venv"), options.data, options.bundle)
    say("ok    predict says the same with the locked packages and with those of this environment")
    image = Image(engine, NAME, cases, work)
    failed = []
    for check in CHECKS:
        name = check.__name__.replace("_", " ")
        try:
            check(image)
        except FailedError as error:
            failed.append(name)
            say(f"FAIL  {name}: {error}")
        else:
            say(f"ok    {name}")
    if failed:
        raise FailedError(f"{len(failed)} of {len(CHECKS)} questions: {'; '.join(failed)}")
    return numbers | image.numbers


def main() -> int:
    """Do it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="further frames, also to be judged")
    parser.add_argument("--bundle", type=Path, help="a bundle for them")
    parser.add_argument("--keep", type=Path, help="keep images here, for the next time")
    options = parser.parse_args()
    # Told to stop, it clears away what it started and mounted.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="image-") as folder:
        work = Path(folder)
        work.chmod(0o755)
        storage = (options.keep or work / "storage").resolve()
        storage.mkdir(parents=True, exist_ok=True)
        try:
            engine = Engine(storage)
            try:
                numbers = try_image(engine, work, options)
            finally:
                engine.close(keep=options.keep is not None)
        except CannotRunError as error:
            say(f"cannot be tried here: {' '.join(str(error).split())}")
            return CANNOT
        except FailedError as error:
            say(f"failed: {error}")
            return 1
    say(json.dumps(numbers))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
