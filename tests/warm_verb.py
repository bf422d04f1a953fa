"""Verbs in processes of their own that need not import PyTorch anew, which takes seconds.

Each is forked from one server, which has imported what verbs import and done nothing else: own
memory, own signals, own exit code. `python -m polypskd` itself is run by test_pipeline.py,
test_cli.py and test_processes.py.
"""

import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from subprocess import CompletedProcess

SERVER = multiprocessing.get_context("forkserver")
# Nothing that starts threads, as polars does (and statsmodels, by it): a fork would lack them.
SERVER.set_forkserver_preload(
    [
        *("__main__", "pytest", "polypskd.cli", "torch", "torch.distributed", "torch._dynamo"),
        *("monai.networks.nets", "albumentations", "cv2", "pydicom", "matplotlib.pyplot"),
        *("sklearn.metrics", "scipy.stats", "scipy.optimize", "jinja2"),
    ]
)


class Running:
    """A verb that has been started; its process leads a group of its own."""

    def __init__(self, words: tuple[str, ...], cwd: Path | None, env: Mapping[str, str] | None):
        self._words = words
        self._folder = Path(tempfile.mkdtemp(prefix="verb-"))
        given = (words, str(cwd or Path.cwd()), dict(env or os.environ), str(self._folder))
        self._process = SERVER.Process(target=_serve, args=given)
        self._process.start()
        self.pid = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def finish(self, seconds: float = 240) -> CompletedProcess:
        """Wait, and give the exit code and what was said, as subprocess.run does."""
        self._process.join(seconds)
        code = self._process.exitcode
        if code is None:
            self._process.kill()
            self._process.join()
        self._process.close()
        told = [(self._folder / name).read_bytes().decode() for name in ("out", "err")]
        shutil.rmtree(self._folder)
        assert code is not None, f"it did not end within {seconds} s: {told}"
        return CompletedProcess(self._words, code, *told)


def start(*words: object, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Running:
    """Start `polypskd WORDS`."""
    return Running(tuple(map(str, words)), cwd, env)


def call(*words: object, cwd: Path | None = None, seconds: float = 240) -> CompletedProcess:
    """Run `polypskd WORDS` to its end."""
    return start(*words, cwd=cwd).finish(seconds)


def _serve(words: tuple[str, ...], folder: str, environment: dict[str, str], said: str) -> None:
    import sys

    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for stream, name in ((1, "out"), (2, "err")):
        file = os.open(Path(said, name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, stream)
        os.close(file)
    sys.argv = ["polypskd", *words]
    from polypskd.cli import main

    main()
