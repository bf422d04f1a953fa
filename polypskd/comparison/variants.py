"""From the name of a method to the page of one of its runs."""

from __future__ import annotations

import json
from collections.abc import Sequence

from polypskd.config import Config, parse_config
from polypskd.errors import ConfigError

FAMILY = ("kd", "skd", "subclass_distillation", "class_wise", "ordinal_skd")
KINDS = ("none", *FAMILY, "soft_votes", "lelp", "dkd", "dist", "nkd", "logit_std")
PRESETS: dict[str, tuple[str, ...]] = {
    "none_subclass": ("student.method={kind: none, outputs: subclass}",),
    "none_smoothing": ("student.method={kind: none, smoothing: 0.1}",),
    "kd_subclass_teacher": ("student.method={kind: kd, teacher: subclass}",),
    "skd_subclass_term": ("student.method={kind: skd, hard_term: subclass}",),
    "class_wise_subclass": ("student.method={kind: class_wise, over: subclass}",),
    "dkd_subclass": ("student.method={kind: dkd, over: subclass}",),
    "dist_subclass": ("student.method={kind: dist, over: subclass}",),
    "nkd_subclass": ("student.method={kind: nkd, over: subclass}",),
    "logit_std_subclass": ("student.method={kind: logit_std, over: subclass}",),
    "anti_curriculum": ("labels.curriculum.order=hard_to_easy",),
    "random_curriculum": ("labels.curriculum.order=random",),
    "no_curriculum": ("labels.curriculum={kind: none}",),
}


def name_methods(config: Config) -> list[str]:
    """List what `compare` knows by name: kinds, controls, and the config's own variants."""
    return [*KINDS, *PRESETS, "random_subclasses", *config.comparison.variants]


def build_variant(config: Config, method: str, seed: int) -> Config:
    """Build the config of one run.

    The temperature and alpha of the config's method go over to the other methods that mix a soft
    and a hard term; all else of a method is its default.

    Args:
        config: the page.
        method: one of `name_methods`.
        seed: training seed.

    Raises:
        ConfigError: the name is not known, or its settings do not fit the page.
    """
    own = config.comparison.variants
    if method in own:
        overrides = own[method]
    elif method in PRESETS:
        overrides = PRESETS[method]
        if "curriculum.order" in overrides[0] and config.labels.curriculum.kind == "none":
            raise ConfigError(f"{method}: the config has no curriculum to reverse; set one")
    elif method == "random_subclasses":
        rule = config.labels.subclasses.model_dump(mode="json")
        if rule["kind"] in {"none", "random"}:
            raise ConfigError(
                "random_subclasses: the config has no subclasses to shuffle; set them"
            )
        shuffled = {"kind": "random", "of": rule}
        overrides = (*_of_kind(config, "skd"), f"labels.subclasses={json.dumps(shuffled)}")
    elif method in KINDS:
        overrides = _of_kind(config, method)
    else:
        raise ConfigError(f"--methods {method}: not known; use {', '.join(name_methods(config))}")
    raw = config.model_dump(mode="json")
    for key in ("seed", "cohort"):
        if any(setting.split("=")[0].split(".")[0] == key for setting in overrides):
            raise ConfigError(
                f"comparison.variants.{method}: may not change {key}: all methods of a comparison "
                "are judged on the same frames"
            )
    # All methods of a comparison are judged on the same frames, whatever their subclasses.
    raw["labels"]["levels_by"] = raw["labels"]["levels_by"] or raw["labels"]["subclasses"]
    return parse_config(raw, (*overrides, f"training_seed={seed}"), where=f"compare, {method}")


def _of_kind(config: Config, kind: str) -> tuple[str, ...]:
    given = config.student.method.model_dump(mode="json")
    if given["kind"] == kind:
        return (f"student.method={json.dumps(given)}",)
    kept = {key: given[key] for key in ("temperature", "alpha") if key in given}
    section = {"kind": kind} | (kept if kind in FAMILY and len(kept) == 2 else {})
    return (f"student.method={json.dumps(section)}",)


def check_comparison(config: Config, methods: Sequence[str], seeds: int) -> None:
    """Refuse what cannot be compared, before anything is trained.

    Raises:
        ConfigError: too few seeds or methods, or a method that is not known or does not fit.
    """
    if seeds < 2:
        raise ConfigError(f"--seeds {seeds}: two seeds at least, or no spread can be told; use 3")
    if len(set(methods)) < 2:
        raise ConfigError("--methods: name two different methods at least, e.g. none,kd,skd")
    for method in methods:
        build_variant(config, method, 0)
