"""Compare DebiasPL with numbers computed independently, for three classes."""

import pytest
import torch

from daso.methods.addons.debias import Debias
from daso.methods.addons.distribution_alignment import DistributionAlignment
from daso.ops.distributions import debiased
from daso.ops.losses import cross_entropy
from daso.records import Output, Role, Step
from tests.methods.conftest import fixmatch

MEAN = (0.7, 0.2, 0.1)


def make_debias(env, mean=None, **options):
    debias = Debias(env, **{"strength": 0.5, "momentum": 0.9, "margin": "updated"} | options)
    if mean:
        debias.mean.commit(torch.tensor(mean))
    return debias


def make_step(batch, logits):
    """Return a step whose weak views have these logits (U, K)."""
    rows = torch.tensor(logits, dtype=torch.float32)
    return Step(batch, {"weak": Output(torch.zeros(len(rows), 2), rows, {})})


def log_rows(*rows):
    return torch.tensor(rows).log().tolist()


def test_running_mean_is_per_class(env, batch):
    """.9 x 1/3 + .1 x mean of (.7, .2, .1), (.5, .3, .2), which is (.6, .25, .15); then of (.7, .15, .15).

    A mean over all entries, images and classes, would always be 1/3 and remove no bias.
    """
    debias = make_debias(env)
    assert debias.mean.shares.tolist() == pytest.approx([1 / 3] * 3)
    debias.commit(make_step(batch, log_rows(MEAN, (0.5, 0.3, 0.2))), ())
    assert debias.mean.shares.tolist() == pytest.approx([0.36, 0.325, 0.315], abs=1e-6)
    debias.commit(make_step(batch, log_rows((0.8, 0.1, 0.1), (0.6, 0.2, 0.2))), ())
    assert debias.mean.shares.tolist() == pytest.approx([0.394, 0.3075, 0.2985], abs=1e-6)


def test_running_mean_with_large_momentum(env, batch):
    debias = make_debias(env, momentum=0.999)
    debias.commit(make_step(batch, log_rows(MEAN, (0.5, 0.3, 0.2))), ())
    assert debias.mean.shares.tolist() == pytest.approx([0.3336, 0.33325, 0.33315], abs=1e-6)


@pytest.mark.parametrize(
    ("strength", "expected"),
    [
        (0.0, [0.50648, 0.307196, 0.186324]),
        (0.4, [0.356848, 0.357243, 0.285909]),
        (0.5, [0.321747, 0.365091, 0.313162]),
        (1.0, [0.1755, 0.372561, 0.451939]),
        (2.0, [0.037798, 0.280843, 0.681359]),
    ],
)
def test_pseudo_label_is_debiased(env, batch, strength, expected):
    debias, step = make_debias(env, MEAN, strength=strength), make_step(batch, [[2.0, 1.5, 1.0]])
    adjusted = debias.adjust(step.out["weak"].logits, Role.PSEUDO_LABEL, step).softmax(-1)
    assert adjusted[0].tolist() == pytest.approx(expected, abs=1e-5)
    assert debias.pseudo_labels(step, ())["debiased"][0].tolist() == pytest.approx(expected, abs=1e-5)


def test_debiasing_lowers_frequent_and_raises_rare_classes(env, batch):
    """Confidences change: class 0 from .990867 to .983749, still above .95; class 2 from .964663 to .978196."""
    debias, step = make_debias(env, MEAN, strength=0.4), make_step(batch, [[6.0, 1.0, 0.0], [0.0, 0.0, 4.0]])
    logits = step.out["weak"].logits
    assert logits.softmax(-1).amax(-1).tolist() == pytest.approx([0.990867, 0.964663], abs=1e-5)
    adjusted = debias.adjust(logits, Role.PSEUDO_LABEL, step).softmax(-1)
    assert adjusted.amax(-1).tolist() == pytest.approx([0.983749, 0.978196], abs=1e-5)
    assert adjusted.argmax(-1).tolist() == [0, 2]


@pytest.mark.parametrize(
    ("strength", "expected"),
    [
        (0.0, [1.464369, 0.464369, 1.964369]),
        (0.4, [1.073429, 0.574534, 2.351793]),
        (1.0, [0.622349, 0.875112, 3.068259]),
    ],
)
def test_margin_lowers_the_loss_of_frequent_classes(env, batch, strength, expected):
    """Cross-entropies of logits (1, 2, .5) with each class."""
    debias, step = make_debias(env, MEAN, strength=strength, margin="previous"), make_step(batch, [[0.0, 0.0, 0.0]])
    adjusted = debias.adjust(torch.tensor([[1.0, 2.0, 0.5]] * 3), Role.CONSISTENCY, step)
    assert cross_entropy(adjusted, torch.arange(3)).tolist() == pytest.approx(expected, abs=1e-5)


def test_gradient_for_logits_but_not_for_the_mean(env, batch):
    """The gradient of the logits is softmax(logits + .4 log mean) - one_hot(0)."""
    weak = torch.zeros(1, 3, requires_grad=True)
    step = Step(batch, {"weak": Output(torch.zeros(1, 2), weak, {})})
    debias = make_debias(env, MEAN, strength=0.4, momentum=0.0)
    logits = torch.tensor([[1.0, 2, 0.5]], requires_grad=True)
    cross_entropy(debias.adjust(logits, Role.CONSISTENCY, step), torch.tensor([0])).sum().backward()
    assert weak.grad is None
    debias = make_debias(env, MEAN, strength=0.4, margin="previous")
    z = torch.tensor([[1.0, 2, 0.5]], requires_grad=True)
    cross_entropy(debias.adjust(z, Role.CONSISTENCY, step), torch.tensor([0])).sum().backward()
    assert z.grad[0].tolist() == pytest.approx([-0.658166, 0.562967, 0.095198], abs=1e-5)


def test_debiased_cross_entropy_is_a_margin_loss():
    """CE of (z + lambda log p) = log sum_j exp(z_j - z_y + lambda log p_j - lambda log p_y), in double precision."""
    z, p = torch.tensor([[1.0, 2.0, 0.5]], dtype=torch.float64), torch.tensor(MEAN, dtype=torch.float64)
    for y in range(3):
        margins = (z[0] - z[0, y] + 0.4 * (p.log() - p[y].log())).exp().sum().log()
        loss = torch.nn.functional.cross_entropy(debiased(z, p, -0.4), torch.tensor([y]))
        assert loss.item() == pytest.approx(margins.item(), abs=1e-12)


@pytest.mark.parametrize(
    ("mean", "margin", "losses"),
    [
        ((0.6, 0.3, 0.1), "updated", [0.445139, 0.731188]),
        ((0.6, 0.3, 0.1), "previous", [0.456835, 0.742875]),
        (None, "updated", None),
        (None, "previous", None),
    ],
)
def test_pseudo_labels_use_previous_mean_and_margins_the_updated_one(env, batch, mean, margin, losses):
    debias = make_debias(env, mean, margin=margin)
    step = make_step(batch, [[2.0, 1.0, 0.0], [3.0, 0.0, 1.0]])
    pseudo_label = debias.adjust(step.out["weak"].logits, Role.PSEUDO_LABEL, step).softmax(-1)
    loss = cross_entropy(
        debias.adjust(torch.tensor([[1.0, 0.5, 0.0], [0.5, 0.0, 1.0]]), Role.CONSISTENCY, step), pseudo_label.argmax(-1)
    )
    assert pseudo_label.argmax(-1).tolist() == [0, 0]
    if losses:
        labels = [[0.540026, 0.280954, 0.17902], [0.713312, 0.050224, 0.236464]]
        assert pseudo_label.flatten().tolist() == pytest.approx(sum(labels, []), abs=1e-5)
        assert loss.tolist() == pytest.approx(losses, abs=1e-5)
    else:
        assert loss.mean().item() == pytest.approx({"updated": 0.876285, "previous": 0.930270}[margin], abs=1e-5)
    before = debias.mean.shares.tolist()
    debias.commit(step, ())
    expected = [0.615452, 0.284337, 0.100211] if mean else [0.375452, 0.314337, 0.310211]
    assert before == pytest.approx(mean or [1 / 3] * 3)
    assert debias.mean.shares.tolist() == pytest.approx(expected, abs=1e-5)


def test_labeled_loss_and_evaluation_of_fixmatch_are_unchanged(env, batch, models):
    options = {"threshold": 0.6, "weight": 1.0}
    plain, with_debias = fixmatch(env, **options), fixmatch(env, make_debias(env, MEAN), **options)
    (before, _), (after, step) = plain.step(batch, models), with_debias.step(batch, models)
    assert before["supervised"] == after["supervised"]
    assert before["consistency"] != after["consistency"]
    assert torch.equal(plain.predict(batch.x["weak"], models)[1], with_debias.predict(batch.x["weak"], models)[1])
    assert torch.equal(step.targets, with_debias.chain[0].pseudo_labels(step, ())["debiased"])


def test_running_mean_is_over_predictions_before_other_addons(env, batch, models):
    """Alignment changes the pseudo-labels; the mean is still over the network's five predictions."""
    aligned = DistributionAlignment(env, window=4, temperature=1.0, prior=[1.0, 1.0, 8.0])
    learner = fixmatch(env, make_debias(env, momentum=0.0), aligned)
    _, step = learner.step(batch, models)
    learner.commit(step)
    features = torch.tensor([[4, 0.5], [0.2, 3.5], [-2, -2.5], [1.1, 0.9], [1, 3]])
    logits = torch.cat([features, -features.sum(1, keepdim=True)], 1)
    assert learner.chain[0].mean.shares.tolist() == pytest.approx(logits.softmax(-1).mean(0).tolist(), abs=1e-6)
