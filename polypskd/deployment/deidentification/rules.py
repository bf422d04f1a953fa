"""The rule file: which devices write text where, and which private attributes are safe."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from polypskd.config.yaml_text import PageError, parse_yaml, read_text
from polypskd.deployment.deidentification.private import SafePrivate
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

    @property
    def vague(self) -> list[int]:
        """Numbers, from 1, of the rules that take any device: they name neither maker nor model.

        >>> Rules((Rule({"model": "CV*"}), Rule({"rows": 1080}))).vague
        [2]
        """
        named = {"manufacturer", "model"}
        return [n for n, rule in enumerate(self.rules, 1) if not named & set(rule.match)]

    def find(self, picture: Picture) -> Rule | None:
        """Find the rule of a picture."""
        return next((rule for rule in self.rules if rule.fits(picture)), None)


def read_rules(path: Path) -> Rules:
    """Read a rule file.

    Args:
        path: YAML: ``rules``, a list of ``match`` and one of ``black``, ``keep``, ``clean: true``;
            ``private``, a list of ``creator``, ``group``, ``element``.

    Raises:
        ConfigError: it cannot be read, or says what is not known: every fault, one a line.
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
    faults: list[str] = []
    _know("the file", page, ("rules", "private"), faults)
    rules = [_parse_rule(n, one, faults) for n, one in enumerate(_list(page, "rules", faults), 1)]
    private = [
        _parse_private(n, one, faults) for n, one in enumerate(_list(page, "private", faults), 1)
    ]
    if faults:
        raise ConfigError("\n".join(f"{path}: {fault}" for fault in faults))
    return Rules(
        tuple(one for one in rules if one is not None),
        tuple(one for one in private if one is not None),
    )


def _list(page: dict[str, Any], name: str, faults: list[str]) -> list[Any]:
    value = page.get(name) or []
    if isinstance(value, list):
        return value
    faults.append(f"{name} must be a list")
    return []


def _parse_rule(number: int, one: object, faults: list[str]) -> Rule | None:
    where = f"rule {number}"
    if not isinstance(one, dict) or not isinstance(one.get("match"), dict):
        faults.append(f"{where} needs `match:` with {', '.join(TEXTS + NUMBERS)}")
        return None
    _know(where, one, ("match", *DEEDS), faults)
    match = one["match"]
    _know(where, match, TEXTS + NUMBERS, faults)
    for name in (name for name in TEXTS + NUMBERS if name in match):
        kind, words = (int, "a whole number") if name in NUMBERS else (str, "text")
        if not isinstance(match[name], kind) or isinstance(match[name], bool):
            faults.append(f"{where}: {name} must be {words}")
        elif name == "kind" and match[name] not in KINDS:
            faults.append(f"{where}: kind must be one of {', '.join(KINDS)}")
    said = [name for name in DEEDS if one.get(name)]
    if len(said) != 1:
        faults.append(f"{where} must say one of `black:`, `keep:`, `clean: true`")
        return None
    if said == ["clean"]:
        if one["clean"] is not True:
            faults.append(f"{where}: clean must be true")
        return Rule(match, clean=True)
    areas = one[said[0]]
    if not isinstance(areas, list) or not all(_is_rectangle(area) for area in areas):
        faults.append(f"{where}: {said[0]} must be a list of [left, top, width, height] in pixels")
        return None
    rectangles = tuple((a, b, c, d) for a, b, c, d in areas)
    return Rule(match, black=rectangles) if said == ["black"] else Rule(match, keep=rectangles)


def _is_rectangle(area: object) -> bool:
    if not isinstance(area, list) or len(area) != 4:
        return False
    whole = all(isinstance(side, int) and not isinstance(side, bool) for side in area)
    return whole and min(area) >= 0 and area[2] > 0 and area[3] > 0


def _parse_private(number: int, one: object, faults: list[str]) -> SafePrivate | None:
    if isinstance(one, dict) and set(one) == {"creator", "group", "element"}:
        creator, group, element = one["creator"], one["group"], one["element"]
        worded = isinstance(creator, str) and 0 < len(creator) <= 64
        odd = isinstance(group, int) and group % 2 and 9 <= group <= 0xFFFF
        if worded and odd and isinstance(element, int) and 0 <= element <= 0xFF:
            return SafePrivate(creator.strip(), group, element)
    faults.append(
        f"private {number} needs creator (a text), group (odd, e.g. 0x0019) and element "
        "(0x00 to 0xFF)"
    )
    return None


def _know(where: str, given: dict[str, Any], known: tuple[str, ...], faults: list[str]) -> None:
    faults += [
        f"{where}: unknown {name!r}; use {', '.join(known)}" for name in given if name not in known
    ]
