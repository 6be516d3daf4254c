"""Compare CCL with numbers computed independently, for three classes and the labeled prior (.6, .3, .1)."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from daso.errors import ParamsError
from daso.methods.addons.cdmad import CDMAD
from daso.methods.learners.ccl import CCL
from daso.models.network import Projection
from daso.ops.distributions import sharpen
from daso.records import Output, Role
from daso.runs.corrections import assumed_shares
from tests.methods.conftest import as_images
from tests.methods.two_heads import FixedHeads, run_step

OPTIONS = {
    **{"threshold": 0.95, "energy": -8.75, "tau": 2.0, "momentum": 0.9, "unlabeled_momentum": 0.5, "period": 1},
    **{"warmup": 0, "weight": 1.0, "smoothed_weight": 0.0, "reliable_weight": 0.0, "centre_labels": "ones"},
}
CONTRASTIVE = {"tau": 0.0, "weight": 0.7, "smoothed_weight": 1.0, "reliable_weight": 0.3}
LABELED = [[1.0, 1, 1], [1, 1, 1]]  # uniform predictions for labels 0 and 1
PLAIN, BALANCED = [2.0, 1.5, 1], [0.5, 1, 0.2]
Q = [[0.97, 0.02, 0.01], [0.1, 0.2, 0.7], [0.02, 0.96, 0.02]]


@pytest.fixture
def env(env):
    labels = (0,) * 6 + (1,) * 3 + (2,)
    return env._replace(counts=(6, 3, 1), labels=labels, labeled_copies=(2,), unlabeled_ratio=1)


def make(env, prior=None, unlabeled_prior=None, addons=(), **options):
    learner = CCL(env, addons, **(OPTIONS | options))
    for running, shares in ((learner.prior, prior), (learner.unlabeled_prior, unlabeled_prior)):
        running.commit(running.shares if shares is None else torch.tensor(shares))
    return learner


def weak(plain, balanced):
    return Output(torch.zeros(1, 2), torch.tensor([plain]), {"balanced": torch.tensor([balanced])})


def test_pseudo_labels_are_fused_and_adjusted_to_the_unlabeled_prior(env):
    """rho = 1/2: the mixed prior is (.45, .3, .25), the shift -log of it + 2 log (.2, .3, .5), halved in z.

    Where both logits are zero, z is half of the shift.
    """
    learner = make(env, (0.3, 0.3, 0.4), (0.2, 0.3, 0.5))
    shift = 2 * learner.fused(weak([0.0, 0, 0], [0.0, 0, 0]))[0]
    assert shift.tolist() == pytest.approx([-2.420368, -1.203973, 0], abs=1e-5)
    z = learner.fused(weak(PLAIN, BALANCED))
    assert z[0].tolist() == pytest.approx([0.039816, 0.648014, 0.6], abs=1e-5)
    assert z.softmax(-1)[0].tolist() == pytest.approx([0.217955, 0.400408, 0.381637], abs=1e-5)
    assert float(-z.logsumexp(-1)) == pytest.approx(-1.563285, abs=1e-5)
    assert sharpen(z.softmax(-1), 1 / 4)[0].tolist() == pytest.approx([0.045891, 0.522725, 0.431385], abs=1e-5)


def test_blank_image_is_removed_from_fused_logits_by_the_fused_logits_of_the_blank_image(env, batch, models):
    """With the blank image as weak view, only the shift of the priors is left: half of (-2.420368, -1.203973, 0)."""
    cdmad = CDMAD(env, colour="ones", mode="evaluation", warmup=0)
    learner = make(env, (0.3, 0.3, 0.4), (0.2, 0.3, 0.5), [cdmad])
    teacher = FixedHeads([PLAIN], [BALANCED])
    teacher.evaluated = teacher
    step = learner.begin(batch, models._replace(teacher=teacher), {})
    adjusted = learner.adjust(learner.fused(weak(PLAIN, BALANCED)), Role.PSEUDO_LABEL, step)
    assert adjusted[0].tolist() == pytest.approx([-1.210184, -0.601986, 0], abs=1e-5)


@pytest.mark.parametrize(("energy", "reliable"), [(-1.57, False), (-1.56, True)])
def test_energy_is_compared_with_that_of_the_fused_logits(env, energy, reliable):
    learner = make(env, (0.3, 0.3, 0.4), (0.2, 0.3, 0.5), energy=energy)
    assert learner.reliable(weak(PLAIN, BALANCED)).tolist() == [reliable]


def test_mixed_prior_is_that_of_all_images_of_a_batch(env):
    """Without the unlabeled prior, here all ones, the shift is -log ((1 - rho) pi_l + rho pi), rho = 1/2 or 3/4.

    (.6, .3, .1) / 4 + 3 (.3, .3, .4) / 4 = (.375, .3, .325).
    """
    zeros = weak([0.0, 0, 0], [0.0, 0, 0])
    half = make(env, (0.3, 0.3, 0.4), (1.0, 1, 1))
    assert (2 * half.fused(zeros))[0].tolist() == pytest.approx([0.798508, 1.203973, 1.386294], abs=1e-5)
    more = make(env._replace(unlabeled_ratio=3), (0.3, 0.3, 0.4), (1.0, 1, 1))
    assert (2 * more.fused(zeros))[0].tolist() == pytest.approx([0.980829, 1.203973, 1.123930], abs=1e-5)


@pytest.mark.parametrize(("ratio", "factor"), [(1, 1.5), (3, 3.0)])
def test_losses_of_both_heads(env, batch, models, ratio, factor):
    """Labels 0 and 1: log 3, and (.245122 + 1.631417) / 2 for (1, 1, 1) + 2 log pi_l.

    One pseudo-label, class 1, above a threshold of .35. Strong logits (1, .5, 0) of both views: 1.180270, and 1.315603
    with 2 log pi. The unlabeled losses are multiplied by the unlabeled ratio, at least 1.5, all by `weight`.
    """
    learner = make(env._replace(unlabeled_ratio=ratio), (0.3, 0.3, 0.4), (0.2, 0.3, 0.5), threshold=0.35, weight=0.7)
    strong = [[1.0, 0.5, 0]] * 2
    losses, step = run_step(learner, batch, models, [*LABELED, PLAIN, *strong], [*LABELED, BALANCED, *strong])
    assert step.targets.argmax(-1).tolist() == [1]
    assert {name: float(loss) for name, loss in losses.items()} == pytest.approx(
        {
            "supervised": 0.7 * math.log(3),
            "supervised_balanced": 0.7 * 0.938270,
            "consistency": 0.7 * factor * 1.180270,
            "consistency_balanced": 0.7 * factor * 1.315603,
        },
        abs=1e-5,
    )


def test_pseudo_labels_below_the_threshold_have_no_loss(env, batch, models):
    learner = make(env, (0.3, 0.3, 0.4), (0.2, 0.3, 0.5), threshold=0.41)
    rows = [[1.0, 0.5, 0]] * 2
    losses, step = run_step(learner, batch, models, [*LABELED, PLAIN, *rows], [*LABELED, BALANCED, *rows])
    assert not step.mask.any()
    assert losses["consistency"] == losses["consistency_balanced"] == 0


def step_with_priors(learner, batch, models, t):
    """Run a step whose weak views have the pseudo-labels Q and the energies -9, -8 and -8.9.

    At the first priors the shift is 2 log 1/3 - log (.6, .3, .1); the plain logits are 2 (log Q - energy) minus it.
    """
    shift = 2 * math.log(1 / 3) - torch.tensor([0.6, 0.3, 0.1]).log()
    plain = 2 * (torch.tensor(Q).log() + torch.tensor([9.0, 8, 8.9])[:, None]) - shift
    rows = [[0.0, 0, 0]] * 6
    return run_step(
        learner, batch, models, [*LABELED, *plain.tolist(), *rows], [*LABELED, *[[0.0, 0, 0]] * 3, *rows], t
    )


def test_priors_move_towards_counted_pseudo_labels(env, batch, models):
    """The first and the third count in pi: (1.99, 1.98, 1.03) / 5. In pi_u only the first, as the third is a copy:
    (1.97, 1.02, 1.01) / 4."""
    learner = make(env)
    _, step = step_with_priors(learner, batch, models, 0)
    assert step.mask.tolist() == [True, False, True]
    assert learner.reliable(step.out["weak"]).tolist() == [True, False, True]
    learner.commit(step)
    assert learner.prior.shares.tolist() == pytest.approx([0.5798, 0.3096, 0.1106], abs=1e-6)
    assert learner.unlabeled_prior.shares.tolist() == pytest.approx([0.412917, 0.294167, 0.292917], abs=1e-6)
    assert learner.counts.total.tolist() == learner.unlabeled_counts.total.tolist() == [0, 0, 0]


def test_priors_move_at_the_end_of_periods_from_the_warmup_on(env, batch, models):
    """Period 2, warm-up 2: step 1 ends a period too early, step 3 has the counts of two steps.

    pi_u: (1 + 2 (.97, .02, .01)) / 5 = (.588, .208, .204), averaged with 1/3; pi: .9 (.6, .3, .1) + (2.98, 2.96, 1.06)
    / 70.
    """
    learner = make(env, period=2, warmup=2)
    for t in range(4):
        _, step = step_with_priors(learner, batch, models, t)
        learner.commit(step)
        if t == 2:
            assert learner.prior.shares.tolist() == pytest.approx([0.6, 0.3, 0.1])
            assert learner.unlabeled_prior.shares.tolist() == pytest.approx([1 / 3] * 3)
            assert learner.counts.total.tolist() == pytest.approx([0.99, 0.98, 0.03], abs=1e-5)
            assert learner.unlabeled_counts.total.tolist() == pytest.approx([0.97, 0.02, 0.01], abs=1e-5)
    assert learner.unlabeled_prior.shares.tolist() == pytest.approx([0.460667, 0.270667, 0.268667], abs=1e-5)
    assert learner.prior.shares.tolist() == pytest.approx([0.582571, 0.312286, 0.105143], abs=1e-5)


def test_priors_and_counts_are_in_the_checkpoint(env):
    names = {"prior.shares", "unlabeled_prior.shares", "counts.total", "unlabeled_counts.total"}
    assert make(env).state_dict().keys() == names


def test_warmup_that_is_no_multiple_of_the_period_is_refused(env):
    with pytest.raises(ParamsError, match=r"warmup: 5 is not a multiple of period 2; set it to one, such as 12$"):
        make(env, warmup=5, period=2)


def test_balanced_head_assumes_inverse_shares(env):
    """tau = 2: 1 / (.6, .3, .1), whose sum is 15."""
    assert assumed_shares(make(env), np.array([0.6, 0.3, 0.1])) == pytest.approx([1 / 9, 2 / 9, 2 / 3])


def test_balanced_head_is_evaluated_without_adjustment(env, batch, models):
    rows = [[3.0, 0, 0], [0, 3, 0]]
    network = FixedHeads([[0.0, 0, 0]] * 2, rows)
    unadjusted, adjusted = make(env).predict(batch.x["weak"], models._replace(teacher=network))
    assert unadjusted.tolist() == adjusted.tolist() == rows


class Projected(FixedHeads):
    """Network with fixed projections of images and classes too, none of unit length."""

    def __init__(self, plain, balanced, projections, centres) -> None:
        super().__init__(plain, balanced)
        self.projections, self.centres = torch.tensor(projections), torch.tensor(centres)

    def forward(self, images: Tensor) -> Output:
        out = super().forward(images)
        return out._replace(heads=out.heads | {"projection": self.projections})

    def project_classes(self, name: str) -> Tensor:
        assert name == "centres"
        return 3 * self.centres


LABELED_VIEWS = [[[2.0, 0], [0, 2]], [[0.8, 0.6], [0.6, 0.8]]]
UNLABELED_VIEWS = [
    [[0.9, 0.1], [0.3, 0.7], [1, 1]],
    [[0.8, 0.2], [0.4, 0.6], [1, 0.9]],
    [[0.95, 0.05], [0.2, 0.8], [0.9, 1]],
]


@pytest.mark.parametrize(
    ("centre_labels", "smoothed", "reliable"), [("ones", 0.605830, 0.484439), ("identity", 0.414897, 0.319021)]
)
def test_contrastive_losses_of_a_step(env, batch, models, centre_labels, smoothed, reliable):
    """Two classes, fused logits (9, 8), (1, 0), (7, 9): the first and the third image have energies below -8.75.

    Their labels are (.731059, .268941) and (.119203, .880797) to the power of four, scaled. The losses were computed in
    NumPy only from the rows of low energy, with the inverse of the matrix.
    """
    env = env._replace(num_classes=2, counts=(5, 5))
    learner = make(env, **CONTRASTIVE, centre_labels=centre_labels)
    weak_logits = [[18.0, 16], [2, 0], [14, 18]]  # z is half of them
    plain = [[0.0, 0]] * 6 + weak_logits + [[0.0, 0]] * 6
    projections = [[5.0, 5], [5, 5]] + sum(LABELED_VIEWS + UNLABELED_VIEWS, [])
    network = Projected(plain, [[0.0, 0]] * 15, projections, [[1.0, 0.2], [0.2, 1]])
    x = {view: as_images([[0.0, 0]] * 2) for view in learner.views.x}
    u = {view: as_images([[0.0, 0]] * 3) for view in learner.views.u}
    batch = batch._replace(x=x, u=u, u_index=torch.arange(3))
    losses, _ = learner.step(batch, models._replace(student=network))
    assert float(losses["smoothed"]) == pytest.approx(smoothed, abs=1e-5)
    assert float(losses["reliable"]) == pytest.approx(0.3 * reliable, abs=1e-5)


def test_projections_and_views_belong_to_the_contrastive_losses(env):
    """Both projections have D = 2 hidden and 2 D outputs; that of the classes maps the balanced head."""
    learner = make(env, **CONTRASTIVE)
    projections = {"projection": Projection(2, 4), "centres": Projection(2, 4, "balanced")}
    assert learner.heads == {"balanced": 3, **projections}
    assert learner.views.x == ("weak", "simclr", "simclr2")
    assert (make(env).heads, make(env).views.x) == ({"balanced": 3}, ("weak",))
    assert (learner.on_features, make(env).on_features) == ("refused", "supported")
