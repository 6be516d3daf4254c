import pytest
import torch

from daso.methods.addons.class_balanced import ClassBalanced
from daso.methods.learners.supervised import Supervised
from daso.records import Role, Step
from tests.methods.conftest import fixmatch

ALWAYS = {"beta": 1.0, "start": 0.0}


def test_weights_of_a_long_tail(env):
    counts = (500, 299, 179, 107, 64, 38, 23, 13, 8, 5)
    weights = ClassBalanced(env._replace(num_classes=10, counts=counts), beta=0.999, start=0.8).weights
    expected = [0.049574, 0.075472, 0.119007, 0.192208, 0.314605, 0.523073, 0.857779, 1.510059, 2.447727, 3.910496]
    assert weights.tolist() == pytest.approx(expected, abs=1e-5)
    assert weights.sum().item() == pytest.approx(10, abs=1e-5)


@pytest.mark.parametrize(("beta", "loss"), [(1.0, 0.204724), (0.5, 0.237560), (0.0, 0.275269)])
def test_labeled_loss(env, batch, models, beta, loss):
    """Counts (7, 2, 1), cross-entropies .142932 of class 0 and .407606 of class 1, two images.

    beta 1: 1/7 : 1/2 : 1 is 6/23, 21/23, 42/23, so (6/23 * .142932 + 21/23 * .407606) / 2 = .204724. beta 1/2: 64/127 :
    2/3 : 1 is .696493, .921403, 1.382104. beta 0: all are one, (.142932 + .407606) / 2.
    """
    losses, _ = Supervised(env, [ClassBalanced(env, beta=beta, start=0.0)]).step(batch, models)
    assert losses["supervised"].item() == pytest.approx(loss, abs=1e-6)


@pytest.mark.parametrize(("t", "loss"), [(0, 0.275269), (498, 0.275269), (499, 0.204724), (999, 0.204724)])
def test_weights_apply_from_start_on(env, batch, models, t, loss):
    """With `start` at half of 1,000 steps, the weights apply from the 500th step on."""
    learner = Supervised(env, [ClassBalanced(env, beta=1.0, start=0.5)])
    losses, _ = learner.step(batch._replace(t=torch.tensor(t)), models)
    assert losses["supervised"].item() == pytest.approx(loss, abs=1e-6)


def test_start_in_the_papers_protocol(env):
    assert ClassBalanced(env._replace(steps=250_000), beta=0.999, start=0.8).start == 200_000


def test_only_the_labeled_loss_of_fixmatch_changes(env, batch, models):
    options = {"threshold": 0.95, "weight": 1.0}
    losses, step = fixmatch(env, ClassBalanced(env, **ALWAYS), **options).step(batch, models)
    plain, plain_step = fixmatch(env, **options).step(batch, models)
    assert losses["supervised"].item() == pytest.approx(0.204724, abs=1e-6)
    assert torch.equal(losses["consistency"], plain["consistency"])
    assert torch.equal(step.mask, plain_step.mask)


def test_weights_multiply_those_of_other_addons(env, batch):
    weights = ClassBalanced(env, **ALWAYS).weigh(torch.tensor([2.0, 0.5]), Role.SUPERVISED, Step(batch, {}))
    assert weights.tolist() == pytest.approx([12 / 23, 10.5 / 23])
