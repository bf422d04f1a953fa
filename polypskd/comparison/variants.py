"""From the name of a method to the page of one of its runs."""

from __future__ import annotations

import json
from collections.abc import Sequence

from polypskd.config import Config, parse_config
from polypskd.errors import ConfigError

FAMILY = ("kd", "skd", "subclass_distillation", "class_wise", "ordinal_skd")
KINDS = ("none", *FAMILY, "soft_votes", "lelp", "dkd", "dist", "nkd", "logit_std")
# A control is a method of the page with one thing changed.
CONTROLS: dict[str, tuple[str, dict[str, object]]] = {
    "none_subclass": ("none", {"outputs": "subclass"}),
    "none_smoothing": ("none", {"smoothing": 0.1}),
    "kd_subclass_teacher": ("kd", {"teacher": "subclass"}),
    "skd_subclass_term": ("skd", {"hard_term": "subclass"}),
    "class_wise_subclass": ("class_wise", {"over": "subclass"}),
    "dkd_subclass": ("dkd", {"over": "subclass"}),
    "dist_subclass": ("dist", {"over": "subclass"}),
    "nkd_subclass": ("nkd", {"over": "subclass"}),
    "logit_std_subclass": ("logit_std", {"over": "subclass"}),
}
ORDERS = {
    "anti_curriculum": "labels.curriculum.order=hard_to_easy",
    "random_curriculum": "labels.curriculum.order=random",
    "no_curriculum": "labels.curriculum={kind: none}",
}
REFERENCES = ("none", "kd", "random_subclasses")
# What all methods of a comparison share: the frames on which they are judged, and their pairing.
SHARED = ("seed", "training_seed", "cohort", "labels.levels_by")


def name_methods(config: Config) -> list[str]:
    """List what `compare` knows by name: kinds, controls, and the config's own variants."""
    return [*KINDS, *CONTROLS, *ORDERS, "random_subclasses", *config.comparison.variants]


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
        _refuse_shared(method, overrides)
    elif method in CONTROLS:
        kind, changed = CONTROLS[method]
        overrides = _of_kind(config, kind, changed)
    elif method in ORDERS:
        overrides = (ORDERS[method],)
        if config.labels.curriculum.kind == "none":
            raise ConfigError(f"{method}: the config has no curriculum to change; set one")
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
    # All methods of a comparison are judged on the same frames, whatever their subclasses.
    raw["labels"]["levels_by"] = config.labels.leveling.model_dump(mode="json")
    return parse_config(raw, (*overrides, f"training_seed={seed}"), where=f"compare, {method}")


def list_references(config: Config, methods: Sequence[str]) -> list[str]:
    """List the methods that every other one is compared with.

    They are `none`, `kd`, and each method whose subclasses are shuffled, a variant of the page too:
    it stands beside those that it is the control of.

    Args:
        config: the page.
        methods: names.
    """
    variants = [
        name
        for name in methods
        if name in config.comparison.variants
        and build_variant(config, name, 0).labels.subclasses.kind == "random"
    ]
    return [*(name for name in REFERENCES if name in methods), *dict.fromkeys(variants)]


def _of_kind(
    config: Config, kind: str, changed: dict[str, object] | None = None
) -> tuple[str, ...]:
    given = config.student.method.model_dump(mode="json")
    section = given if given["kind"] == kind else {"kind": kind}
    if given["kind"] in FAMILY and kind in FAMILY:
        section |= {key: given[key] for key in ("temperature", "alpha")}
    return (f"student.method={json.dumps(section | (changed or {}))}",)


def _refuse_shared(method: str, overrides: Sequence[str]) -> None:
    for setting in overrides:
        key = setting.partition("=")[0]
        for shared in SHARED:
            if key == shared or key.startswith(f"{shared}."):
                raise ConfigError(
                    f"comparison.variants.{method}: may not change {key}: all methods of a "
                    "comparison are judged on the same frames"
                )


def check_comparison(config: Config, methods: Sequence[str], seeds: int) -> None:
    """Refuse what cannot be compared, before anything is trained.

    Raises:
        ConfigError: too few seeds or methods, or a method that is not known or does not fit.
    """
    if seeds < 2:
        raise ConfigError(f"--seeds {seeds}: two seeds at least, or no spread can be told; use 3")
    if len(set(methods)) < 2:
        raise ConfigError("--methods: name two different methods at least, e.g. none,kd,skd")
    known = name_methods(config)
    if unknown := [name for name in methods if name not in known]:
        raise ConfigError(f"--methods {','.join(unknown)}: not known; use {', '.join(known)}")
    for method in methods:
        build_variant(config, method, 0)
    if not list_references(config, methods):
        raise ConfigError(f"--methods: name one to compare with: {', '.join(REFERENCES)}")
