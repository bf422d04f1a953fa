"""The rule file: which devices write text where, and which private attributes are safe."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from polypskd.config.yaml_text import PageError, parse_yaml, read_text
from polypskd.deployment.private import SafePrivate
from polypskd.errors import ConfigError

Rectangle = tuple[int, int, int, int]
TEXTS = ("kind", "manufacturer", "model")
NUMBERS = ("rows", "columns")
KINDS = ("dicom", "image", "video")
DEEDS = ("black", "keep", "clean")


@dataclass(frozen=True)
class Picture:
    """What a rule is matched with.

    Args:
        kind: dicom, image or video.
        rows: height in pixels.
        columns: width in pixels.
        manufacturer: of a DICOM file; else empty.
        model: the manufacturer's name for it; else empty.
        burned: BurnedInAnnotation of a DICOM file; else empty.
    """

    kind: str
    rows: int
    columns: int
    manufacturer: str = ""
    model: str = ""
    burned: str = ""


@dataclass(frozen=True)
class Rule:
    """What is done to the frames of a device.

    Args:
        match: what a picture must have: kind, manufacturer, model (with * and ?, in either case),
            rows, columns.
        black: rectangles (left, top, width, height) made black.
        keep: if not empty, all outside of these rectangles is made black.
        clean: the device writes nothing into its frames.
    """

    match: dict[str, str | int]
    black: tuple[Rectangle, ...] = ()
    keep: tuple[Rectangle, ...] = ()
    clean: bool = False

    def fits(self, picture: Picture) -> bool:
        """Whether a picture is of this device.

        >>> rule = Rule({"manufacturer": "olympus*", "rows": 1080}, clean=True)
        >>> rule.fits(Picture("dicom", 1080, 1920, "OLYMPUS MEDICAL SYSTEMS"))
        True
        >>> rule.fits(Picture("dicom", 720, 1280, "OLYMPUS MEDICAL SYSTEMS"))
        False
        """
        for name, wanted in self.match.items():
            found = getattr(picture, name)
            if isinstance(wanted, int):
                if found != wanted:
                    return False
            elif not fnmatchcase(found.strip().lower(), wanted.strip().lower()):
                return False
        return True


@dataclass(frozen=True)
class Rules:
    """A rule file; the first rule that fits a picture is the one.

    Args:
        rules: in the file's order.
        private: attributes called safe.
    """

    rules: tuple[Rule, ...] = ()
    private: tuple[SafePrivate, ...] = ()

    def find(self, picture: Picture) -> Rule | None:
        """Find the rule of a picture."""
        return next((rule for rule in self.rules if rule.fits(picture)), None)


def read_rules(path: Path) -> Rules:
    """Read a rule file.

    Args:
        path: YAML: ``rules``, a list of ``match`` and one of ``black``, ``keep``, ``clean: true``;
            ``private``, a list of ``creator``, ``group``, ``element``.

    Raises:
        ConfigError: it cannot be read, or says something that is not known.
    """
    try:
        page = parse_yaml(read_text(path))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); check --rules") from None
    except (PageError, UnicodeDecodeError):
        raise ConfigError(
            f"{path}: not valid YAML; see docs/deidentify.md for a rule file"
        ) from None
    if not isinstance(page, dict):
        raise ConfigError(f"{path}: must hold `rules:`, `private:`, or both")
    _know(path, "the file", page, ("rules", "private"))
    rules = [_parse_rule(path, n, one) for n, one in enumerate(_list(path, page, "rules"), 1)]
    private = [
        _parse_private(path, n, one) for n, one in enumerate(_list(path, page, "private"), 1)
    ]
    return Rules(tuple(rules), tuple(private))


def _list(path: Path, page: dict[str, Any], name: str) -> list[Any]:
    value = page.get(name) or []
    if not isinstance(value, list):
        raise ConfigError(f"{path}: {name} must be a list")
    return value


def _parse_rule(path: Path, number: int, one: object) -> Rule:
    where = f"rule {number}"
    if not isinstance(one, dict) or not isinstance(one.get("match"), dict):
        raise ConfigError(f"{path}: {where} needs `match:` with {', '.join(TEXTS + NUMBERS)}")
    _know(path, where, one, ("match", *DEEDS))
    match = one["match"]
    _know(path, where, match, TEXTS + NUMBERS)
    for name, value in match.items():
        kind = int if name in NUMBERS else str
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ConfigError(f"{path}: {where}: {name} must be a {kind.__name__}")
    if match.get("kind", KINDS[0]) not in KINDS:
        raise ConfigError(f"{path}: {where}: kind must be one of {', '.join(KINDS)}")
    said = [name for name in DEEDS if one.get(name)]
    if len(said) != 1:
        raise ConfigError(f"{path}: {where} must say one of `black:`, `keep:`, `clean: true`")
    if said == ["clean"]:
        if one["clean"] is not True:
            raise ConfigError(f"{path}: {where}: clean must be true")
        return Rule(match, clean=True)
    areas = one[said[0]]
    if not isinstance(areas, list) or not all(_is_rectangle(area) for area in areas):
        raise ConfigError(
            f"{path}: {where}: {said[0]} must be a list of [left, top, width, height] in pixels"
        )
    rectangles = tuple((a, b, c, d) for a, b, c, d in areas)
    return Rule(match, black=rectangles) if said == ["black"] else Rule(match, keep=rectangles)


def _is_rectangle(area: object) -> bool:
    if not isinstance(area, list) or len(area) != 4:
        return False
    whole = all(isinstance(side, int) and not isinstance(side, bool) for side in area)
    return whole and min(area) >= 0 and area[2] > 0 and area[3] > 0


def _parse_private(path: Path, number: int, one: object) -> SafePrivate:
    fault = ConfigError(
        f"{path}: private {number} needs creator (a text), group (odd, e.g. 0x0019) and element "
        "(0x00 to 0xFF)"
    )
    if not isinstance(one, dict) or set(one) != {"creator", "group", "element"}:
        raise fault
    creator, group, element = one["creator"], one["group"], one["element"]
    if not isinstance(creator, str) or not isinstance(group, int) or not isinstance(element, int):
        raise fault
    if not (group % 2 and 9 <= group <= 0xFFFF and 0 <= element <= 0xFF and 0 < len(creator) <= 64):
        raise fault
    return SafePrivate(creator.strip(), group, element)


def _know(path: Path, where: str, given: dict[str, Any], known: tuple[str, ...]) -> None:
    for name in given:
        if name not in known:
            raise ConfigError(f"{path}: {where}: unknown {name!r}; use {', '.join(known)}")
