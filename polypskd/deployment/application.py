"""The application of the image: where a container finds frames, bundle and settings.

Paths and variables are those of the MONAI Application Package 1.0.0. An argument counts more than
`HOLOSCAN_*`, this more than `MONAI_*` of older hosts, and this more than the folders of the image.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from polypskd.config.yaml_text import PageError, parse_yaml, read_text
from polypskd.deployment.manifest import MANIFEST
from polypskd.errors import ArtifactError, ConfigError, OutputError

MODELS = Path("/opt/holoscan/models")
SETTINGS = Path("/var/holoscan/app.yaml")
MODEL_NAME = "student"  # the bundle's folder below MODELS


@dataclass(frozen=True)
class Places:
    """Where a container looks.

    Args:
        input: frames.
        output: results.
        models: a bundle, or a folder that holds one.
        settings: options of `predict`, in YAML; it may be missing.
    """

    input: Path
    output: Path
    models: Path
    settings: Path


def find_places(
    environment: Mapping[str, str],
    given_input: Path | None = None,
    given_output: Path | None = None,
    given_model: Path | None = None,
) -> Places:
    """Find where frames, results, bundle and settings are.

    Args:
        environment: variables; empty ones count as absent.
        given_input: argument, if there is one.
        given_output: likewise.
        given_model: likewise.

    >>> find_places({"HOLOSCAN_INPUT_PATH": "/a", "MONAI_INPUTPATH": "/b"}).input.as_posix()
    '/a'
    >>> find_places({"MONAI_INPUTPATH": "/b"}, Path("/c")).input.as_posix()
    '/c'
    >>> find_places({}).output.as_posix()
    '/output'
    """

    def choose(given: Path | None, names: tuple[str, ...], otherwise: Path) -> Path:
        told = [environment[name] for name in names if environment.get(name)]
        return given or (Path(told[0]) if told else otherwise)

    return Places(
        choose(given_input, ("HOLOSCAN_INPUT_PATH", "MONAI_INPUTPATH"), Path("/input")),
        choose(given_output, ("HOLOSCAN_OUTPUT_PATH", "MONAI_OUTPUTPATH"), Path("/output")),
        choose(given_model, ("HOLOSCAN_MODEL_PATH", "MONAI_MODELPATH"), MODELS),
        choose(None, ("HOLOSCAN_CONFIG_PATH",), SETTINGS),
    )


def check_rights(places: Places) -> None:
    """Check that frames can be listed and results can be written.

    Raises:
        ConfigError: the input is missing or may not be read.
        OutputError: the output is missing or may not be written to.
    """
    user = f"user {os.geteuid()}, group {os.getegid()}"
    if not _exists(places.input):
        raise ConfigError(f"{places.input}: no input here; mount it: -v FRAMES:{places.input}:ro")
    needed = os.R_OK | os.X_OK if places.input.is_dir() else os.R_OK
    if not os.access(places.input, needed):
        raise ConfigError(
            f"{places.input}: may not be read by {user}; let it be read (chmod -R a+rX), or run "
            "as its owner (--user)"
        )
    if places.input.is_dir() and next(places.input.iterdir(), None) is None:
        raise ConfigError(f"{places.input}: empty; mount the frames: -v FRAMES:{places.input}:ro")
    if not places.output.is_dir():
        raise OutputError(f"{places.output}: no folder here; mount one: -v RESULTS:{places.output}")
    if not os.access(places.output, os.R_OK | os.W_OK | os.X_OK):
        raise OutputError(
            f"{places.output}: may not be written by {user}; give it that user (chown "
            f"{os.geteuid()}), or group 0 (chgrp 0, chmod g+rwx) and run with --user "
            f"{os.geteuid()}:0"
        )


def find_bundle(models: Path) -> Path:
    """Find the bundle: the folder itself, or the only one in it.

    Args:
        models: as in `Places`.

    Raises:
        ArtifactError: there is none, there are several, or the folder may not be read.
    """
    try:
        if (models / MANIFEST).exists():
            return models
        found = sorted(one.parent for one in models.glob(f"*/{MANIFEST}"))
        if not found and models.is_dir():
            for one in models.iterdir():  # what glob passes over in silence
                if one.is_dir():
                    next(one.iterdir(), None)
    except OSError as error:
        raise ArtifactError(
            f"{models}: may not be read by user {os.geteuid()}, group {os.getegid()} "
            f"({error.strerror}); let it be read (chmod -R a+rX)"
        ) from None
    if len(found) > 1:
        names = ", ".join(one.name for one in found[:5])
        raise ArtifactError(f"{models}: several bundles ({names}); choose one: --model FOLDER")
    if not found:
        raise ArtifactError(
            f"{models}: no bundle here; mount one: -v BUNDLE:{MODELS / MODEL_NAME}:ro"
        )
    return found[0]


def read_options(settings: Path) -> list[str]:
    """Read options of `predict` from a page of YAML.

    Args:
        settings: a mapping of options without their dashes, e.g. ``stride: 5``; `true` stands for
            an option without a value. Where there is no such file, there are no options.

    Returns:
        as they stand on a command line.

    Raises:
        ConfigError: it is no such page.
    """
    if not _exists(settings):
        return []
    try:
        page = parse_yaml(read_text(settings))
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "no UTF-8"
        raise ConfigError(f"{settings}: cannot be read ({why}); check its rights") from None
    except PageError as error:
        raise ConfigError(f"{settings}{error.place}: {error}; check it") from None
    if page is None:
        return []
    if not isinstance(page, dict):
        raise ConfigError(f"{settings}: no mapping of options; write lines such as stride: 5")
    options = []
    for name, value in page.items():
        if not isinstance(name, str) or not isinstance(value, str | int | float):
            raise ConfigError(f"{settings}: {str(name)[:40]}: no single value; write name: value")
        if value is True:
            options.append(f"--{name}")
        elif value is not False:
            options.append(f"--{name}={value}")
    return options


def _exists(path: Path) -> bool:
    """Tell whether there is something, readable or not."""
    try:
        path.lstat()
    except PermissionError:
        return True
    except OSError:
        return False
    return True
