"""Compare CDMAD with numbers computed independently, for three classes."""

import pytest
import torch
from torch import nn

from daso.errors import ParamsError
from daso.methods.addons.cdmad import CDMAD
from daso.methods.base import AddOn, Blank
from daso.models.norm import BatchNorm1d
from daso.ops.distributions import one_hot
from daso.records import Output, Role, Step
from tests.engine.world import CONFIG, trainer
from tests.methods.conftest import as_images, fixmatch
from tests.methods.test_fixmatch import FixedOutputs

LOGITS = torch.tensor([[2.0, 1.0, 0.5]])
OPTIONS = {"colour": "ones", "mode": "evaluation", "warmup": 100}
SOFT = {"threshold": 1e-6, "strong_views": 2, "targets": "soft"}
BEFORE, AFTER = [0.628532, 0.231224, 0.140244], [0.307248, 0.414742, 0.278010]


def softmax_of_adjusted(env, batch, role, t):
    """Return the probabilities of LOGITS adjusted in step t; the logits of the blank image are (1.5, .2, .1)."""
    blank = Output(torch.zeros(1, 2), torch.tensor([[1.5, 0.2, 0.1]]), {})
    step = Step(batch._replace(t=torch.tensor(t)), {"blank": blank})
    return CDMAD(env, **OPTIONS).adjust(LOGITS, role, step).softmax(-1)[0].tolist()


@pytest.mark.parametrize(
    ("role", "t", "expected"),
    [
        (Role.PSEUDO_LABEL, 99, BEFORE),
        (Role.PSEUDO_LABEL, 100, AFTER),
        (Role.EVAL, 99, AFTER),
        (Role.SUPERVISED, 100, BEFORE),
        (Role.CONSISTENCY, 100, BEFORE),
    ],
)
def test_logits_of_the_blank_image_are_subtracted(env, batch, role, t, expected):
    """(2, 1, .5) - (1.5, .2, .1) = (.5, .8, .4): the class changes from 0 to 1. Losses have their own logits."""
    assert softmax_of_adjusted(env, batch, role, t) == pytest.approx(expected, abs=1e-6)


def fixed_step(env, batch, models, t=100, **options):
    """Run a step in which all weak views have LOGITS, and the strong views (1, 0, 0) and (0, 1, 0).

    The EMA model maps the blank input (1.5, .2) to the logits (1.5, .2, -1.7 + 1.8).
    """
    learner = fixmatch(env, CDMAD(env, **OPTIONS), **(SOFT | options))
    learner.blank_input = as_images([[1.5, 0.2]])
    with torch.no_grad():
        models.teacher.classifier.bias[2] = 1.8
    views = dict.fromkeys(learner.views.u, batch.u["weak"][:1])
    student = FixedOutputs(torch.cat([torch.zeros(2, 3), LOGITS, torch.eye(3)[:2]]))
    own = batch._replace(t=torch.tensor(t), u=views, u_index=torch.arange(1))
    return learner.step(own, models._replace(student=student))


@pytest.mark.parametrize(
    ("t", "options", "loss"),
    [
        (100, {}, 1.190450),
        (99, {}, 1.121567),
        (100, {"targets": "hard"}, 1.051445),
        (100, {"threshold": 0.42}, 0.0),
        (100, {"weight": 2.0}, 2.380900),
    ],
)
def test_losses_of_a_step(env, batch, models, t, options, loss):
    """The strong views' cross-entropies with q are log(e + 2) - q_0 and log(e + 2) - q_1, and log(e + 2) = 1.551445.

    After the warm-up 1.551445 - (.307248 + .414742) / 2, before it 1.551445 - (.628532 + .231224) / 2; with q's class,
    which is 1, 1.551445 - 1 / 2. The threshold .42 is above the largest probability, .414742.
    """
    losses, step = fixed_step(env, batch, models, t, **options)
    assert losses["consistency"].item() == pytest.approx(loss, abs=1e-5)
    assert losses["supervised"].item() == pytest.approx(1.098612, abs=1e-5)
    assert step.targets[0].tolist() == pytest.approx(BEFORE if t < 100 else AFTER, abs=1e-5)
    assert step.mask.tolist() == [loss > 0]


@pytest.mark.parametrize(("mode", "expected"), [("evaluation", [6, 2, -8]), ("training", [1, -1, 0])])
def test_blank_image_by_the_ema_model_or_by_the_student_alone(env, batch, batch_norm_models, mode, expected):
    """Blank input with rows (3, 1): the EMA model, whose classifier has twice the weights, maps it to (6, 2, -8).

    The student normalises (3, 1), whose mean is 2 and deviation 1, to (1, -1), and keeps its running statistics.
    """
    models, learner = batch_norm_models, fixmatch(env, CDMAD(env, **(OPTIONS | {"mode": mode})))
    learner.blank_input = torch.tensor([3.0, 1.0]).expand(1, 3, 2, 2)
    with torch.no_grad():
        models.teacher.classifier.weight.mul_(2)
    norm = models.student.encoder.norm
    out = learner.begin(batch, models, {}).out
    assert out["blank"].logits[0].tolist() == pytest.approx(expected, abs=1e-4)
    assert not out["blank"].logits.requires_grad
    assert norm.running_mean.tolist() == [0, 0, 0]
    assert norm.running_var.tolist() == [1, 1, 1]
    assert (norm.momentum, norm.training) == (0.1, True)
    assert models.teacher.encoder.norm.training


def test_blank_image_of_the_student_passes_a_head_with_batch_norm(env, batch, models):
    """Its logits are those of the classifier, (1, 1, -2); the running statistics of the head stay as they were."""
    models.student.heads["projection"] = nn.Sequential(nn.Linear(2, 4), BatchNorm1d(4))
    learner = fixmatch(env, CDMAD(env, **(OPTIONS | {"mode": "training"})))
    learner.blank_input = as_images([[1, 1]])
    out = learner.begin(batch, models, {}).out["blank"]
    assert (out.logits.tolist(), len(out.features), len(out.heads["projection"])) == ([[1, 1, -2]], 1, 1)
    norm = models.student.heads["projection"][1]
    assert (norm.running_mean.tolist(), norm.running_var.tolist(), norm.momentum) == ([0] * 4, [1] * 4, 0.1)


@pytest.mark.parametrize(("evaluated", "factor"), [("teacher", 2), ("student", 1)])
def test_predictions_are_those_without_the_logits_of_the_blank_image(env, models, evaluated, factor):
    """Image (2, 0) has the logits (2, 0, -2), the blank one (1, 1, -2); those of the EMA model are twice as large."""
    learner = fixmatch(env, CDMAD(env, **OPTIONS))
    learner.blank_input, learner.evaluation_model = as_images([[1, 1]]), evaluated
    with torch.no_grad():
        models.teacher.classifier.weight.mul_(2)
        logits, adjusted = learner.predict(as_images([[2, 0]]), models)
    assert logits.tolist() == [[2 * factor, 0, -2 * factor]]
    assert adjusted.tolist() == [[factor, -factor, 0]]


class Own(AddOn):
    """Add-on whose own head is evaluated."""

    evaluation_head = "own"


def test_evaluated_head_is_corrected_by_its_own_logits(env, models):
    """The head `own` has the identity and a bias: (2, 0, 5) for the image, (1, 1, 5) for the blank one."""
    for network in models:
        network.heads["own"] = nn.Linear(2, 3)
        with torch.no_grad():
            network.heads["own"].weight.copy_(one_hot(torch.tensor([0, 1]), 3).T)
            network.heads["own"].bias.copy_(torch.tensor([0.0, 0.0, 5.0]))
    learner = fixmatch(env, CDMAD(env, **OPTIONS), Own())
    learner.blank_input = as_images([[1, 1]])
    with torch.no_grad():
        logits, adjusted = learner.predict(as_images([[2, 0]]), models)
    assert logits.tolist() == [[2, 0, 5]]
    assert adjusted.tolist() == [[1, -1, 0]]


def test_head_of_the_last_add_on_with_one_is_evaluated(env):
    class Balanced(AddOn):
        evaluation_head = "balanced"

    assert fixmatch(env).evaluated_head_name is None
    assert fixmatch(env, Own(), Balanced(), AddOn()).evaluated_head_name == "balanced"


def test_run_has_the_blank_image_of_its_colour(tmp_path):
    """White is (1 - .5) / .25 = 2 in all channels. It is no part of a checkpoint."""
    addon = {"name": "cdmad", **OPTIONS, "colour": "white"}
    run = trainer(method=CONFIG["method"] | {"addons": [addon]})
    assert torch.equal(run.learner.blank_input, torch.full((1, 3, 4, 4), 2.0))
    network = run.models.teacher
    with torch.no_grad():
        expected = run.predict(run.data.test)[0] - network.evaluated(run.learner.blank_input).logits
    assert torch.allclose(run.predict(run.data.test)[1], expected)
    assert run.state()["learner"] == {}


def test_add_ons_read_one_blank_image(env):
    class Second(AddOn):
        blank = Blank("zeros", "evaluation")

    with pytest.raises(ParamsError, match="add-ons read different blank images; set the same colour and mode"):
        fixmatch(env, CDMAD(env, **OPTIONS), Second())


def test_only_methods_with_a_blank_image_compute_its_outputs(env, batch, models):
    assert "blank" not in fixmatch(env).begin(batch, models, {}).out
