"""The pages tell the truth: keys, kinds, defaults, bounds, examples and links."""

import copy
import re
import shlex
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import pytest
import yaml

from polypskd.comparison.variants import build_variant
from polypskd.config import Config, parse_config
from polypskd.labels.curriculum import check_curriculum

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "config.md").read_text(encoding="utf-8")
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "annotations/README.md")]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
SCHEMA = Config.model_json_schema()
NOT_BOUNDS = {"default", "minLength"}
# Places that take the kinds of a union described elsewhere; their rows refer to it.
REPEATS = {"labels.levels_by": "labels.subclasses", "labels.subclasses.of": "labels.subclasses"}
KEYS, KINDS = ["key", "default", "allowed", "what it does"], ["kind", "choose it when"]
CODE = re.compile(r"`([^`]+)`")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Field(NamedTuple):
    """A key of the schema: the section's path, its kind if it has one, and the key's schema."""

    path: str
    kind: str
    key: str
    schema: dict
    required: bool


class Table(NamedTuple):
    heading: str
    header: list
    rows: list


def resolve(schema: dict) -> dict:
    return SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def value_of(schema: dict) -> dict:
    """Leave out that a key may be null."""
    given = [part for part in schema.get("anyOf", []) if part.get("type") != "null"]
    return resolve(given[0] if given else schema)


def variants(schema: dict) -> dict:
    """Kind → section, of a union; one section without a kind; nothing of a plain value."""
    schema = value_of(schema)
    if "discriminator" in schema:
        mapping = schema["discriminator"]["mapping"]
        return {kind: resolve({"$ref": ref}) for kind, ref in mapping.items()}
    return {"": schema} if "properties" in schema else {}


def walk(sections: dict, path: str = ""):
    for kind, section in sections.items():
        for key, schema in section["properties"].items():
            if key != "kind":
                place = f"{path}.{key}".lstrip(".")
                yield Field(path, kind, key, schema, key in section.get("required", []))
                yield from walk({} if place in REPEATS else variants(schema), place)


def unions(sections: dict, path: str = ""):
    """Give the path of each union and its kinds."""
    for section in sections.values():
        for key, schema in section["properties"].items():
            place = f"{path}.{key}".lstrip(".")
            below = {} if place in REPEATS else variants(schema)
            if "" not in below and below:
                yield place, set(below)
            yield from unions(below, place)


FIELDS = list(walk({"": SCHEMA}))
UNIONS = dict(unions({"": SCHEMA}))
PATHS = {field.path for field in FIELDS} | set(UNIONS)


def cells(line: str) -> list:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def read_tables(page: str) -> list:
    tables, heading, header = [], "", None
    for line in FENCE.sub("", page).splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        if not line.startswith("|"):
            header = None
        elif header is None:
            header = cells(line)
            tables.append(Table(heading, header, []))
        elif set(line) - set("|- "):
            tables[-1].rows.append(cells(line))
    return tables


TABLES = read_tables(PAGE)


def places(heading: str) -> set:
    """Give the (path, kind) that a heading names; a union without kinds means all of them."""
    named = CODE.findall(heading)
    paths = [name for name in named if name in PATHS] or [""]
    kinds = [name for name in named if name not in paths]
    return {(path, kind) for path in paths for kind in kinds or UNIONS.get(path, {""})}


ROWS = {
    (path, kind, CODE.fullmatch(row[0])[1]): row
    for table in TABLES
    if table.header == KEYS
    for path, kind in places(table.heading)
    for row in table.rows
}


def name_of(field: Field) -> str:
    return ".".join(filter(None, [field.path, field.kind, field.key]))


def minimal() -> dict:
    return {
        "name": "x",
        "cohort": {
            "frames": {"kind": "image_folder", "root": "frames"},
            "votes": {"kind": "long", "path": "votes.csv"},
            "classes": ["low", "high"],
        },
    }


def merge(whole: dict, part: dict) -> dict:
    """Lay a fragment over a config; a section that names its kind replaces the whole section."""
    for key, value in part.items():
        if isinstance(value, dict) and "kind" not in value and isinstance(whole.get(key), dict):
            merge(whole[key], value)
        else:
            whole[key] = copy.deepcopy(value)
    return whole


def test_the_page_has_a_row_for_every_key_and_no_other():
    assert set(ROWS) == {(field.path, field.kind, field.key) for field in FIELDS}


def test_every_union_has_a_table_with_all_its_kinds_and_no_other():
    found = {
        path: {kind for row in table.rows for kind in CODE.findall(row[0])}
        for table in TABLES
        if table.header == KINDS
        for path, _ in places(table.heading)
    }
    assert found == UNIONS


def test_every_key_and_every_kind_of_the_schema_stands_in_backticks():
    words = {field.key for field in FIELDS} | {k for kinds in UNIONS.values() for k in kinds}
    for section in SCHEMA["$defs"].values():
        kind = section["properties"].get("kind", {})
        words |= {*section["properties"], *kind.get("enum", []), *filter(None, [kind.get("const")])}
    assert words - {"kind"} <= set(CODE.findall(FENCE.sub("", PAGE)))


@pytest.mark.parametrize(("place", "told"), REPEATS.items())
def test_a_union_that_is_not_told_again_is_part_of_the_one_its_row_refers_to(place, told):
    (field,) = (field for field in FIELDS if f"{field.path}.{field.key}" == place)
    (whole,) = (field for field in FIELDS if f"{field.path}.{field.key}" == told)
    assert variants(field.schema).items() <= variants(whole.schema).items()
    assert f"`{told}`" in ROWS[field[:3]][2]


@pytest.mark.parametrize("field", FIELDS, ids=name_of)
def test_the_default_of_a_row_is_the_schemas(field):
    shown = ROWS[field[:3]][1]
    default = field.schema.get("default")
    if field.required:
        assert shown == "required"
    elif default is None:
        assert shown == "not set"
    elif set(variants(field.schema)) == {""}:
        assert shown == "below"
    else:
        value = yaml.safe_load(CODE.fullmatch(shown)[1])
        if isinstance(default, dict) and "kind" in default:
            # A row shows the kind and what that kind does not have of itself.
            section = variants(field.schema)[value["kind"]]["properties"]
            own = {key: schema["default"] for key, schema in section.items() if "default" in schema}
            value = own | value
        assert value == default
        assert type(value) is type(default) or {type(value), type(default)} == {int, float}


@pytest.mark.parametrize("field", FIELDS, ids=name_of)
def test_the_allowed_values_of_a_row_name_every_choice_and_every_bound(field):
    allowed = ROWS[field[:3]][2]
    schema = value_of(field.schema)
    choices = schema.get("enum", [True, False] if schema.get("type") == "boolean" else [])
    named = [yaml.safe_load(word) for word in CODE.findall(allowed)]
    if choices:
        assert named == choices or set(named) == set(choices)
    inner = schema.get("additionalProperties")
    parts = [schema, *([inner] if isinstance(inner, dict) else [])]
    told = [value for part in parts for name, value in part.items() if name not in NOT_BOUNDS]
    bounds = {float(value) for value in told if type(value) in {int, float}}
    numbers = {float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", allowed)}
    assert bounds <= numbers
    if schema.keys() & {"exclusiveMinimum", "exclusiveMaximum"}:
        assert "above" in allowed or "exclusive" in allowed


BLOCKS = [text for language, text in FENCE.findall(PAGE) if language == "yaml"]


@pytest.mark.parametrize("text", BLOCKS, ids=range(len(BLOCKS)))
def test_every_yaml_of_the_page_is_valid(text):
    config = parse_config(merge(minimal(), yaml.safe_load(text)))
    for name in config.comparison.variants:
        assert build_variant(config, name, 18).training_seed == 18


def test_every_kind_but_the_networks_is_shown_by_an_example():
    shown = set()
    for text in BLOCKS:
        config = parse_config(merge(minimal(), yaml.safe_load(text))).model_dump()
        for path in UNIONS:
            section = config
            for key in path.split("."):
                section = section[key]
            shown.add((path, section["kind"]))
    asked = {(path, kind) for path, kinds in UNIONS.items() for kind in kinds}
    assert {path for path, kind in asked - shown} <= {"teacher.network", "student.network"}


SHELL = "".join(text for language, text in FENCE.findall(PAGE) if language == "sh")
COMMANDS = [*SHELL.splitlines(), *re.findall(r"`(--set [^`]+)`", PAGE)]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_set_of_the_page_is_valid_and_changes_something(command):
    words = shlex.split(command)
    settings = tuple(after for word, after in pairwise(words) if word == "--set")
    assert settings
    assert parse_config(minimal(), settings) != parse_config(minimal())


FIRST = next(table for table in TABLES if "500 frames" in table.header)


def first_values(size: str) -> Config:
    column = FIRST.header.index(f"{size} frames")
    settings = (f"{CODE.fullmatch(r[0])[1]}={CODE.fullmatch(r[column])[1]}" for r in FIRST.rows)
    return parse_config(minimal(), tuple(settings))


@pytest.mark.parametrize("size", ["500", "5,000", "50,000"])
def test_the_first_values_are_valid_and_let_every_stage_join(size):
    config = first_values(size)
    stages = config.labels.subclasses.quantiles
    for part in (config.teacher, config.student):
        check_curriculum(config.labels.curriculum, stages, part.fit.epochs)


def test_the_first_values_take_the_disk_space_that_the_page_says():
    sentence = re.search(r"about ([\d.]+), ([\d.]+)\s+and ([\d.]+) GB", PAGE)
    for said, size in zip(sentence.groups(), ("500", "5,000", "50,000"), strict=True):
        config, frames = first_values(size), int(size.replace(",", ""))
        train = frames * (1 - config.cohort.split.val - config.cohort.split.test)
        bytes_ = 3 * config.augment.size**2 * (frames + config.augment.views * train)
        assert bytes_ / 1e9 == pytest.approx(float(said), rel=0.15)


def links(page: Path) -> list:
    text = CODE.sub("", FENCE.sub("", page.read_text(encoding="utf-8")))
    found = re.findall(r"\]\(\s*<?([^)>\s]+)", text) + re.findall(
        r"^\[[^\]]+\]:\s*(\S+)", text, re.M
    )
    return [unquote(link) for link in found if not re.match(r"[a-z][a-z0-9+.-]*:", link)]


def anchors(page: Path) -> set:
    """Give the anchors of a page's headings, as they are made from their words."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ +(.+?) *$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_relative_link_leads_somewhere_in_the_project(page):
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), link


def test_the_index_leads_to_every_page_or_to_its_folder():
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / link.partition("#")[0]).resolve() for link in links(index)}
    pages = [page for page in (ROOT / "docs").rglob("*.md") if page != index]
    assert [page for page in pages if not linked & {page, *page.parents[:-1]} - {ROOT}] == []


README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = [text for language, text in FENCE.findall(README) if language == "python"]


def test_the_readmes_python_runs_as_it_stands_one_block_after_the_other(
    tmp_path, monkeypatch, capsys
):
    rows = [
        f"f{i},a{j},{'high' if (i + (j == i % 7)) % 2 else 'low'}"
        for i in range(60)
        for j in range(5)
    ]
    (tmp_path / "votes.csv").write_text("\n".join(["frame,annotator,vote", *rows]) + "\n")
    levels = {"kind": "agreement_levels", "levels": {"easy": 0.9, "hard": 0.0}, "min_size": 2}
    page = minimal() | {"labels": {"subclasses": levels, "resamples": 0}}
    page["cohort"]["frames"] = {"kind": "none"}
    (tmp_path / "polypskd.yaml").write_text(yaml.safe_dump(page))
    monkeypatch.chdir(tmp_path)
    assert len(PYTHON) == 3
    names: dict = {}
    for block in PYTHON:
        exec(block, names)  # noqa: S102
    told = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in told[:-1]] == list(dict.fromkeys(told_names(names)))
    assert re.fullmatch(
        r"macro-F1 [+-]0\.\d{3} \[[+-]0\.\d{3}, [+-]0\.\d{3}\], p [01]\.\d{3}", told[-1]
    )
    assert names["found"].low <= names["found"].value <= names["found"].high
    assert names["student"].grad.abs().sum() > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["polypskd.yaml", "votes.csv"]


def told_names(names: dict) -> list:
    return [row["name"] for row in names["described"]["subclasses"]]


def test_every_extra_that_is_named_exists_and_the_readme_says_how_a_clone_takes_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    known = set(project["optional-dependencies"])
    named = {
        name
        for page in PAGES
        for names in re.findall(r"'(?:polypskd|\.)\[([a-z,]+)\]'", page.read_text(encoding="utf-8"))
        for name in names.split(",")
    }
    assert named <= known
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "pip install '.[video]'" in readme
    assert "pip install 'polypskd[video]'" in readme
