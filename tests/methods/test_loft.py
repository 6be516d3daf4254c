"""Compare LoFT with numbers computed independently, for three classes and fixed outputs of the network."""

import pytest
import torch

from daso.config.signature import constructor_errors
from daso.methods.addons.logit_adjustment import LogitAdjustment
from daso.methods.learners.loft import LoFT
from tests.methods.conftest import as_images
from tests.methods.two_heads import FixedHeads

OPTIONS = {"threshold": 0.6, "open_threshold": 0.36, "hard_weight": 3.0, "soft_weight": 1.0}
LABELED = [[1.0, 1, 1]] * 3  # of classes 0, 1 and 2
WEAK = [[3.0, 1, 0], [1, 0.8, 0.5], [0.1, 0, 0.05]]
STRONG = [[2.0, 1, 0], [0.5, 0.5, 0.5], [0, 0.2, 0.1]]


@pytest.fixture
def env(env):
    return env._replace(counts=(6, 3, 1))


@pytest.fixture
def make(env):
    def learner(*addons, **changes):
        adjustment = LogitAdjustment(env, tau=1.0, roles=["supervised"])
        return LoFT(env, [adjustment, *addons], **OPTIONS | changes)

    return learner


@pytest.fixture
def run_step(batch, models):
    def run(learner, labeled=LABELED, weak=WEAK, strong=STRONG, labels=(0, 1, 2)):
        images = as_images([[0.0, 0.0]] * len(labeled))
        u = dict.fromkeys(("weak", "strong"), as_images([[0.0, 0.0]] * len(weak)))
        own = batch._replace(x={"weak": images}, y=torch.tensor(labels), u=u, u_index=torch.arange(len(weak)))
        outputs = [*labeled, *weak, *strong]
        return learner.step(own, models._replace(student=FixedHeads(outputs, outputs)))

    return run


def close(expected):
    return pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("label", "loss"), [(0, 0.510826), (1, 1.203973), (2, 2.302585)])
def test_labeled_loss_has_the_log_prior_added(make, run_step, label, loss):
    """Of equal logits: -log .6, -log .3 and -log .1."""
    losses, _ = run_step(make(), labeled=LABELED[:1], labels=(label,))
    assert losses["supervised"].item() == close(loss)


def test_hard_soft_and_dropped_pseudo_labels(make, run_step):
    """The largest probabilities are .843795, .412327 and .350132: hard, soft, and at most .36.

    Cross-entropies .407606 with class 0 and log 3 with all probabilities, over three images, times 3 and 1.
    """
    losses, step = run_step(make())
    assert losses.keys() == {"supervised", "consistency", "consistency_soft"}
    assert step.targets.amax(-1).tolist() == close([0.843795, 0.412327, 0.350132])
    assert step.mask.tolist() == [True, False, False]
    assert losses["supervised"].item() == close(1.339128)
    assert losses["consistency"].item() == close(3 * 0.135869)
    assert losses["consistency_soft"].item() == close(0.366204)


def test_open_threshold_of_zero_drops_no_image(make, run_step):
    """The third image has q = (.350132, .316812, .333056) and log-probabilities -1.201943, -1.001943, -1.101943."""
    losses, _ = run_step(make(open_threshold=0.0))
    assert losses["consistency_soft"].item() == close((1.098612 + 1.105275) / 3)


@pytest.mark.parametrize(("soft_weight", "loss"), [(0.0, 0.0), (2.0, 0.732408)])
def test_weights_multiply_both_losses(make, run_step, soft_weight, loss):
    losses, _ = run_step(make(hard_weight=0.5, soft_weight=soft_weight))
    assert losses["consistency"].item() == close(0.067934)
    assert losses["consistency_soft"].item() == close(loss)


def test_confidence_at_a_threshold_is_hard_and_at_the_open_threshold_is_dropped(make, run_step):
    """Probabilities (.5, .5, 0) exactly; the cross-entropy of equal logits is log 3."""
    weak, strong = [[0.0, 0.0, -1000.0]], [[0.0, 0.0, 0.0]]
    losses, step = run_step(make(threshold=0.5), weak=weak, strong=strong)
    assert step.mask.tolist() == [True]
    assert losses["consistency"].item() == close(3 * 1.098612)
    losses, step = run_step(make(open_threshold=0.5), weak=weak, strong=strong)
    assert step.mask.tolist() == [False]
    assert losses["consistency"].item() == losses["consistency_soft"].item() == 0


def test_pseudo_labels_have_no_gradient(make, batch, models):
    """The strong view has features of zero, so that any gradient of the weights would be that of the weak view."""
    with torch.no_grad():
        models.student.classifier.bias.copy_(torch.tensor([1.0, 0.0, 0.0]))
    u = {"weak": as_images([[1.0, 0.5]]), "strong": as_images([[0.0, 0.0]])}
    losses, _ = make(threshold=0.99, open_threshold=0.0).step(batch._replace(u=u, u_index=torch.arange(1)), models)
    assert losses["consistency_soft"] > 0
    (grad,) = torch.autograd.grad(losses["consistency_soft"], models.student.classifier.weight)
    assert not grad.any()


def test_addon_weighs_hard_and_soft_pseudo_labels(make, run_step, first_image_only):
    losses, step = run_step(make(first_image_only))
    assert step.mask.tolist() == [True, False, False]
    assert losses["supervised"].item() == close(0.510826 / 3)
    assert losses["consistency"].item() == close(3 * 0.135869)
    assert losses["consistency_soft"].item() == 0


def test_logits_of_pseudo_labels_and_strong_views_are_adjusted(env, run_step):
    """Minus log (.6, .3, .1), the first and the third row are hard; plus it, the first has the loss .187720."""
    adjustment = LogitAdjustment(env, tau=1.0, roles=["pseudo_label"])
    _, step = run_step(LoFT(env, [adjustment], **OPTIONS))
    assert step.targets[2].tolist() == close([0.117412, 0.212477, 0.670112])
    assert step.mask.tolist() == [True, False, True]
    adjustment = LogitAdjustment(env, tau=1.0, roles=["consistency"])
    losses, _ = run_step(LoFT(env, [adjustment], **OPTIONS))
    assert losses["consistency"].item() == close(0.187720)


def test_evaluation_reads_raw_logits_of_the_student(make, models):
    """Logits of (2, 1) are 2, 1 and -3."""
    with torch.no_grad():
        models.teacher.classifier.weight.zero_()
    for logits in make().predict(as_images([[2.0, 1.0]]), models):
        assert logits.tolist() == [[2, 1, -3]]


def test_open_threshold_above_the_threshold_is_refused():
    errors = list(constructor_errors("daso.methods.learners.loft:LoFT", OPTIONS | {"open_threshold": 0.7}))
    assert [line for line, _ in errors] == [
        "learner 'loft': open_threshold: 0.7 is above threshold 0.6; set it to 0.6 or less"
    ]
