import pytest
import torch
from torch import nn

from daso.methods.addons.logit_adjustment import LogitAdjustment
from daso.methods.learners.mean_teacher import MeanTeacher
from daso.records import Output
from tests.methods.conftest import daso

OPTIONS = {"weight": 50.0, "ramp_up": 0.4}
SECOND = torch.tensor([[3.0, 1], [0.5, 2], [-1, -2], [1.2, 0.8], [0.4, 1.5]])


def mean_teacher(env, *addons, **changes):
    return MeanTeacher(env, addons, **(OPTIONS | changes))


@pytest.fixture
def models(models):
    """Halve the teacher's weight of the second feature."""
    with torch.no_grad():
        models.teacher.classifier.weight[1, 1] = 0.5
    return models


@pytest.fixture
def batch(batch):
    return batch._replace(u={"weak": batch.u["weak"], "weak2": SECOND[:, None, None, :].expand(-1, 3, 1, 2)})


class FixedOutputs(nn.Module):
    """Network with fixed predicted probabilities."""

    def __init__(self, probs):
        super().__init__()
        self.logits = torch.tensor(probs).log()

    def forward(self, images):
        return Output(torch.zeros(len(images), 2), self.logits, {})


def test_consistency_loss_is_the_mean_squared_error(env, batch, models):
    """Student (.7, .2, .1), (.1, .8, .1), teacher (.6, .3, .1), (.3, .6, .1): 50 (.02 + .08) / 6."""
    uniform = [1 / 3, 1 / 3, 1 / 3]
    student = FixedOutputs([uniform, uniform, [0.7, 0.2, 0.1], [0.1, 0.8, 0.1]])
    teacher = FixedOutputs([[0.6, 0.3, 0.1], [0.3, 0.6, 0.1]])
    two = batch._replace(u={view: images[:2] for view, images in batch.u.items()}, u_index=torch.arange(2))
    losses, _ = mean_teacher(env).step(two, models._replace(student=student, teacher=teacher))
    assert losses["consistency"].item() == pytest.approx(0.833333, abs=1e-6)
    assert losses["supervised"].item() == pytest.approx(1.098612, abs=1e-6)


@pytest.mark.parametrize(
    ("addons", "t", "targets", "consistency"),
    [
        (
            [],
            500,
            [
                *([0.923364, 0.075794, 0.000842], [0.370575, 0.610975, 0.018450], [0.017668, 0.017668, 0.964663]),
                *([0.671100, 0.301545, 0.027356], [0.396931, 0.563273, 0.039796]),
            ],
            1.530587,
        ),
        (
            ["daso"],
            500,
            [
                *([0.926206, 0.073794, 0.000000], [0.137128, 0.856045, 0.006827], [0.012317, 0.012317, 0.975365]),
                *([0.098075, 0.901925, 0.000000], [0.146881, 0.838393, 0.014726]),
            ],
            1.454049,
        ),
        (
            ["daso"],
            99,
            [
                *([0.923364, 0.075794, 0.000842], [0.370575, 0.610975, 0.018450], [0.017668, 0.017668, 0.964663]),
                *([0.671100, 0.301545, 0.027356], [0.396931, 0.563273, 0.039796]),
            ],
            1.530587 * 99 / 400,
        ),
    ],
)
def test_losses_of_a_step(env, batch, models, addons, t, targets, consistency):
    """Compare the student's predictions on the weak views with the teacher's on the second weak views.

    The mean squared errors of the five images are .001461 .079000 .000542 .012363 .059693, and 50 times their mean is
    1.530587. With DASO, v is (1, .629961, .302853): the pseudo-labels of class 0, the first and the fourth, are
    semantic alone, and the fourth becomes class 1; errors .001314 .007318 .000247 .135625 .000901.
    """
    learner = mean_teacher(env, *(daso(env) for _ in addons))
    losses, step = learner.step(batch._replace(t=torch.tensor(t)), models)
    assert step.targets.flatten().tolist() == pytest.approx(sum(targets, []), abs=1e-6)
    assert losses.keys() == {"supervised", "consistency"}
    assert losses["supervised"].item() == pytest.approx(0.275269, abs=1e-6)
    assert losses["consistency"].item() == pytest.approx(consistency, abs=1e-5)


@pytest.mark.parametrize(("t", "ramp_factor"), [(0, 0), (100, 0.25), (200, 0.5), (400, 1), (999, 1)])
def test_only_unlabeled_loss_is_ramped_up(env, batch, models, t, ramp_factor):
    """The ramp takes .4 of 1,000 steps."""
    losses, _ = mean_teacher(env).step(batch._replace(t=torch.tensor(t)), models)
    assert losses["supervised"].item() == pytest.approx(0.275269, abs=1e-6)
    assert losses["consistency"].item() == pytest.approx(ramp_factor * 1.530587, abs=1e-5)


def test_each_network_runs_once_per_step(env, batch, models, forwards):
    """One pass of each network; the teacher's includes the labeled images if DASO's queue stores its features."""
    x, u, second = (part[:, 0, 0].tolist() for part in (batch.x["weak"], batch.u["weak"], batch.u["weak2"]))
    student = ("student", x + u, True)
    mean_teacher(env).step(batch, models)
    assert forwards == [student, ("teacher", second, False)]
    forwards.clear()
    mean_teacher(env, daso(env)).step(batch, models)
    assert forwards == [student, ("teacher", x + second, False)]
    forwards.clear()
    mean_teacher(env, daso(env, queue_encoder="student")).step(batch, models)
    assert forwards == [student, ("teacher", second, False)]


@pytest.mark.parametrize("with_daso", [False, True])
def test_updates_of_running_statistics(env, mixed_batch, batch_norm_models, with_daso):
    """Each network updates them once, by a tenth of the mean of its images."""
    mean_teacher(env, *([daso(env)] if with_daso else [])).step(mixed_batch, batch_norm_models)
    parts = [mixed_batch.u["weak2"], *([mixed_batch.x["weak"]] if with_daso else [])]
    for network, images in (
        (batch_norm_models.student, [mixed_batch.x["weak"], mixed_batch.u["weak"]]),
        (batch_norm_models.teacher, parts),
    ):
        assert network.encoder.norm.num_batches_tracked == 1
        mean = torch.cat(images).mean((0, 2, 3))
        assert torch.allclose(network.encoder.norm.running_mean, 0.1 * mean)


def test_consistency_loss_has_gradient_for_the_student_alone(env, batch, models):
    for images in batch.u.values():
        images.requires_grad_(True)
    losses, step = mean_teacher(env).step(batch, models)
    inputs = [*batch.u.values(), models.teacher.classifier.weight]
    student_view, teacher_view, teacher = torch.autograd.grad(losses["consistency"], inputs, allow_unused=True)
    assert student_view.any()
    assert teacher_view is None
    assert teacher is None
    assert not step.targets.requires_grad


def test_daso_stores_labeled_features_and_blended_pseudo_labels(env, batch, models):
    """The features are the teacher's or the student's; the blended pseudo-labels are 0 1 2 1 1."""
    with torch.no_grad():
        models.teacher.encoder.register_forward_hook(lambda module, inputs, features: 2 * features)
    for encoder, factor in (("teacher", 2.0), ("student", 1.0)):
        addon = daso(env, queue_encoder=encoder)
        learner = mean_teacher(env, addon)
        learner.commit(learner.step(batch, models)[1])
        assert addon.queue.bank[:2].tolist() == [[2 * factor, 0], [0, factor]]
        assert addon.queue.size.tolist() == [1, 1, 0]
        assert addon.histogram.counts.tolist() == [1, 3, 1]


def test_losses_use_weights_of_addons(env, batch, models, first_image_only):
    """With the first images alone: log(1 + e^-2 + e^-4) / 2 and 50 * .001461 / 5."""
    losses, _ = mean_teacher(env, first_image_only).step(batch, models)
    assert losses["supervised"].item() == pytest.approx(0.142932 / 2, abs=1e-6)
    assert losses["consistency"].item() == pytest.approx(0.014610, abs=1e-6)


def test_logits_are_adjusted_by_role(env, batch, models):
    losses, step = mean_teacher(env).step(batch, models)
    for role in ("supervised", "pseudo_label", "consistency"):
        la = LogitAdjustment(env, tau=1.0, roles=[role])
        adjusted, adjusted_step = mean_teacher(env, la).step(batch, models)
        assert (adjusted["supervised"] != losses["supervised"]) == (role == "supervised")
        assert (adjusted["consistency"] != losses["consistency"]) == (role != "supervised")
        assert torch.equal(adjusted_step.targets, step.targets) == (role != "pseudo_label")
