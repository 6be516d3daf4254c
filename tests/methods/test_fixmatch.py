import pytest
import torch
from torch import nn

from daso.methods.addons.logit_adjustment import LogitAdjustment
from daso.records import Output
from tests.methods.conftest import fixmatch


class FixedOutputs(nn.Module):
    """Network with fixed logits."""

    def __init__(self, logits):
        super().__init__()
        self.logits = logits

    def forward(self, images):
        return Output(torch.zeros(len(images), 2), self.logits, {})


WEAK = torch.tensor([[0.97, 0.02, 0.01], [0.90, 0.05, 0.05], [0.02, 0.96, 0.02]])


def run_step(learner, batch, models, weak=WEAK):
    """Run a step with the predictions `weak` on weak views and the identity as logits of the strong views."""
    student = FixedOutputs(torch.cat([torch.zeros(2, 3), weak.log(), torch.eye(3)]))
    three = batch._replace(u={view: images[:3] for view, images in batch.u.items()}, u_index=torch.arange(3))
    return learner.step(three, models._replace(student=student))


def test_only_confident_pseudo_labels_count(env, batch, models):
    """Predictions (.97, .02, .01), (.90, .05, .05), (.02, .96, .02), strong logits the identity.

    The first and the third count: log(e + 2) - 1 = .551445 and, as its pseudo-label is class 1, log(e + 2) = 1.551445.
    """
    losses, step = run_step(fixmatch(env), batch, models)
    assert step.mask.tolist() == [True, False, True]
    assert losses["consistency"].item() == pytest.approx(0.700963, abs=1e-5)
    assert losses["supervised"].item() == pytest.approx(1.098612, abs=1e-5)


def test_weight_scales_the_unlabeled_loss(env, batch, models):
    """Twice the .700963 above; the labeled loss is log 3, for uniform predictions."""
    losses, _ = run_step(fixmatch(env, weight=2.0), batch, models)
    assert losses["consistency"].item() == pytest.approx(1.401926, abs=1e-5)
    assert losses["supervised"].item() == pytest.approx(1.098612, abs=1e-5)


def test_confidence_equal_to_the_threshold_counts(env, batch, models):
    """One half is exact in floating point: the first confidence equals the threshold, the third is below it."""
    weak = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0], [0.375, 0.25, 0.375]])
    _, step = run_step(fixmatch(env, threshold=0.5), batch, models, weak)
    assert step.targets[0].tolist() == [0.5, 0.5, 0]
    assert step.mask.tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("role", "first", "mask", "consistency"),
    [("pseudo_label", 0.873874, [False, False, True], 0.517148), ("consistency", 0.97, [True, False, True], 0.638136)],
)
def test_logits_are_adjusted_by_role(env, batch, models, role, first, mask, consistency):
    """Pseudo-labels are divided by pi = (.7, .2, .1), and log pi is added to the strong logits.

    .97 / .7 over .97 / .7 + .02 / .2 + .01 / .1 is .873874, and the third, .96 / .2 = 4.8 over 5.028571, is .954545: it
    alone counts, log(e + 2) / 3. With log pi in the strong logits, the losses of the first and the third image are
    log(1 + .3 / (.7 e)) = .146403 and log((.9 + .1 e) / .2) = 1.768003, over three images.
    """
    addon = LogitAdjustment(env, tau=1.0, roles=[role])
    losses, step = run_step(fixmatch(env, addon), batch, models)
    assert step.targets[0, 0].item() == pytest.approx(first, abs=1e-5)
    assert step.mask.tolist() == mask
    assert losses["consistency"].item() == pytest.approx(consistency, abs=1e-5)
    assert losses["supervised"].item() == pytest.approx(1.098612, abs=1e-5)


def test_pseudo_labels_have_no_gradient(env, batch, models):
    batch.u["weak"].requires_grad_(True)
    losses, _ = fixmatch(env, threshold=0.5).step(batch, models)
    (grad,) = torch.autograd.grad(losses["consistency"], batch.u["weak"], allow_unused=True)
    assert grad is None or not grad.any()


def test_two_strong_views_have_the_mean_of_their_losses(env, batch, models):
    """Pseudo-labels 0 and 1 of the first and the third image; the strong views' logits are (1, 0, 0) and (0, 1, 0).

    log(e + 2) - 1 = .551445 for the view that agrees, log(e + 2) = 1.551445 for the other one: of three images
    (.551445 + 1.551445 + 1.551445 + .551445) / 2 / 3.
    """
    learner = fixmatch(env, strong_views=2)
    first, second = torch.eye(3)[[0, 0, 0]], torch.eye(3)[[1, 1, 1]]
    student = FixedOutputs(torch.cat([torch.zeros(2, 3), WEAK.log(), first, second]))
    views = dict.fromkeys(("weak", "strong", "strong2"), batch.u["weak"][:3])
    assert learner.views.u == tuple(views)
    losses, _ = learner.step(batch._replace(u=views, u_index=torch.arange(3)), models._replace(student=student))
    assert losses["consistency"].item() == pytest.approx(0.700963, abs=1e-5)
