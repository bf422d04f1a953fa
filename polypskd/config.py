"""The YAML's shape: one page is one experiment.

Every choice that changes what follows is a union told apart by ``kind``. Nothing in a config is
evaluated or imported; unknown keys are errors; paths are relative to the config file.
"""

from __future__ import annotations

import copy
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from polypskd.errors import ConfigError

Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(min_length=1)]


class Section(BaseModel):
    """A part of the config: frozen, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


# --- cohort -------------------------------------------------------------------------------------


class ImageFolder(Section):
    """Frames are image files under a folder; a frame's id is its path below the root."""

    kind: Literal["image_folder"] = "image_folder"
    root: Path


class NoFrames(Section):
    """Votes only: `check` and `derive` work, training does not."""

    kind: Literal["none"] = "none"


class SyntheticFrames(Section):
    """Frames and votes drawn by `polypskd.cohort.synthetic`; no file is read."""

    kind: Literal["synthetic"] = "synthetic"
    patients: Annotated[int, Field(ge=6)] = 60
    frames_per_patient: Count = 6
    size: Annotated[int, Field(ge=48, le=1024)] = 160
    difficulty: Annotated[float, Field(ge=0, le=1)] = 0.5
    annotators: Annotated[int, Field(ge=2, le=50)] = 7


Frames = Annotated[ImageFolder | NoFrames | SyntheticFrames, Field(discriminator="kind")]


class VotesTable(Section):
    """What the four table forms share."""

    path: Path
    frame: Name = "frame"
    missing: tuple[str, ...] = ("", "NA", "N/A", "null")  # cells that mean: did not vote


class LongVotes(VotesTable):
    """One row a vote."""

    kind: Literal["long"] = "long"
    annotator: Name = "annotator"
    vote: Name = "vote"


class WideVotes(VotesTable):
    """One row a frame, one column an annotator."""

    kind: Literal["wide"] = "wide"
    annotators: Annotated[tuple[Name, ...], Field(min_length=1)]


class CountVotes(VotesTable):
    """One row a frame, one column of counts a class; or votes for one class out of a total."""

    kind: Literal["counts"] = "counts"
    prefix: str | None = None  # columns <prefix><class>, as in CIFAR-10H
    columns: dict[str, Name] | None = None  # class: column
    votes_for: Name | None = None  # the class that `column` counts, as in MHIST
    column: Name | None = None
    out_of: Count | None = None

    @model_validator(mode="after")
    def _one_way(self) -> CountVotes:
        single = (self.votes_for, self.column, self.out_of)
        ways = [self.prefix is not None, self.columns is not None, any(single)]
        if sum(ways) != 1 or (any(single) and not all(single)):
            raise ValueError(
                "give exactly one of: prefix; columns; votes_for with column and out_of"
            )
        return self


class KnownSubclass(VotesTable):
    """One row a frame, with its known subclass; `merge` says to which class each belongs."""

    kind: Literal["subclass"] = "subclass"
    column: Name = "subclass"


class ClassFolders(Section):
    """The name of the folder that holds a frame is its class (or finer, with `merge`)."""

    kind: Literal["folders"] = "folders"


class SyntheticVotes(Section):
    """Votes of the simulated annotators that come with synthetic frames."""

    kind: Literal["synthetic"] = "synthetic"


Votes = Annotated[
    LongVotes | WideVotes | CountVotes | KnownSubclass | ClassFolders | SyntheticVotes,
    Field(discriminator="kind"),
]


class Metadata(Section):
    """A table with one row a frame whose columns are carried along (patient, split, lesion...)."""

    path: Path
    frame: Name = "frame"


class PatientColumn(Section):
    """Patient ids stand in a column of the metadata or of a one-row-a-frame votes table."""

    kind: Literal["column"] = "column"
    column: Name


class PatientPattern(Section):
    """The first group of a regular expression, searched in the frame id, is the patient id."""

    kind: Literal["pattern"] = "pattern"
    pattern: Name


class NoPatients(Section):
    """Patients are unknown: every frame stands for itself, and the report says so."""

    kind: Literal["none"] = "none"


Patients = Annotated[PatientColumn | PatientPattern | NoPatients, Field(discriminator="kind")]


class RandomSplit(Section):
    """By patient, stratified by class, seeded."""

    kind: Literal["random"] = "random"
    val: Share = 0.15
    test: Share = 0.25

    @model_validator(mode="after")
    def _some_train(self) -> RandomSplit:
        if self.val + self.test >= 1:
            raise ValueError(f"val + test is {self.val + self.test:g}; leave some for training")
        return self


class ColumnSplit(Section):
    """A given column; `val` carves a validation split out of train where the column has none."""

    kind: Literal["column"] = "column"
    column: Name
    train: tuple[str, ...] = ("train", "Train", "training")
    val_names: tuple[str, ...] = ("val", "Val", "validation", "Validation", "valid")
    test: tuple[str, ...] = ("test", "Test", "testing", "Testing")
    val: Share | None = None


Split = Annotated[RandomSplit | ColumnSplit, Field(discriminator="kind")]


class CohortConfig(Section):
    """What we were given."""

    frames: Frames
    votes: Votes
    classes: Annotated[tuple[Name, ...], Field(min_length=2)]  # lowest to highest clinical risk
    merge: dict[Name, Annotated[tuple[Name, ...], Field(min_length=1)]] | None = None
    ignore: tuple[Name, ...] = ()  # votes or folders whose frames are left out, and listed
    metadata: Metadata | None = None
    patients: Patients = NoPatients()
    split: Split = RandomSplit()
    max_megapixels: Annotated[float, Field(gt=0)] = 64.0
    min_side: Count = 16
    drop_faulty: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> CohortConfig:
        if any(set(name) & set('"/\n\r') for name in self.classes):
            raise ValueError("classes: a name holds a quote, a slash or a line break")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("classes: a name stands twice")
        if self.merge is not None:
            if set(self.merge) != set(self.classes):
                raise ValueError(f"merge: its keys must be the classes {list(self.classes)}")
            fine = [name for names in self.merge.values() for name in names]
            if len(set(fine)) != len(fine):
                raise ValueError("merge: a vote stands in two classes")
        if (self.frames.kind == "synthetic") != (self.votes.kind == "synthetic"):
            raise ValueError("frames and votes: synthetic frames go with synthetic votes")
        if self.frames.kind == "synthetic" and self.merge is not None:
            raise ValueError("merge: synthetic votes are not finer than the classes")
        if self.votes.kind == "folders" and self.frames.kind != "image_folder":
            raise ValueError("votes: kind folders needs frames of kind image_folder")
        return self

    @property
    def fine(self) -> dict[str, str]:
        """Every vote that may occur and its class, in the order of classes, then of merge."""
        merge = self.merge or {name: (name,) for name in self.classes}
        return {vote: name for name in self.classes for vote in merge[name]}


# --- labels -------------------------------------------------------------------------------------


class NoSubclasses(Section):
    """One subclass a class: SKD becomes KD."""

    kind: Literal["none"] = "none"


class AgreementLevels(Section):
    """Class × agreement level; thresholds or quantiles, easiest first."""

    kind: Literal["agreement_levels"] = "agreement_levels"
    levels: dict[Name, Annotated[float, Field(ge=0, le=1)]] | None = None  # name: lowest agreement
    quantiles: Annotated[int, Field(ge=2, le=20)] | None = None
    min_size: Count = 1  # training frames; smaller subclasses merge into the neighbouring level

    @model_validator(mode="after")
    def _one_way(self) -> AgreementLevels:
        if (self.levels is None) == (self.quantiles is None):
            raise ValueError("give exactly one of: levels, quantiles")
        if self.levels is not None:
            bounds = list(self.levels.values())
            if not bounds or any(a <= b for a, b in pairwise(bounds)):
                raise ValueError("levels: thresholds must fall from the easiest to the hardest")
        return self


class VoteCount(Section):
    """Class × number of votes for the consensus."""

    kind: Literal["vote_count"] = "vote_count"
    min_size: Count = 1


class KnownColumn(Section):
    """The fine vote itself (known subclasses, Sajedi & Plataniotis 2022), in the order of merge."""

    kind: Literal["known"] = "known"
    min_size: Count = 1


Subclasses = Annotated[
    NoSubclasses | AgreementLevels | VoteCount | KnownColumn, Field(discriminator="kind")
]
Order = Literal["easy_to_hard", "hard_to_easy", "random"]


class NoCurriculum(Section):
    """All examples from the first epoch."""

    kind: Literal["none"] = "none"


class StagedCurriculum(Section):
    """Cumulative stages (Wei et al. 2021): stage s joins at epoch s × epochs_per_stage."""

    kind: Literal["staged"] = "staged"
    order: Order = "easy_to_hard"
    epochs_per_stage: Count = 4


class PacedCurriculum(Section):
    """The share of examples grows from `start` to 1 within `until` of the epochs."""

    kind: Literal["paced"] = "paced"
    order: Order = "easy_to_hard"
    pace: Literal["linear", "root", "step"] = "root"
    start: Share = 0.3
    until: Annotated[float, Field(gt=0, le=1)] = 0.5
    steps: Annotated[int, Field(ge=2)] = 4  # for pace: step


Curriculum = Annotated[
    NoCurriculum | StagedCurriculum | PacedCurriculum, Field(discriminator="kind")
]


class Labels(Section):
    """What the votes mean."""

    subclasses: Subclasses = NoSubclasses()
    curriculum: Curriculum = NoCurriculum()
    resamples: Annotated[int, Field(ge=0)] = 1000  # bootstrap of the agreement coefficients


# --- what the network sees ----------------------------------------------------------------------


class Augment(Section):
    """Seeded views; strengths in [0, 1], 0 switches a transform off."""

    size: Annotated[int, Field(ge=16, le=1024)] = 128
    views: Count = 8
    color: Annotated[float, Field(ge=0, le=1)] = (
        0.2  # brightness, contrast, saturation; hue a tenth
    )
    flip: Literal["none", "horizontal", "both"] = "both"
    rotate: Annotated[float, Field(ge=0, le=180)] = 30.0  # degrees
    scale: Annotated[float, Field(ge=0, lt=1)] = 0.15
    blur: Annotated[float, Field(ge=0, le=1)] = 0.1  # probability
    cutout: Annotated[float, Field(ge=0, le=1)] = 0.2  # probability


class ResNet(Section):
    """MONAI ResNet; `width` is the number of channels of the first stage."""

    kind: Literal["resnet10", "resnet18", "resnet34", "resnet50"]
    # Other widths crash torch 2.13 on CPUs: its strided 1×1 convolution in channels_last writes
    # outside its memory when the channels are no multiple of 16 and the batch is odd.
    width: Annotated[int, Field(ge=16, le=256, multiple_of=16)] = 64
    stem_stride: Literal[1, 2] = 2
    max_pool: bool = True  # off for small frames such as 32 px
    weights: Path | None = None


class OtherNetwork(Section):
    """Further MONAI networks."""

    kind: Literal[
        "densenet121",
        "seresnext50",
        "efficientnet-b0",
        "efficientnet-b1",
        "efficientnet-b2",
        "efficientnet-b3",
        "efficientnet-b4",
    ]
    weights: Path | None = None


Network = Annotated[ResNet | OtherNetwork, Field(discriminator="kind")]


class Fit(Section):
    """How a network is trained."""

    epochs: Count = 30
    batch_size: Annotated[int, Field(ge=2)] = 32
    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: Annotated[float, Field(gt=0)] = 1.0e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1.0e-2
    warmup_epochs: Annotated[float, Field(ge=0)] = 1.0
    clip: Annotated[float, Field(gt=0)] = 5.0  # gradient norm
    precision: Literal["auto", "fp32", "bf16"] = (
        "auto"  # auto: bf16 where the machine is fast at it
    )


class Teacher(Section):
    """The heavy network."""

    network: Network = ResNet(kind="resnet18")
    fit: Fit = Fit()


class Plain(Section):
    """The student learns from the labels alone."""

    kind: Literal["none"] = "none"


class ConventionalKD(Section):
    """Hinton, Vinyals & Dean 2015, from a class-only teacher."""

    kind: Literal["kd"] = "kd"
    temperature: Annotated[float, Field(gt=0)] = 4.0
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.5


class SubclassKD(Section):
    """Sajedi & Plataniotis 2022 (a reconstruction: which hard term they used is not published)."""

    kind: Literal["skd"] = "skd"
    temperature: Annotated[float, Field(gt=0)] = 4.0
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.5
    hard_term: Literal["class", "subclass"] = "class"


Method = Annotated[Plain | ConventionalKD | SubclassKD, Field(discriminator="kind")]


class Student(Section):
    """The light network."""

    network: Network = ResNet(kind="resnet10", width=16)
    method: Method = SubclassKD()
    fit: Fit = Fit()


class EvaluationConfig(Section):
    """How the numbers are made."""

    resamples: Annotated[int, Field(ge=0)] = 2000
    calibration_bins: Annotated[int, Field(ge=2, le=100)] = 15
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95


class Config(Section):
    """One experiment."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 17
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    cohort: CohortConfig
    labels: Labels = Labels()
    augment: Augment = Augment()
    teacher: Teacher = Teacher()
    student: Student = Student()
    evaluation: EvaluationConfig = EvaluationConfig()


# --- reading ------------------------------------------------------------------------------------


class _UniqueKeys(yaml.SafeLoader):
    """A safe loader that refuses a key given twice: the last would silently win."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                line = node.start_mark.line + 1
                raise yaml.YAMLError(f"key {key!r} stands twice in the section at line {line}")
        return super().construct_mapping(node, deep=deep)


def read_config(path: Path, overrides: tuple[str, ...] = ()) -> Config:
    """Read a YAML file and apply ``key.sub=value`` overrides.

    Args:
        path: the YAML file; relative paths in it are taken from its folder.
        overrides: as given to ``--set``; each value is read as YAML.

    Raises:
        ConfigError: the file is missing, not YAML, or does not fit the shape.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path}: config file not found; `polypskd init` writes one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: cannot be read as UTF-8 text ({type(error).__name__})"
        ) from None
    try:
        raw = yaml.load(text, Loader=_UniqueKeys)  # noqa: S506  (a SafeLoader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
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
            raise ConfigError("\n".join(_tell(where, item) for item in error.errors())) from None
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
        raise ConfigError(f"--set {override}: write it as key.sub=value")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
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


def _tell(where: str, item: Any) -> str:
    keys = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        return f"{where}: unknown key {keys!r}; `polypskd schema` lists the keys"
    message = item["msg"].removeprefix("Value error, ")
    value = item.get("input")
    shown = f" {value!r}" if isinstance(value, str | int | float | bool) else ""
    return f"{where}: {keys}{shown}: {message}"


def _absolute(value: Any, folder: Path) -> Any:
    if isinstance(value, Path):
        return value if value.is_absolute() else (folder / value).resolve()
    if isinstance(value, dict):
        return {key: _absolute(item, folder) for key, item in value.items()}
    return value
