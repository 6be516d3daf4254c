"""Compare ACR with numbers computed independently, for three classes and the labeled prior (.6, .3, .1)."""

import math

import pytest
import torch

from daso.errors import ParamsError
from daso.methods.learners.acr import ACR
from daso.ops.distributions import reversed_shares, symmetric_divergence
from tests.methods.two_heads import FixedHeads, run_step

OPTIONS = {"threshold": 0.95, "tau": 2.0, "momentum": 0.9, "period": 2, "warmup": 4, "counting": "exact"}
LABELED = [[1.0, 1, 1], [1, 1, 1]]  # uniform predictions for labels 0 and 1
CONSISTENT, UNIFORM, REVERSED = (0.6, 0.3, 0.1), (1 / 3,) * 3, (0.1, 0.3, 0.6)


@pytest.fixture
def env(env):
    return env._replace(counts=(6, 3, 1), labels=(0,) * 6 + (1,) * 3 + (2,), labeled_copies=(3,))


def make(env, **options):
    return ACR(env, **(OPTIONS | options))


def logits(label, confidence):
    """Return logits whose softmax has this confidence for a label, and equal rest for the two others."""
    return [math.log(2 * confidence / (1 - confidence)) * (k == label) for k in range(3)]


def test_evaluated_head_is_adjusted_by_tau(env):
    assert make(env).assumed_tau == 2


@pytest.mark.parametrize(
    ("prior", "distances", "tau"),
    [
        (CONSISTENT, (0.0, 0.220591, 0.895880), 0.425867),
        (UNIFORM, (0.220591, 0.0, 0.220591), 0.713765),
        (REVERSED, (0.895880, 0.220591, 0.0), 1.043157),
        ((0.5, 0.3, 0.2), (0.043773, 0.069600, 0.541610), 0.544763),
    ],
)
def test_distances_to_the_anchors(env, prior, distances, tau):
    """Tau of the plain head is 2 softmax(distances) at the labeled prior: it grows with the distance to it."""
    result = symmetric_divergence(torch.tensor(prior), make(env).anchors)
    assert result.tolist() == pytest.approx(distances, abs=1e-5)
    assert 2 * float(result.softmax(0)[0]) == pytest.approx(tau, abs=1e-5)


def test_reversed_sizes_follow_ranks_in_any_order_of_classes(env):
    """Sizes 1, 6, 3 have ranks 3, 1, 2, reversed 6, 1, 3. Of sizes 6, 2, 2, 1 both classes of size 2 get 2."""
    assert reversed_shares((1, 6, 3)).tolist() == pytest.approx([0.6, 0.1, 0.3])
    assert reversed_shares((6, 2, 2, 1)).tolist() == pytest.approx([1 / 11, 2 / 11, 2 / 11, 6 / 11])
    assert make(env._replace(counts=(1, 6, 3))).anchors[2].tolist() == pytest.approx([0.6, 0.1, 0.3])
    assert reversed_shares((6, 2, 1, 1)).tolist() == pytest.approx([0.1, 0.1, 0.4, 0.4])  # (2 + 6) / 2 for the ones


def test_pseudo_labels_of_both_heads(env, batch, models):
    """Logits (2, 1.5, 1) minus 2/3 and 2 log pi; classes 2 of both, where the unadjusted prediction is class 0."""
    learner = make(env)
    learner.plain_tau.fill_(2 / 3)
    rows = [*LABELED, [2.0, 1.5, 1], [0, 0, 0], [0, 0, 0]]
    _, step = run_step(learner, batch, models, rows, rows)
    assert step.targets[0].tolist() == pytest.approx([0.059989, 0.145540, 0.794471], abs=1e-5)
    assert learner.pseudo_labels(step)["plain"][0].tolist() == pytest.approx([0.314711, 0.303006, 0.382283], abs=1e-5)


def test_losses_of_a_step(env, batch, models):
    """Four weak views; tau of the plain head is 0, so that the plain pseudo-labels are the plain predictions.

    Labeled: log 3, and (.245122 + 1.631417) / 2 for (1, 1, 1) + 2 log pi with labels 0 and 1.
    Plain head, confidences .97, .6, .6 and .97: the first and the last count, with class 0. Their strong logits are
    (1, 0, 0) and (0, 0, 0): log(e + 2) - 1 = .551445 and log 3 = 1.098612 for both, so 2 (.551445 + 1.098612) / 2 / 4.
    Balanced head, targets from the plain logits minus 2 log pi: class 0 with .97/.36 : .015/.09 : .015/.01 =
    .617834 : .038217 : .343949, not above the threshold; class 2 with .2/.36 : .6/.09 : .2/.01, a share of .734694, not
    above it either; class 2 with .2/.36 : .2/.09 : .6/.01 = .008850 : .035398 : .955752, above it; class 0 again. Its
    own confidences are .6, .97, .6, .6, so the second counts too: (log(e + 2) - 1 + log 3) / 2 for strong views
    (0, 0, 1) and (0, 0, 0), log 3 for the third.
    """
    learner = make(env)
    learner.plain_tau.zero_()
    plain = [*LABELED, logits(0, 0.97), logits(1, 0.6), logits(2, 0.6), logits(0, 0.97)]
    balanced = [*LABELED, logits(1, 0.6), logits(1, 0.97), logits(0, 0.6), logits(0, 0.6)]
    plain += [[1, 0, 0.0]] * 4 + [[0, 0, 0.0]] * 4
    balanced += [[0.0, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]] + [[0, 0, 0.0]] * 4
    losses, step = run_step(learner, batch, models, plain, balanced)
    assert step.targets.argmax(-1).tolist() == [0, 2, 2, 0]
    assert step.targets[2].tolist() == pytest.approx([0.008850, 0.035398, 0.955752], abs=1e-5)
    assert step.mask.tolist() == [False, True, True, False]
    assert {name: float(loss) for name, loss in losses.items()} == pytest.approx(
        {
            "supervised": math.log(3),
            "supervised_balanced": 0.938270,
            "consistency": (0.551445 + 1.098612) / 4,
            "consistency_balanced": ((0.551445 + 1.098612) / 2 + 1.098612) / 4,
        },
        abs=1e-5,
    )


@pytest.mark.parametrize(
    ("counting", "counts", "prior"),
    [("exact", [3, 1, 1], [0.36, 0.32, 0.32]), ("presence", [0, 0, 1], [0.3, 0.3, 0.4])],
)
def test_counts_without_labeled_copies(env, batch, models, counting, counts, prior):
    """Classes 0, 0, 0, 0, 1, 1, 2; the sixth is below the threshold, the fourth is a labeled copy.

    Exact counts are (3, 1, 1): .9 x 1/3 + .1 x (.6, .2, .2). With the last image of a class deciding, class 0 has the
    copy and class 1 the image below the threshold: (0, 0, 1).
    """
    learner = make(env, counting=counting, warmup=0)
    confidences = (0.97, 0.97, 0.97, 0.97, 0.97, 0.6, 0.97)
    weak = [logits(k, c) for k, c in zip((0, 0, 0, 0, 1, 1, 2), confidences, strict=True)]
    rows = [*LABELED, *weak, *[[0.0, 0, 0]] * 14]
    _, step = run_step(learner, batch, models, [[0.0, 0, 0]] * len(rows), rows)
    assert learner.counts(step).tolist() == counts
    learner.commit(step)
    assert learner.prior.shares.tolist() == pytest.approx(prior, abs=1e-6)


def test_tau_of_the_plain_head_changes_at_the_end_of_periods_from_the_warmup_on(env, batch, models):
    """Period 2, warm-up 4. After step 3 the distances are still zero: 2/3. Then one image of class 0 in each step.

    Steps 4 and 5 have priors (.4, .3, .3) and (.46, .27, .27); step 5 sets tau from the sum of their distances
    over 2, and sets the sum to zero.
    """
    learner = make(env)
    rows = [*LABELED, logits(0, 0.97), [0.0, 0, 0], [0, 0, 0]]
    taus = []
    for t in range(6):
        _, step = run_step(learner, batch, models, rows, rows, t)
        learner.commit(step)
        taus.append(float(learner.plain_tau))
    assert taus[:5] == pytest.approx([2, 2, 2, 2 / 3, 2 / 3])
    assert learner.prior.shares.tolist() == pytest.approx([0.46, 0.27, 0.27], abs=1e-6)

    def distance(p, q):
        return sum(a * math.log(a / b) + b * math.log(b / a) for a, b in zip(p, q, strict=True)) / 2

    sums = [
        distance((0.4, 0.3, 0.3), anchor) + distance((0.46, 0.27, 0.27), anchor)
        for anchor in (CONSISTENT, UNIFORM, REVERSED)
    ]
    expected = 2 * math.exp(sums[0] / 2) / sum(math.exp(each / 2) for each in sums)
    assert taus[5] == pytest.approx(expected, abs=1e-6)
    assert learner.distances.tolist() == [0, 0, 0]


def test_batch_without_confident_predictions_changes_nothing(env, batch, models):
    """The uniform estimate has the distances (.220591, 0, .220591), which are not added."""
    learner = make(env, warmup=0, period=9)
    rows = [*LABELED, logits(0, 0.6), [0.0, 0, 0], [0, 0, 0]]
    _, step = run_step(learner, batch, models, rows, rows, 1)
    learner.commit(step)
    assert learner.distances.tolist() == [0, 0, 0]
    assert learner.prior.shares.tolist() == pytest.approx([1 / 3] * 3)


def test_warmup_that_is_no_multiple_of_the_period_is_refused(env):
    with pytest.raises(ParamsError, match=r"warmup: 5 is not a multiple of period 2; set it to one, such as 12$"):
        make(env, warmup=5)


def test_estimate_distances_and_tau_are_in_the_checkpoint(env):
    assert make(env).state_dict().keys() == {"prior.shares", "distances", "plain_tau"}


def test_balanced_head_is_evaluated(env, batch, models):
    rows = [[3.0, 0, 0], [0, 3, 0]]
    unadjusted, adjusted = make(env).predict(
        batch.x["weak"], models._replace(teacher=FixedHeads([[0.0, 0, 0]] * 2, rows))
    )
    assert unadjusted.tolist() == adjusted.tolist() == rows
