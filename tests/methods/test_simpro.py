"""Compare SimPro with numbers computed independently, for three classes and fixed outputs of the network."""

import pytest
import torch
from torch import nn

from daso.methods.addons.logit_adjustment import LogitAdjustment
from daso.methods.learners.simpro import SimPro
from daso.ops.losses import cross_entropy, soft_cross_entropy
from daso.records import Output, Step
from tests.methods.conftest import as_images

OPTIONS = {"threshold": 0.6, "tau": 2.0, "momentum": 0.9, "period": 2, "labeled_weight": "passes"}
WEAK = [[2.0, 1, 0], [0, 0.5, 3], [0.2, 0.1, 0]]
PSEUDO_LABELS = [[0.665241, 0.244728, 0.090031], [0.043986, 0.072521, 0.883492], [0.367165, 0.332225, 0.300610]]
STRONG = [[1.0, 0.5, 0], [0, 0, 1], [0, 0, 0]], [[0.0, 1, 0], [1, 0, 2], [1, 0, 0]]
LABELED = [[2.0, 0, 0], [0, 1, 0]], [[1.0, 0, 0], [0, 0.5, 0.5]]


class FixedOutputs(nn.Module):
    """Network with fixed logits."""

    def __init__(self, *logits):
        super().__init__()
        self.logits = torch.cat([torch.as_tensor(part) for part in logits])

    def forward(self, images):
        assert len(images) == len(self.logits)
        return Output(torch.zeros(len(images), 2), self.logits, {})


@pytest.fixture
def simpro(env):
    """Make a learner for 6, 3 and 1 labels; 5 batches of 2 labeled images, 12 of 4 unlabeled ones."""

    def make(*addons, **changes):
        counts = {"counts": (6, 3, 1), "labeled": 10, "unlabeled": 50, "batch_size": 2, "unlabeled_ratio": 2}
        own = env._replace(**counts | {name: changes.pop(name) for name in env._fields if name in changes})
        return SimPro(own, addons, **OPTIONS | changes)

    return make


@pytest.fixture
def run_step(batch, models):
    def run(learner, weak=WEAK):
        views = dict.fromkeys(("weak", "strong", "strong2"), batch.u["weak"][:3])
        own = batch._replace(x=dict.fromkeys(("weak", "strong"), batch.x["weak"]), u=views, u_index=torch.arange(3))
        return learner.step(own, models._replace(student=FixedOutputs(*LABELED, weak, *STRONG)))

    return run


def close(expected):
    return pytest.approx(expected, abs=1e-5)


@pytest.fixture
def commit(batch):
    def run(learner, t, labels, targets, mask):
        step = Step(batch._replace(t=torch.tensor(t), y=torch.tensor(labels)), {})
        learner.commit(step._replace(targets=torch.tensor(targets), mask=torch.tensor(mask)))

    return run


@pytest.mark.parametrize(
    ("threshold", "mask"), [(0.95, [False] * 3), (0.6, [True, True, False]), (0.2, [True, True, True])]
)
def test_pseudo_label_is_soft_and_compared_with_the_threshold(simpro, run_step, threshold, mask):
    """At first the unlabeled classes are assumed uniform: the softmax of the weak view's logits."""
    _, step = run_step(simpro(threshold=threshold))
    assert step.targets.tolist() == [close(row) for row in PSEUDO_LABELS]
    assert step.mask.tolist() == mask


def test_losses_of_a_step(simpro, run_step):
    """All logits of the losses have 2 log (.6, .3, .1) added.

    Labels 0, 1: .036904, .921236 on the weak views, .097298, 1.263345 on the strong ones, mean .579696, divided by
    r = 12 / 5. The first two pseudo-labels count: 1.024302, 2.664850 on one view, .952105, 2.610422 on the other, whose
    sum is divided by two views and three images.
    """
    losses, _ = run_step(simpro())
    assert losses.keys() == {"supervised", "consistency"}
    assert losses["supervised"].item() == close(0.241540)
    assert losses["consistency"].item() == close(1.208613)


def test_loss_of_soft_and_hard_labels(simpro):
    learner = simpro()
    logits = torch.tensor([STRONG[0][0]] * 3) + learner.shift(learner.prior)
    assert soft_cross_entropy(logits[:1], torch.tensor(PSEUDO_LABELS[:1])).item() == close(1.024302)
    assert cross_entropy(logits, torch.arange(3)).tolist() == close([0.150015, 2.036309, 4.733534])


@pytest.mark.parametrize("copies", [(), (0, 1)])
def test_priors_move_at_the_end_of_a_period(simpro, commit, run_step, copies):
    """Pseudo-labels 1 and 2 are above the threshold; their sum s is .709227, .317250, .973523, the labels' (6, 3, 1).

    .9 / 3 + .1 s / 3, and .9 (.6, .3, .1) + .1 ((6, 3, 1) + s) / 12. Labeled copies among the unlabeled images count.
    The first pseudo-label of the next step uses the moved prior.
    """
    learner = simpro(labeled_copies=copies)
    commit(learner, 0, [0] * 6, PSEUDO_LABELS[::2], [True, False])
    assert learner.unlabeled_prior.shares.tolist() == close([1 / 3] * 3)
    assert learner.prior.shares.tolist() == close([0.6, 0.3, 0.1])
    assert learner.accepted.total.tolist() == close(PSEUDO_LABELS[0])
    assert learner.labels.total.tolist() == [6, 0, 0]
    commit(learner, 1, [1, 1, 1, 2], PSEUDO_LABELS[1:2], [True])
    assert learner.unlabeled_prior.shares.tolist() == close([0.323641, 0.310575, 0.332451])
    assert learner.prior.shares.tolist() == close([0.595910, 0.297644, 0.106446])
    assert learner.accepted.total.tolist() == learner.labels.total.tolist() == [0, 0, 0]
    _, step = run_step(learner)
    assert step.targets[0].tolist() == close([0.674956, 0.228658, 0.096386])


def test_period_without_accepted_pseudo_labels_leaves_pseudo_labels_unchanged(simpro, commit, run_step):
    """.9 / 3 for each class gives the same softmax; pi is .9 (.6, .3, .1) + .1 (1, 1, 0) / 2."""
    learner = simpro(period=1)
    commit(learner, 0, [0, 1], PSEUDO_LABELS, [False] * 3)
    assert learner.unlabeled_prior.shares.tolist() == close([0.3] * 3)
    assert learner.prior.shares.tolist() == close([0.59, 0.32, 0.09])
    _, step = run_step(learner)
    assert step.targets.tolist() == [close(row) for row in PSEUDO_LABELS]


def test_step_commits_its_own_labels_and_pseudo_labels(simpro, run_step):
    """After step 500 of 501 steps a period, with labels 0 and 1: 1/2 (.6, .3, .1) + 1/2 ((1, 1, 0) + s) / 4."""
    learner = simpro(period=501, momentum=0.5)
    _, step = run_step(learner)
    learner.commit(step)
    assert learner.prior.shares.tolist() == close([0.513653, 0.314656, 0.171690])
    assert learner.unlabeled_prior.shares.tolist() == close([0.284871, 0.219542, 0.328920])


def test_period_resumes_from_a_checkpoint(simpro, commit):
    """Both priors and the sums of the period so far are in it."""
    learner, resumed = simpro(), simpro(counts=(1, 1, 1))
    for t in range(3):
        commit(learner, t, [0] * (t + 1), PSEUDO_LABELS, [True, True, False])
    state = learner.state_dict()
    assert state.keys() == {"prior.shares", "unlabeled_prior.shares", "labels.total", "accepted.total"}
    assert state["labels.total"].tolist() == [3, 0, 0]
    resumed.load_state_dict(state)
    for each in (learner, resumed):
        commit(each, 3, [2, 2], PSEUDO_LABELS, [False, True, True])
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in learner.state_dict().items())


@pytest.mark.parametrize(
    ("labeled", "unlabeled", "batch_size", "ratio", "weight"),
    [
        (1236, 9922, 64, 8, 1.0),  # 19 and 19 whole batches
        (1236, 9922, 64, 2, 19 / 77),
        (40, 2600, 64, 2, 1 / 20),  # fewer labels than a batch count as one
        (640, 100, 64, 2, 10.0),
    ],
)
def test_labeled_loss_is_divided_by_the_ratio_of_passes(simpro, labeled, unlabeled, batch_size, ratio, weight):
    numbers = {"labeled": labeled, "unlabeled": unlabeled, "batch_size": batch_size, "unlabeled_ratio": ratio}
    assert simpro(**numbers).labeled_weight == pytest.approx(weight)
    assert simpro(**numbers, labeled_weight=0.5).labeled_weight == 0.5


@pytest.mark.parametrize(("tau", "shift"), [(2.0, -1.386294), (1.0, -0.693147)])
def test_shift_is_bounded_for_a_class_of_share_zero(simpro, tau, shift):
    """log 1e-12 = -27.631021."""
    learner = simpro(tau=tau, counts=(1, 1, 0))
    assert learner.shift(learner.prior).tolist() == close([shift, shift, -27.631021])


@pytest.mark.parametrize(
    ("role", "first", "supervised", "consistency"),
    [
        ("supervised", PSEUDO_LABELS[0], 0.334637, 1.208613),
        ("consistency", PSEUDO_LABELS[0], 0.241540, 1.769161),
        ("pseudo_label", [0.392500, 0.288785, 0.318715], 0.241540, 1.991238),
    ],
)
def test_logits_are_also_adjusted_by_addons(env, simpro, run_step, role, first, supervised, consistency):
    """Divided by (.6, .3, .1), pseudo-labels 2 and 3 are above the threshold; losses have log (.6, .3, .1) more."""
    losses, step = run_step(simpro(LogitAdjustment(env._replace(counts=(6, 3, 1)), tau=1.0, roles=[role])))
    assert step.targets[0].tolist() == close(first)
    assert losses["supervised"].item() == close(supervised)
    assert losses["consistency"].item() == close(consistency)


def test_addon_weighs_both_losses_and_its_zeros_are_not_counted(simpro, run_step, first_image_only):
    """.036904 and .097298 of the first label, (.5 x .134201) 5 / 12 over two; (1.024302 + .952105) / 2 over three."""
    learner = simpro(first_image_only, period=1)
    losses, step = run_step(learner)
    assert losses["supervised"].item() == close(0.013979)
    assert losses["consistency"].item() == close(0.329401)
    assert step.mask.tolist() == [True, False, False]


def test_pseudo_labels_have_no_gradient(simpro, run_step):
    weak = torch.tensor(WEAK, requires_grad=True)
    losses, _ = run_step(simpro(threshold=0.2), weak)
    (grad,) = torch.autograd.grad(losses["consistency"], weak)
    assert not grad.any()


def test_evaluation_reads_raw_logits_of_the_ema_model(simpro, models):
    """Logits of (2, 1) are 2, 1 and -3, whatever the priors."""
    with torch.no_grad():
        models.student.classifier.weight.zero_()
    for logits in simpro().predict(as_images([[2.0, 1.0]]), models):
        assert logits.tolist() == [[2, 1, -3]]
