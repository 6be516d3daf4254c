import pytest
import torch

from daso.methods.addons.logit_adjustment import LogitAdjustment
from daso.methods.learners.supervised import Supervised
from daso.ops.losses import cross_entropy
from daso.records import Role, Step
from tests.methods.conftest import fixmatch

LOGITS = torch.tensor([[1.0, 2.0, 3.0]])


def addon(env, roles):
    return LogitAdjustment(env, tau=1.0, roles=roles)


def test_log_prior_of_a_long_tail(env):
    counts = (500, 299, 179, 107, 64, 38, 23, 13, 8, 5)
    prior = addon(env._replace(num_classes=10, counts=counts), ["supervised"]).log_prior
    expected = [-0.905028, -1.419192, -1.932250, -2.446807, -2.960753, -3.482049, -3.984141, -4.554686, -5.040194]
    assert prior.tolist() == pytest.approx([*expected, -5.510198], abs=1e-5)


def test_prior_includes_pseudo_labels_of_a_plan(env):
    """(5, 3, 2) labels, of which two of class 1 and one of class 2 are pseudo-labels: the prior is .5 .3 .2."""
    prior = addon(env._replace(counts=(5, 3, 2), drawn_counts=(5, 1, 1)), ["supervised"]).log_prior
    assert prior.exp().tolist() == pytest.approx([0.5, 0.3, 0.2])


def test_tau_scales_the_prior(env, batch):
    """Half of log (.7, .2, .1): -.178337, -.804719, -1.151293."""
    adjusted = LogitAdjustment(env, tau=0.5, roles=["supervised"]).adjust(LOGITS, Role.SUPERVISED, Step(batch, {}))
    assert adjusted[0].tolist() == pytest.approx([0.821663, 1.195281, 1.848707], abs=1e-5)


def test_prior_is_added_in_training_and_subtracted_in_evaluation(env, batch):
    """pi = (.7, .2, .1): 1 + log .7 = .643325; CE of class 2 rises from .407606 to .986975."""
    both, step = addon(env, ["supervised", "eval"]), Step(batch, {})
    adjusted = both.adjust(LOGITS, Role.SUPERVISED, step)
    assert adjusted[0].tolist() == pytest.approx([0.643325, 0.390562, 0.697415], abs=1e-5)
    assert cross_entropy(adjusted, torch.tensor([2])).item() == pytest.approx(0.986975, abs=1e-5)
    evaluated = both.adjust(LOGITS, Role.EVAL, step)
    assert evaluated[0].tolist() == pytest.approx([1.356675, 3.609438, 5.302585], abs=1e-5)
    assert torch.equal(both.adjust(LOGITS, Role.PSEUDO_LABEL, step), LOGITS)


def test_training_uses_the_enlarged_prior_and_evaluation_the_drawn_one(env, batch):
    """Drawn 7, 2, 1 and enlarged to 8, 8, 4: training adds log (.4, .4, .2), evaluation subtracts log (.7, .2, .1)."""
    both = addon(env._replace(counts=(8, 8, 4), drawn_counts=(7, 2, 1)), ["supervised", "eval"])
    trained, evaluated = (both.adjust(LOGITS, role, Step(batch, {})) for role in (Role.SUPERVISED, Role.EVAL))
    assert trained[0].tolist() == pytest.approx([1 - 0.916291, 2 - 0.916291, 3 - 1.609438], abs=1e-5)
    assert evaluated[0].tolist() == pytest.approx([1.356675, 3.609438, 5.302585], abs=1e-5)


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        (Role.CONSISTENCY, [0.643325, 0.390562, 0.697415]),
        (Role.PSEUDO_LABEL, [1.356675, 3.609438, 5.302585]),
    ],
)
def test_prior_is_added_for_consistency_and_subtracted_for_pseudo_labels(env, batch, role, expected):
    """(1, 2, 3) plus, and minus, log (.7, .2, .1)."""
    adjusted = addon(env, [role.value]).adjust(LOGITS, role, Step(batch, {}))
    assert adjusted[0].tolist() == pytest.approx(expected, abs=1e-5)


def test_role_supervised_changes_the_loss_and_role_eval_the_predictions(env, batch, models):
    plain, adjusted = Supervised(env), Supervised(env, [addon(env, ["supervised"])])
    losses, _ = adjusted.step(batch, models)
    z = torch.tensor([[2.0, 0, -2], [0.0, 1, -1]]) + torch.tensor([0.7, 0.2, 0.1]).log()
    assert losses["supervised"].item() == pytest.approx(cross_entropy(z, batch.y).mean().item(), abs=1e-6)
    images = batch.x["weak"]
    assert torch.equal(plain.predict(images, models)[1], adjusted.predict(images, models)[1])
    before, after = Supervised(env, [addon(env, ["eval"])]).predict(images, models)
    assert torch.equal(before, plain.predict(images, models)[1])
    assert (before - after)[0].tolist() == pytest.approx([-0.356675, -1.609438, -2.302585], abs=1e-5)


def test_only_the_labeled_loss_of_fixmatch_changes(env, batch, models):
    options = {"threshold": 0.95, "weight": 1.0}
    plain, _ = fixmatch(env, **options).step(batch, models)
    adjusted, _ = fixmatch(env, addon(env, ["supervised"]), **options).step(batch, models)
    assert torch.equal(plain["consistency"], adjusted["consistency"])
    assert plain["supervised"] != adjusted["supervised"]
