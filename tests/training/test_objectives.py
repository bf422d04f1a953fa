"""Each method's loss, put together, against its formula."""

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from scipy.special import log_softmax, logsumexp, softmax
from torch.nn import functional

from polypskd.config import Method
from polypskd.training.losses import effort_weights
from polypskd.training.objectives import Labels, build_objective

CLASS_OF = torch.tensor([0, 0, 1, 1, 1])
ROWS = torch.arange(6)


def method(kind: str, **more: object) -> Method:
    return TypeAdapter(Method).validate_python({"kind": kind, **more})


def draw(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def labels(**more: torch.Tensor) -> Labels:
    outputs = torch.tensor([0, 1, 2, 3, 4, 0])
    given = {"classes": CLASS_OF[outputs], "outputs": outputs, "class_of": CLASS_OF}
    return Labels(**given | {"teacher": draw(2, 6, 2, 5), "teacher_class_of": CLASS_OF} | more)


def by_class(z: np.ndarray) -> np.ndarray:
    return np.stack([logsumexp(z[:, :2], axis=1), logsumexp(z[:, 2:], axis=1)], axis=1)


def soft(z: np.ndarray, t: np.ndarray, temperature: float) -> float:
    p, q = softmax(t / temperature, axis=1), softmax(z / temperature, axis=1)
    return float((p * (np.log(p) - np.log(q))).sum(1).mean() * temperature**2)


def hard(z: np.ndarray, y: torch.Tensor) -> float:
    return float(-log_softmax(z, axis=1)[np.arange(6), y.numpy()].mean())


@pytest.mark.parametrize("view", [0, 1])
def test_skd_mixes_the_view_of_the_teacher_with_the_class(view):
    z, data = draw(1, 6, 5), labels()
    got = build_objective(method("skd", temperature=3, alpha=0.3), data).loss(z, ROWS, view)
    expected = 0.3 * soft(z.numpy(), data.teacher[:, view].float().numpy(), 3) + 0.7 * hard(
        by_class(z.numpy()), data.classes
    )
    assert got.item() == pytest.approx(expected, rel=1e-5)


def test_kd_of_a_subclass_teacher_sums_its_subclasses_before_softening():
    z = draw(1, 6, 2)
    data = labels(class_of=torch.tensor([0, 1]))
    given = method("kd", teacher="subclass", temperature=4, alpha=1)
    t = by_class(data.teacher[:, 0].float().numpy())
    got = build_objective(given, data).loss(z, ROWS, 0)
    assert got.item() == pytest.approx(soft(z.numpy(), t, 4), rel=1e-5)


def test_class_wise_without_effort_is_kd_to_the_bit():
    weights = torch.from_numpy(
        effort_weights(np.array([0.5, 0.1, 0, 0.2, 0.9]), np.ones(5) / 5, gamma=0, form="graded")
    )
    found = []
    for given, weigh in (
        (method("kd", teacher="class", temperature=3, alpha=0.4), None),
        (method("class_wise", temperature=3, alpha=0.4, gamma=0), lambda history: weights),
    ):
        z = draw(1, 6, 5).float().requires_grad_()
        objective = build_objective(given, labels(), weigh=weigh)
        objective.begin([{}])
        loss = objective.loss(z, ROWS, 0)
        loss.backward()
        found.append((loss.detach(), z.grad))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


def test_class_wise_weighs_each_example_by_its_output():
    z, data = draw(1, 6, 5), labels()
    weights = torch.tensor([2.0, 0.5, 1.0, 1.5, 0.0])
    given = method("class_wise", temperature=2, alpha=0, gamma=1, over="subclass")
    objective = build_objective(given, data, weigh=lambda history: weights)
    objective.begin([])
    each = -log_softmax(by_class(z.numpy()), axis=1)[np.arange(6), data.classes.numpy()]
    expected = (weights[data.outputs].numpy() * each).mean()
    assert objective.loss(z, ROWS, 0).item() == pytest.approx(expected, rel=1e-5)


def test_soft_votes_are_targets_of_the_class_probabilities():
    z, targets = draw(1, 6, 5), draw(3, 6, 2).softmax(1)
    got = build_objective(method("soft_votes"), labels(soft=targets)).loss(z, ROWS, 0)
    expected = -(targets.numpy() * log_softmax(by_class(z.numpy()), axis=1)).sum(1).mean()
    assert got.item() == pytest.approx(expected)


def test_ordinal_skd_without_a_soft_term_learns_the_spread_targets():
    z, targets = draw(1, 6, 5), draw(3, 6, 5).softmax(1)
    got = build_objective(method("ordinal_skd", alpha=0), labels(soft=targets)).loss(z, ROWS, 0)
    expected = -(targets.numpy() * log_softmax(z.numpy(), axis=1)).sum(1).mean()
    assert got.item() == pytest.approx(expected)


def test_lelp_takes_the_cached_probabilities_as_they_are():
    z, data = draw(1, 6, 5), labels()
    got = build_objective(method("lelp"), data).loss(z, ROWS, 1)
    t = data.teacher[:, 1].float().numpy()
    assert got.item() == pytest.approx(soft(z.numpy(), t, 1), rel=1e-5)


def test_the_decoupled_term_warms_up_over_the_epochs():
    z, data = draw(1, 6, 5), labels()
    objective = build_objective(method("dkd", over="subclass", warmup_epochs=4), data)
    seen = []
    for epoch in range(6):
        objective.begin([{}] * epoch)
        seen.append(objective.loss(z, ROWS, 0).item() - hard(z.numpy(), data.outputs))
    np.testing.assert_allclose(np.array(seen) / seen[-1], [0.25, 0.5, 0.75, 1, 1, 1], rtol=1e-5)


@pytest.mark.parametrize("kind", ["dist", "nkd", "logit_std"])
def test_the_others_add_their_term_to_the_cross_entropy(kind):
    data = labels()
    z = data.teacher[:, 0].float()
    got = build_objective(method(kind, over="subclass"), data).loss(z, ROWS, 0)
    alone = functional.cross_entropy(z, data.outputs)
    # A student that answers as its teacher has no distance left, but for nkd's cross entropy.
    assert got.item() >= alone.item() - 1e-6
    if kind != "nkd":
        assert got.item() == pytest.approx(alone.item(), rel=1e-4)


def test_label_smoothing_and_subclass_outputs_need_no_teacher():
    z, data = draw(1, 6, 5), labels()
    given = method("none", outputs="subclass", smoothing=0.2)
    expected = functional.cross_entropy(z, data.outputs, label_smoothing=0.2)
    torch.testing.assert_close(build_objective(given, data).loss(z, ROWS, 0), expected)


@pytest.mark.parametrize("kind", ["kd", "skd", "lelp", "dkd", "dist"])
def test_a_method_without_its_teacher_is_refused(kind):
    with pytest.raises(ValueError, match="needs a teacher"):
        build_objective(method(kind), labels(teacher=None))
