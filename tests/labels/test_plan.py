import numpy as np
import pytest
from pydantic import TypeAdapter

from polypskd.config import Method, has_teacher
from polypskd.errors import ConfigError
from polypskd.labels.plan import plan_method
from polypskd.labels.scheme import Scheme, class_scheme

SCHEME = Scheme(
    ("low", "high"),
    ("low/easy", "low/hard", "high/easy", "high/hard"),
    np.array([0, 0, 1, 1]),
    np.array([0, 1, 0, 1]),
)
PLAIN = class_scheme(SCHEME)
KINDS = {
    "none": (None, 2),
    "soft_votes": (None, 2),
    "kd": (2, 2),
    "skd": (4, 4),
    "ordinal_skd": (4, 4),
    "subclass_distillation": (10, 10),
    "lelp": (2, 10),
    "class_wise": (2, 2),
}
OVER = ["dkd", "dist", "nkd", "logit_std"]


def method(kind: str, **more: object) -> Method:
    return TypeAdapter(Method).validate_python({"kind": kind, **more})


@pytest.mark.parametrize("kind", KINDS)
def test_each_method_asks_for_its_outputs(kind):
    plan = plan_method(method(kind), SCHEME)
    taught, learnt = KINDS[kind]
    assert len(plan.student.subclasses) == learnt
    assert (len(plan.teacher.subclasses) if plan.teacher else None) == taught
    assert has_teacher(method(kind)) == (taught is not None)
    assert set(plan.student.class_of.tolist()) == {0, 1}


@pytest.mark.parametrize(
    ("kind", "more", "taught", "learnt"),
    [
        ("none", {"outputs": "subclass"}, None, 4),
        ("kd", {"teacher": "subclass"}, 4, 2),
        ("class_wise", {"over": "subclass"}, 4, 4),
        *((kind, {"over": "subclass"}, 4, 4) for kind in OVER),
    ],
)
def test_a_control_changes_the_outputs(kind, more, taught, learnt):
    plan = plan_method(method(kind, **more), SCHEME)
    assert len(plan.student.subclasses) == learnt
    assert (len(plan.teacher.subclasses) if plan.teacher else None) == taught


@pytest.mark.parametrize("kind", OVER)
def test_what_is_empty_with_two_outputs_is_refused_with_the_remedy(kind):
    reason = {
        "dkd": "non-target term is always 0",
        "nkd": "non-target term is always 0",
        "dist": "is their order's sign",
        "logit_std": "erases all confidence",
    }
    with pytest.raises(ConfigError, match=rf"{kind} needs 3 .*{reason[kind]}.*over: subclass"):
        plan_method(method(kind), SCHEME)


@pytest.mark.parametrize("kind", ["skd", "ordinal_skd"])
def test_subclass_methods_need_subclasses(kind):
    with pytest.raises(ConfigError, match=r"set labels\.subclasses .* or use kd"):
        plan_method(method(kind), PLAIN)


@pytest.mark.parametrize("kind", ["none", "kd", "soft_votes", "subclass_distillation", "lelp"])
def test_the_others_do_without(kind):
    assert plan_method(method(kind), PLAIN).student.classes == ("low", "high")
