"""YAML → Config, with overrides; every key that does not fit is told.

Nothing in a config is evaluated or imported; unknown keys are errors; paths are relative to the
config file.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from polypskd.config.experiment import Config
from polypskd.config.misfits import describe_misfit
from polypskd.config.yaml_text import PageError, parse_yaml, read_text
from polypskd.errors import ConfigError


def read_config(path: Path, overrides: tuple[str, ...] = ()) -> Config:
    """Read a YAML file and apply ``key.sub=value`` overrides.

    Args:
        path: the YAML file; relative paths in it are taken from its folder.
        overrides: as given to ``--set``; each value is read as YAML.

    Raises:
        ConfigError: the file is missing, not YAML, or does not fit the shape.
    """
    try:
        raw = parse_yaml(read_text(path))
    except FileNotFoundError:
        raise ConfigError(f"{path}: config file not found; `polypskd init` writes one") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a folder; give its config.yaml") from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: is no UTF-8 text (byte {error.start + 1:,}); save it as UTF-8"
        ) from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); check its rights") from None
    except PageError as error:
        raise ConfigError(f"{path}{error.place}: not valid YAML: {error}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: the file must be a YAML mapping; see configs/ for examples")
    return parse_config(raw, overrides, where=str(path), folder=path.parent.resolve())


def parse_config(
    raw: dict[str, Any],
    overrides: tuple[str, ...] = (),
    *,
    where: str = "config",
    folder: Path | None = None,
) -> Config:
    """Validate a mapping with overrides; relative paths are made absolute from `folder`.

    Raises:
        ConfigError: with every key that does not fit, one a line.
    """
    raw = copy.deepcopy(raw)
    defaults = _defaults(raw) if overrides else {}
    replaced = [s for override in overrides if (s := _apply(raw, override, defaults))]
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        if not _drop_keys_of_old_kind(raw, error, replaced):
            told = [describe_misfit(raw, item) for item in error.errors()]
            raise ConfigError("\n".join(f"{where}: {line}" for line in told)) from None
        return parse_config(raw, where=where, folder=folder)
    if folder is None:
        return config
    dumped: dict[str, Any] = _absolute(config.model_dump(), folder)
    return Config.model_validate(dumped)


def _defaults(raw: dict[str, Any]) -> dict[str, Any]:
    """Give every section with its defaults; nothing if the file itself is not valid yet."""
    try:
        return Config.model_validate(raw).model_dump()
    except ValidationError:
        return {}


def _apply(raw: dict[str, Any], override: str, defaults: dict[str, Any]) -> str | None:
    """Set one value in place; return the section's path if its kind was replaced."""
    key, sep, text = override.partition("=")
    if not sep or not key:
        raise ConfigError(
            f"--set {override}: write it as key=value, e.g. seed=3 or student.method.temperature=2"
        )
    try:
        value = parse_yaml(text)
    except PageError:
        raise ConfigError(f"--set {override}: the value is not valid YAML") from None
    *parents, last = key.split(".")
    section = raw
    for parent in parents:
        defaults = defaults.get(parent) or {} if isinstance(defaults, dict) else {}
        # A section that the file leaves out is the default one, kind included.
        below = section.setdefault(parent, copy.deepcopy(defaults))
        if not isinstance(below, dict):
            raise ConfigError(f"--set {override}: {parent!r} is not a section")
        section = below
    new_kind = last == "kind" and section.get("kind") != value
    section[last] = value
    return ".".join(parents) if new_kind else None


def _drop_keys_of_old_kind(
    raw: dict[str, Any], error: ValidationError, replaced: list[str]
) -> bool:
    """Take out keys that belonged to a kind replaced by --set, so that shared ones are kept."""
    dropped = False
    for item in error.errors():
        if not item["loc"]:  # of the page as a whole
            continue
        *place, last = item["loc"]
        for section in replaced:
            parents = section.split(".")
            # A union adds the kind's own name to the path of its fields.
            inside = list(place[: len(parents)]) == parents and len(place) <= len(parents) + 1
            if item["type"] == "extra_forbidden" and inside:
                target = raw
                for parent in parents:
                    target = target[parent]
                dropped |= target.pop(str(last), None) is not None
    return dropped


def _absolute(value: Any, folder: Path) -> Any:
    if isinstance(value, Path):
        return value if value.is_absolute() else (folder / value).resolve()
    if isinstance(value, dict):
        return {key: _absolute(item, folder) for key, item in value.items()}
    return value
