"""Compare SCAD with numbers computed independently, for five classes in the super-classes {0, 3} and {1, 2, 4}."""

import math
from functools import partial

import pytest
import torch
from torch import nn

from daso.errors import ParamsError
from daso.methods.addons.scad import SCAD
from daso.methods.learners.acr import ACR
from daso.methods.learners.fixmatch import FixMatch
from daso.records import Env, Output, Role, Step
from tests.methods.conftest import as_images

FIXMATCH = {"name": "fixmatch", "threshold": 0.7, "weight": 1.0, "confidence": "raw"}
RELEASED = {"tau": 1.0, "strength": 1.0, "super_tau": 0.0, "roles": ["eval"]}  # with FixMatch
OF_ACR = {"tau": 0.0, "strength": 2.0, "super_tau": 2.0, "roles": ["pseudo_label"]}
LOGITS, POSTERIOR = [2.0, 1.8, 1.0, 1.5, 0.5], [1.0, 0.0]  # of one image: of its classes, and of its super-classes
EVEN, NONE = [0.0] * 5, [0.0] * 2


def acr_options(**changes):
    options = {"name": "acr", "threshold": 0.58, "tau": 2.0, "momentum": 0.9, "period": 2, "warmup": 0}
    return options | {"counting": "exact"} | changes


def make_env(learner, kind=FixMatch, **changes):
    counts = (100, 50, 25, 10, 5)
    labels = tuple(label for label, count in enumerate(counts) for _ in range(count))
    common = {"num_classes": 5, "feature_dim": 2, "batch_size": 2, "steps": 1000, "labeled": 190, "unlabeled": 50}
    env = Env(**common, counts=counts, labels=labels, super_classes=(0, 1, 1, 0, 1), learner=learner["name"])
    return env._replace(make_learner=partial(kind, **options_of(learner)), **changes)


def options_of(learner):
    return {name: value for name, value in learner.items() if name != "name"}


def make(kind, learner, options, **changes):
    """Return a learner with SCAD."""
    env = make_env(learner, kind, **changes)
    return kind(env, [SCAD(env, **options)], **options_of(learner))


class FixedOutputs(nn.Module):
    """Network with fixed logits (n, K) and heads, whatever the images are."""

    def __init__(self, logits, **heads):
        super().__init__()
        self.logits, self.heads = torch.tensor(logits), {name: torch.tensor(rows) for name, rows in heads.items()}

    def forward(self, images):
        return Output(torch.zeros(len(images), 2), self.logits, self.heads)


def run_step(learner, batch, models, network):
    """Run a step with labels 0 and 1 and one unlabeled image; rows are labeled, weak and strong views in turn."""
    views = {view: as_images([[0.0, 0.0]]) for view in learner.views.u}
    batch = batch._replace(u=views, u_index=torch.arange(1))
    return learner.step(batch, models._replace(student=network))


def step_of_acr(learner, batch, models):
    return run_step(
        learner,
        batch,
        models,
        FixedOutputs(
            [EVEN, EVEN, LOGITS, EVEN, EVEN],
            balanced=[EVEN] * 5,
            super_class=[NONE, NONE, POSTERIOR, [1.0, 0.0], NONE],
            super_class_balanced=[NONE, NONE, [0.0, math.log(99)], [0.0, 1.0], NONE],
        ),
    )


def test_sizes_within_super_classes_and_their_priors():
    """10 of 100 in {0, 3}; 25 and 5 of 50 in {1, 2, 4}. The super-classes have 110 and 80 of 190 images."""
    scad = SCAD(make_env(FIXMATCH), **RELEASED | {"super_tau": 1.0})
    assert scad.adjustment.delta.tolist()[0] == pytest.approx([1, 1, 1, 0.1, 1])
    assert scad.adjustment.delta.tolist()[1] == pytest.approx([1, 1, 0.5, 1, 0.1])
    assert scad.adjustment.super_shift.exp().tolist() == pytest.approx([0.578947, 0.421053], abs=1e-6)
    assert scad.heads == {"super_class": 2}


def test_evaluation_with_fixmatch(batch, models):
    """Posterior (.731059, .268941), times Delta: (1, 1, .865530, .342047, .757953); log pi of 100, 50, 25, 10, 5."""
    learner = make(FixMatch, FIXMATCH, RELEASED)
    teacher = FixedOutputs([LOGITS] * 2, super_class=[POSTERIOR] * 2)
    unadjusted, adjusted = learner.predict(batch.x["weak"], models._replace(teacher=teacher))
    assert unadjusted[0].tolist() == pytest.approx(LOGITS)
    assert adjusted[0].tolist() == pytest.approx([1.641854, 2.135001, 2.162619, 4.102392, 3.379633], abs=1e-5)


def test_pseudo_labels_use_the_enlarged_sizes_and_evaluation_the_drawn_ones(batch):
    """Drawn 100, 50, 25, 10, 5; enlarged to 100, 100, 50, 50, 100 of 400, 150 and 250 by super-class.

    Log pi of the enlarged set: (-1.386294, -1.386294, -2.079442, -2.079442, -1.386294); the posterior (.731059,
    .268941) times its Delta: (1, 1, .865530, .634471, 1).
    """
    env = make_env(FIXMATCH, counts=(100, 100, 50, 50, 100), drawn_counts=(100, 50, 25, 10, 5))
    scad, logits = SCAD(env, **RELEASED | {"roles": ["pseudo_label", "eval"]}), torch.tensor([LOGITS])
    out = Output(torch.zeros(1, 2), logits, {"super_class": torch.tensor([POSTERIOR])})
    step = Step(batch, {"weak": out, "eval": out})
    pseudo_labels, evaluated = (scad.adjust(logits, role, step)[0].tolist() for role in (Role.PSEUDO_LABEL, Role.EVAL))
    assert pseudo_labels == pytest.approx([2.386294, 2.186294, 2.213912, 2.944971, 0.886294], abs=1e-5)
    assert evaluated == pytest.approx([1.641854, 2.135001, 2.162619, 4.102392, 3.379633], abs=1e-5)


def test_losses_of_super_classes_with_fixmatch(batch, models):
    """Labels 0 and 1 are the super-classes 0 and 1, both with logits (1, 0): (log(1 + 1/e) + log(1 + e)) / 2 = .813262.

    The weak view is super-class 0 with .731059, above .7; the strong view (0, 0) has log 2. No class reaches .7, and
    the losses of the classes are those of FixMatch: log 5 and 0.
    """
    learner = make(FixMatch, FIXMATCH, RELEASED)
    rows = [POSTERIOR, POSTERIOR, POSTERIOR, NONE]
    losses, step = run_step(learner, batch, models, FixedOutputs([EVEN, EVEN, LOGITS, EVEN], super_class=rows))
    assert step.targets[0].tolist() == pytest.approx(torch.tensor(LOGITS).softmax(-1).tolist())
    assert {name: float(loss) for name, loss in losses.items()} == pytest.approx(
        {
            "supervised": math.log(5),
            "consistency": 0.0,
            "super_class_supervised": 0.813262,
            "super_class_consistency": math.log(2),
        },
        abs=1e-5,
    )


def test_pseudo_labels_of_the_balanced_head_of_acr(batch, models):
    """Posterior (1, 0) - 2 log (.578947, .421053): (.589789, .410211), times Delta: (1, 1, .794894, .469190, .630810).

    The target is the softmax of the logits - 2 log pi - 2 p Delta. Without SCAD it is (.006247, .020460, .036773,
    .378925, .557595), which the plain head keeps.
    """
    learner = make(ACR, acr_options(), OF_ACR)
    _, step = step_of_acr(learner, batch, models)
    posterior = learner.chain[0].adjustment.posterior(step.out["weak"].heads["super_class"])
    assert posterior[0].tolist() == pytest.approx([0.589789, 0.410211], abs=1e-5)
    expected = [0.002665, 0.008727, 0.023640, 0.467278, 0.497691]
    assert step.targets[0].tolist() == pytest.approx(expected, abs=1e-5)
    plain = [0.006247, 0.020460, 0.036773, 0.378925, 0.557595]
    assert learner.pseudo_labels(step)["plain"][0].tolist() == pytest.approx(plain, abs=1e-5)


def test_super_classes_have_an_acr_of_their_own(batch, models):
    """All eight losses, with threshold .58, which no prediction of a class reaches.

    Super-classes: log 2 for (0, 0); with 2 log prior, shares .654054 and .345946 for labels 0 and 1: (.424565 +
    1.061473) / 2. The pseudo-label of both heads is super-class 0 with .589789. Plain strong views (1, 0), (0, 0):
    (.313262 + .693147) / 2; balanced ones (0, 1), (0, 0): (1.313262 + .693147) / 2. Classes: 2 log pi of 100 and 50
    images, shares 10000 and 2500 of 13250.
    """
    losses, _ = step_of_acr(make(ACR, acr_options(), OF_ACR), batch, models)
    assert {name: float(loss) for name, loss in losses.items()} == pytest.approx(
        {
            "supervised": math.log(5),
            "supervised_balanced": (math.log(1.325) + math.log(5.3)) / 2,
            "consistency": 0.0,
            "consistency_balanced": 0.0,
            "super_class_supervised": math.log(2),
            "super_class_supervised_balanced": 0.743019,
            "super_class_consistency": 0.503204,
            "super_class_consistency_balanced": 1.003204,
        },
        abs=1e-5,
    )


def test_prior_of_super_classes_is_estimated_by_their_balanced_head(batch, models):
    """Its weak view is super-class 1 with .99: .9 x 1/2 + .1 x (0, 1). No class is confident: their estimate stays."""
    learner = make(ACR, acr_options(), OF_ACR)
    _, step = step_of_acr(learner, batch, models)
    learner.commit(step)
    assert learner.chain[0].learner.prior.shares.tolist() == pytest.approx([0.45, 0.55])
    assert learner.prior.shares.tolist() == pytest.approx([0.2] * 5)


def test_super_classes_have_their_own_tau_from_their_own_anchors(batch, models):
    """Labeled (11, 8), uniform and, by rank, (8, 11) of 19. After a period of two steps the estimate is (.405, .595).

    Steps 0 and 1 have estimates (.45, .55) and (.405, .595); tau is 2 softmax(sum of distances / 2) at the labeled one.
    """
    learner = make(ACR, acr_options(), OF_ACR)
    own = learner.chain[0].learner
    assert own.anchors.tolist()[2] == pytest.approx([8 / 19, 11 / 19])
    for t in range(2):
        batch = batch._replace(t=torch.tensor(t))
        _, step = step_of_acr(learner, batch, models)
        learner.commit(step)

    def distance(p, q):
        pairs = [(p, q), (1 - p, 1 - q)]
        return sum((a - b) * math.log(a / b) for a, b in pairs) / 2

    means = [(distance(0.45, q) + distance(0.405, q)) / 2 for q in (11 / 19, 0.5, 8 / 19)]
    expected = 2 * math.exp(means[0]) / sum(map(math.exp, means))
    assert float(own.plain_tau) == pytest.approx(expected, abs=1e-6)
    assert float(learner.plain_tau) == pytest.approx(2 / 3)


def test_pseudo_labels_of_fixmatch_are_adjusted_if_selected(batch, models):
    """As in evaluation: softmax of (1.641854, 2.135001, 2.162619, 4.102392, 3.379633)."""
    learner = make(FixMatch, FIXMATCH, {**RELEASED, "roles": ["pseudo_label"]})
    rows = [NONE, NONE, POSTERIOR, NONE]
    _, step = run_step(learner, batch, models, FixedOutputs([EVEN, EVEN, LOGITS, EVEN], super_class=rows))
    expected = torch.tensor([1.641854, 2.135001, 2.162619, 4.102392, 3.379633]).softmax(-1)
    assert step.targets[0].tolist() == pytest.approx(expected.tolist(), abs=1e-5)
    assert not learner.chain[0].balanced_predictions


def test_super_class_of_a_single_class_has_no_effect(batch, models):
    """Then Delta is 1 everywhere, and p Delta the constant 1."""
    learner = make(FixMatch, FIXMATCH, {**RELEASED, "tau": 0.0}, super_classes=(0, 1, 2, 3, 4))
    teacher = FixedOutputs([LOGITS] * 2, super_class=[[3.0, 0, 0, 0, 0]] * 2)
    _, adjusted = learner.predict(batch.x["weak"], models._replace(teacher=teacher))
    assert adjusted[0].tolist() == pytest.approx([value - 1 for value in LOGITS], abs=1e-6)


def test_posterior_has_no_gradient(batch, models):
    learner = make(FixMatch, FIXMATCH, {**RELEASED, "roles": ["pseudo_label"]})
    network = FixedOutputs([EVEN, EVEN, LOGITS, EVEN], super_class=[NONE, NONE, POSTERIOR, NONE])
    network.heads["super_class"].requires_grad_()
    _, step = run_step(learner, batch, models, network)
    assert not step.targets.requires_grad


def test_state_of_super_classes_is_in_the_checkpoint():
    own = {"prior.shares", "distances", "plain_tau"}
    state = make(ACR, acr_options(), OF_ACR).state_dict()
    assert state.keys() == own | {f"addons.0.learner.{name}" for name in own}


def test_learner_without_super_classes_is_refused():
    with pytest.raises(ParamsError, match="not allowed with learner 'simmatch'; use fixmatch or acr"):
        SCAD(make_env({"name": "simmatch"}), **RELEASED)


def test_dataset_without_super_classes_is_refused():
    with pytest.raises(ParamsError, match="the dataset has no super_classes; list them in its file"):
        SCAD(make_env(FIXMATCH, super_classes=()), **RELEASED)
