"""What a method asks of teacher and student: the meaning of their outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

import numpy as np

from polypskd.config import (
    DIST,
    DKD,
    LELP,
    NKD,
    ClassWise,
    ConventionalKD,
    LogitStandardization,
    Method,
    OrdinalSKD,
    Plain,
    SoftVotes,
    SubclassDistillation,
    SubclassKD,
)
from polypskd.errors import ConfigError
from polypskd.labels.outputs import refuse_few_outputs
from polypskd.labels.scheme import Scheme, class_scheme


@dataclass(frozen=True)
class Plan:
    """The outputs of a method's networks.

    Args:
        teacher: what the teacher's outputs mean; None where there is no teacher.
        student: what the student's outputs mean.
    """

    teacher: Scheme | None
    student: Scheme


def plan_method(method: Method, scheme: Scheme) -> Plan:
    """Plan a method, or refuse it where it is empty.

    Args:
        method: from the config.
        scheme: the subclasses of the labels.

    Raises:
        ConfigError: the method needs subclasses, or more than two outputs, and there are none.
    """
    classes = class_scheme(scheme)
    match method:
        case Plain():
            return Plan(None, _choose(method.outputs, scheme, method.kind))
        case SoftVotes():
            return Plan(None, classes)
        case ConventionalKD():
            return Plan(_choose(method.teacher, scheme, method.kind), classes)
        case SubclassKD() | OrdinalSKD():
            _need_subclasses(scheme, method.kind)
            return Plan(scheme, scheme)
        case SubclassDistillation():
            invented = invent_scheme(scheme, method.invented)
            return Plan(invented, invented)
        case LELP():
            return Plan(classes, invent_scheme(scheme, method.invented))
        case ClassWise():
            outputs = _choose(method.over, scheme, method.kind)
            return Plan(outputs, outputs)
        case DKD() | DIST() | NKD() | LogitStandardization():
            outputs = _choose(method.over, scheme, method.kind)
            refuse_few_outputs(method.kind, len(outputs.subclasses))
            return Plan(outputs, outputs)
        case _:
            assert_never(method)


def invent_scheme(scheme: Scheme, count: int) -> Scheme:
    """Give each class `count` subclasses that no annotator named.

    >>> two = Scheme(("a", "b"), ("a", "b"), np.arange(2), np.zeros(2, dtype=np.int64))
    >>> invent_scheme(two, 2).subclasses
    ('a/invented_1', 'a/invented_2', 'b/invented_1', 'b/invented_2')
    """
    names = tuple(
        f"{name}/invented_{index + 1}" for name in scheme.classes for index in range(count)
    )
    class_of = np.repeat(np.arange(len(scheme.classes)), count)
    return Scheme(scheme.classes, names, class_of, np.zeros(len(names), dtype=np.int64))


def _choose(over: str, scheme: Scheme, kind: str) -> Scheme:
    if over == "class":
        return class_scheme(scheme)
    _need_subclasses(scheme, kind)
    return scheme


def _need_subclasses(scheme: Scheme, kind: str) -> None:
    # SKD without subclasses is KD, and says so by its name being kd.
    if len(scheme.subclasses) == len(scheme.classes):
        raise ConfigError(
            f"student.method: {kind} needs a class with more than one subclass, and the labels "
            "give none; set labels.subclasses (or its levels), or use kd"
        )
