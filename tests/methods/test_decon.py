"""Compare DeCon with numbers computed independently, for three classes."""

import math

import pytest
import torch

from daso.methods.learners.decon import DeCon
from daso.ops.distributions import debiased
from daso.ops.losses import cross_entropy
from tests.methods.two_heads import FixedHeads, run_step

OPTIONS = {"threshold": 0.95, "momentum": 0.999, "tau": 2.0, "pseudo_label_tau": 1.0, "weight_tau": 1.0}
PLAIN, BALANCED = [[2.0, 1.5, 1], [0.2, 0.1, 3]], [[0.5, 1, 0.2], [0.0, 0.3, 2.5]]
Q_F, Q_B = (0.5, 0.3, 0.2), (0.4, 0.35, 0.25)
LABELED = [[1.0, 1, 1], [1, 1, 1]]  # of classes 0 and 1
SHIFTED = (0.334786, 1.454018, 2.978298)  # cross-entropies of (1, 1, 1) + 2 (log pi - log Q_B) by class


@pytest.fixture
def env(env):
    return env._replace(counts=(6, 3, 1), labels=(0,) * 6 + (1,) * 3 + (2,))


def make(env, plain=None, balanced=None, **options):
    learner = DeCon(env, **(OPTIONS | options))
    for prior, shares in ((learner.plain_prior, plain), (learner.balanced_prior, balanced)):
        prior.commit(torch.tensor(shares or (1 / 3,) * 3))
    return learner


def step_of(learner, batch, models, strong=((0.0, 0, 0),) * 4):
    rows = [list(row) for row in strong]
    return run_step(learner, batch, models, [*LABELED, *PLAIN, *rows], [*LABELED, *BALANCED, *rows])


def test_means_after_one_batch(env, batch, models):
    """.999 / 3 + .001 times the mean softmax of both rows."""
    learner = make(env)
    _, step = step_of(learner, batch, models)
    learner.commit(step)
    assert learner.plain_prior.shares.tolist() == pytest.approx([0.333280, 0.333178, 0.333541], abs=1e-6)
    assert learner.balanced_prior.shares.tolist() == pytest.approx([0.333182, 0.333290, 0.333528], abs=1e-6)


def test_pseudo_labels_weights_and_their_scale(env, batch, models):
    """With q_f = (.5, .3, .2): a momentum of 1 - 1e-9 keeps it, so that it is the mean after the batch too.

    Products .172826 and .844662, mean .508744; confidences .344943 and .942502, mean .643722. Their averages from .1
    are .140874 and .154372, the scaled weights .189385 and .925593.
    """
    learner = make(env, Q_F, Q_B, momentum=1 - 1e-9)
    losses, step = step_of(learner, batch, models)
    assert step.targets.flatten().tolist() == pytest.approx(
        [0.341229, 0.344943, 0.313828, 0.022925, 0.034573, 0.942502], abs=1e-5
    )
    products = learner.products(torch.tensor(PLAIN), torch.tensor(Q_F))
    assert products.tolist() == pytest.approx([0.172826, 0.844662], abs=1e-5)
    updated = learner.updated(step)
    assert float(updated.confidence) == pytest.approx(0.154372, abs=1e-5)
    assert float(updated.weight) == pytest.approx(0.140874, abs=1e-5)
    # Uniform strong predictions: log 3 times the mean weight.
    assert float(losses["consistency_balanced"]) == pytest.approx((0.189385 + 0.925593) / 2 * math.log(3), abs=1e-5)
    assert step.mask.all()
    learner.commit(step)
    assert [float(learner.confidence), float(learner.weight)] == pytest.approx([0.154372, 0.140874], abs=1e-5)


def test_pseudo_labels_with_a_larger_tau():
    """(2, 1.5, 1) - 2 log q_f."""
    probs = debiased(torch.tensor([PLAIN[0]]), torch.tensor(Q_F), 2.0).softmax(-1)
    assert probs[0].tolist() == pytest.approx([0.200640, 0.338040, 0.461321], abs=1e-5)


def test_losses_of_a_step(env, batch, models):
    """Labels 0 and 1: SHIFTED for the plain head, (.245122 + 1.631417) / 2 for (1, 1, 1) + 2 log pi.

    Plain pseudo-labels: confidences .506 and .896 are below .95, above it with a threshold of .8 only the second, of
    class 2, with strong logits (0, 0, 1) and (0, 0, 0): (.551445 + 1.098612) / 2 / 2. Balanced ones: classes 1 and 2
    with weights .189385 and .925593; the first has log 3 in both views.
    """
    learner = make(env, Q_F, Q_B, momentum=1 - 1e-9, threshold=0.8)
    losses, step = step_of(learner, batch, models, ((0.0, 0, 0), (0, 0, 1), (0, 0, 0), (0, 0, 0)))
    assert step.targets.argmax(-1).tolist() == [1, 2]
    agreed = (0.551445 + 1.098612) / 2
    assert {name: float(loss) for name, loss in losses.items()} == pytest.approx(
        {
            "supervised": (SHIFTED[0] + SHIFTED[1]) / 2,
            "supervised_balanced": 0.938270,
            "consistency": agreed / 2,
            "consistency_balanced": (0.189385 * math.log(3) + 0.925593 * agreed) / 2,
        },
        abs=1e-5,
    )
    strict, _ = step_of(make(env, Q_F, Q_B), batch, models)
    assert strict["consistency"] == 0


def test_plain_head_is_trained_on_its_own_predictions(env, batch, models):
    """(4, .5, 0) is class 0 with .954; less log (.98, .01, .01) it is (4.02, 5.11, 4.61), class 1 of the balanced head.

    Strong logits (1, 0, 0): log(e + 2) - 1 = .551445 for class 0, 1.551445 for class 1.
    """
    rows = [*LABELED, [4.0, 0.5, 0], [1, 0, 0], [1, 0, 0]]
    losses, step = run_step(make(env, (0.98, 0.01, 0.01), Q_B, momentum=1 - 1e-9), batch, models, rows, rows)
    assert step.targets.argmax(-1).tolist() == [1]
    assert float(losses["consistency"]) == pytest.approx(0.551445, abs=1e-5)


def test_means_are_updated_before_they_are_used(env, batch, models):
    """With momentum 0 the means are those of the batch: the shift of the labeled loss is 2 (log pi - log of q_b)."""
    losses, _ = step_of(make(env, Q_F, Q_B, momentum=0.0), batch, models)
    mean = torch.tensor(BALANCED).softmax(-1).mean(0)
    shifted = torch.tensor(LABELED) + 2 * (torch.tensor([0.6, 0.3, 0.1]) / mean).log()
    assert float(losses["supervised"]) == pytest.approx(float(cross_entropy(shifted, batch.y).mean()), abs=1e-5)
    assert float(losses["supervised"]) != pytest.approx((SHIFTED[0] + SHIFTED[1]) / 2, abs=1e-2)


def test_evaluation_removes_the_mean_of_the_balanced_head(env, batch, models):
    """(1, 1, 1) - 2 log q_b."""
    network = FixedHeads([[0.0, 5, 0]] * 2, [[1.0, 1, 1]] * 2)
    unadjusted, adjusted = make(env, Q_F, Q_B).predict(batch.x["weak"], models._replace(teacher=network))
    assert unadjusted[0].tolist() == [1, 1, 1]
    assert adjusted[0].tolist() == pytest.approx([2.832581, 3.099644, 3.772589], abs=1e-5)


def test_all_means_are_in_the_checkpoint(env):
    assert make(env).state_dict().keys() == {"plain_prior.shares", "balanced_prior.shares", "confidence", "weight"}
