import pytest
import torch

from daso.methods.addons.logit_adjustment import LogitAdjustment
from daso.methods.learners.pseudo_label import PseudoLabel

OPTIONS = {"threshold": 0.95, "weight": 1.0, "ramp_up": 0.4}


def pseudo_label(env, *addons, **changes):
    return PseudoLabel(env, addons, **(OPTIONS | changes))


@pytest.mark.parametrize(
    ("changes", "mask", "consistency"),
    [
        ({}, [1, 1, 1, 0, 0], 0.013860),
        ({"threshold": 0.5}, [1, 1, 1, 1, 1], 0.163927),
        ({"weight": 3.0}, [1, 1, 1, 0, 0], 0.041580),
        ({"threshold": 1.0}, [0, 0, 0, 0, 0], 0.0),
    ],
)
def test_losses_of_a_step(env, batch, models, changes, mask, consistency):
    """Confidences .970496 .963735 .997591 .536544 .880090; the loss of each image is minus the logarithm.

    .029948 .036939 .002412 .622607 .127731: the first three sum to .069299, a fifth of which is .013860.
    """
    losses, step = pseudo_label(env, **changes).step(batch, models)
    assert step.targets.amax(-1).tolist() == pytest.approx([0.970496, 0.963735, 0.997591, 0.536544, 0.880090], abs=1e-6)
    assert step.targets.argmax(-1).tolist() == [0, 1, 2, 0, 1]
    assert step.mask.int().tolist() == mask
    assert losses.keys() == {"supervised", "consistency"}
    assert losses["supervised"].item() == pytest.approx(0.275269, abs=1e-6)
    assert losses["consistency"].item() == pytest.approx(consistency, abs=1e-6)


def test_confidence_equal_to_the_threshold_counts(env, batch, models):
    _, step = pseudo_label(env).step(batch, models)
    learner = pseudo_label(env, threshold=step.targets.amax(-1)[4].item())
    assert learner.step(batch, models)[1].mask.tolist() == [True, True, True, False, True]


@pytest.mark.parametrize(("t", "ramp_factor"), [(0, 0), (100, 0.25), (200, 0.5), (400, 1), (999, 1)])
def test_only_unlabeled_loss_is_ramped_up(env, batch, models, t, ramp_factor):
    """The ramp takes .4 of 1,000 steps."""
    losses, _ = pseudo_label(env).step(batch._replace(t=torch.tensor(t)), models)
    assert losses["supervised"].item() == pytest.approx(0.275269, abs=1e-6)
    assert losses["consistency"].item() == pytest.approx(ramp_factor * 0.013860, abs=1e-6)


def test_labeled_and_unlabeled_images_share_one_forward_pass(env, batch, models, forwards):
    pseudo_label(env).step(batch, models)
    rows = torch.cat([batch.x["weak"], batch.u["weak"]])[:, 0, 0].tolist()
    assert forwards == [("student", rows, True)]


def test_gradient_of_the_weak_view(env, batch, models):
    """Cross-entropy with an image's own pseudo-label has the gradient (p - e) W / 5 if confident, else zero.

    The first: p = (.970496, .029306, .000198), so p - e = (-.029504, .029306, .000198); the columns of W are
    (1, 0, -1) and (0, 1, -1).
    """
    batch.u["weak"].requires_grad_(True)
    losses, step = pseudo_label(env).step(batch, models)
    assert not step.targets.requires_grad
    (grad,) = torch.autograd.grad(losses["consistency"], batch.u["weak"])
    assert grad[0].sum(0)[0].tolist() == pytest.approx([-0.029702 / 5, 0.029108 / 5], abs=1e-6)
    assert grad[1:3].any()
    assert not grad[3:].any()


def test_losses_use_weights_of_addons(env, batch, models, first_image_only):
    """With the first images alone: log(1 + e^-2 + e^-4) / 2 and .029948 / 5."""
    losses, step = pseudo_label(env, first_image_only).step(batch, models)
    assert losses["supervised"].item() == pytest.approx(0.142932 / 2, abs=1e-6)
    assert losses["consistency"].item() == pytest.approx(0.029948 / 5, abs=1e-6)
    assert step.mask.int().tolist() == [1, 0, 0, 0, 0]


def test_logits_are_adjusted_by_role(env, batch, models):
    """log (.7, .2, .1) is subtracted from the pseudo-label's logits of the fourth image, (1.1, .9, -2): class 1."""
    losses, step = pseudo_label(env, threshold=0.5).step(batch, models)
    for role in ("supervised", "pseudo_label", "consistency"):
        la = LogitAdjustment(env, tau=1.0, roles=[role])
        adjusted, adjusted_step = pseudo_label(env, la, threshold=0.5).step(batch, models)
        assert (adjusted["supervised"] != losses["supervised"]) == (role == "supervised")
        assert (adjusted["consistency"] != losses["consistency"]) == (role != "supervised")
        assert adjusted_step.targets.argmax(-1).tolist() == [0, 1, 2, int(role == "pseudo_label"), 1]
        assert torch.equal(adjusted_step.targets, step.targets) == (role != "pseudo_label")
