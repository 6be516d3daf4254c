"""Compare ADELLO and UDAL with numbers computed independently, for three classes; labeled counts are 7, 2 and 1."""

import pytest
import torch

from daso.methods.addons.adello import ADELLO, estimate_temperature
from daso.methods.addons.distribution_alignment import DistributionAlignment
from daso.methods.base import Views
from daso.records import Output, Role, Step
from tests.methods.conftest import as_images, fixmatch

OPTIONS = {
    **{"prior": "unlabeled", "momentum": 0.999, "alpha_min": 0.1},
    **{"weight": 1.0, "warmup": 100, "temperature": "estimated"},
}
Q = (0.2, 0.3, 0.5)


def make_adello(env, mean=None, **options):
    adello = ADELLO(env, **(OPTIONS | options))
    if mean:
        adello.mean.commit(torch.tensor(mean))
    return adello


def at(batch, t):
    return Step(batch._replace(t=torch.tensor(t)), {})


def shifts(adello, batch, t):
    """Return what is added to the logits of the labeled and of the unlabeled loss in step t of 1000."""
    zero = torch.zeros(1, 3, dtype=adello.mean.shares.dtype)
    roles = (Role.SUPERVISED, Role.CONSISTENCY)
    return [adello.adjust(zero, role, at(batch, t))[0].tolist() for role in roles]


@pytest.mark.parametrize(
    ("t", "labeled", "unlabeled"),
    [
        (0, [1.098612, 0, -1.609438], [0, 0, 0]),
        (500, [0.971565, -0.035818, -1.530320], [-0.127048, -0.035818, 0.079118]),
        (1000, [0.632549, -0.101145, -1.250840], [-0.466063, -0.101145, 0.358598]),
    ],
)
def test_target_slides_from_unlabeled_prior_to_nearly_uniform(env, batch, t, labeled, unlabeled):
    """pi (.6, .3, .1), Q (.2, .3, .5): targets Q, (.227094, .310940, .461966), (.318742, .331931, .349327)."""
    adello = make_adello(env._replace(counts=(6, 3, 1))).double()
    adello.mean.commit(torch.tensor(Q, dtype=torch.float64))
    adello.labeled.copy_(torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64))
    first, second = shifts(adello, batch, t)
    assert first == pytest.approx(labeled, abs=1e-6)
    assert second == pytest.approx(unlabeled, abs=1e-6)


@pytest.mark.parametrize(("t", "alpha"), [(0, 1.0), (250, 0.94375), (500, 0.775), (750, 0.49375), (1000, 0.1)])
def test_alpha_falls_with_the_square_of_the_elapsed_share(env, batch, t, alpha):
    """log Q_1 / target_1 - log Q_0 / target_0 = (1 - alpha) (log .5 - log .2) = (1 - alpha) .916291."""
    _, unlabeled = shifts(make_adello(env, Q), batch, t)
    assert unlabeled[2] - unlabeled[0] == pytest.approx((1 - alpha) * 0.916291, abs=1e-5)


def test_target_of_udal_is_a_power_of_the_labeled_prior(env, batch):
    """pi (.7, .2, .1) to the power .775, scaled: (.624969, .236704, .138327). Q remains the unlabeled prior."""
    adello = make_adello(env, Q, prior="labeled")
    first, second = shifts(adello, batch, 500)
    assert first == pytest.approx([0.113379, -0.168493, -0.324451], abs=1e-5)
    assert second == pytest.approx([-1.139384, 0.236972, 1.284987], abs=1e-5)
    first, second = shifts(adello, batch, 0)
    assert first == pytest.approx([0, 0, 0], abs=1e-6)
    assert second == pytest.approx([-1.252763, 0.405465, 1.609438], abs=1e-5)


def test_class_without_labels_has_a_finite_shift(env, batch):
    """log (0 + 1e-9) / (1 / 3 + 1e-9) = -19.624653."""
    labeled, _ = shifts(make_adello(env._replace(counts=(8, 2, 0))), batch, 500)
    assert labeled[2] == pytest.approx(-19.624653, abs=1e-4)


def test_pseudo_labels_and_evaluation_use_raw_logits(env, batch):
    logits, adello = torch.tensor([[1.0, 2, 0.5]]), make_adello(env, Q)
    assert all(adello.adjust(logits, role, at(batch, 500)) is logits for role in (Role.PSEUDO_LABEL, Role.EVAL))


@pytest.mark.parametrize(
    ("shares", "expected"),
    [((1 / 3,) * 3, 1.0), (Q, 1.072766), ((0.6, 0.3, 0.1), 1.271905), ((0.7, 0.2, 0.1), 1.383044)],
)
def test_temperature_is_the_exponential_of_the_divergence_from_uniform(shares, expected):
    """exp of -log 3 - mean log Q: (1 / 3) / (.2 x .3 x .5)^(1 / 3) = 1.072766."""
    assert estimate_temperature(torch.tensor(shares, dtype=torch.float64)).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("options", "losses"),
    [
        ({"temperature": 1.0}, [0.530877, 0.099962, 0.298778]),
        ({"temperature": 2.0}, [0.530877, 0.099962, 0.357522]),
        ({"warmup": 500}, [0.530877, 0.099962, 0.304032]),
        ({"warmup": 501, "temperature": 2.0}, [0.530877, 0.099962, 0.0]),
        ({"weight": 0.5, "temperature": 2.0}, [0.530877, 0.099962, 0.178761]),
        ({"prior": "labeled", "temperature": 1.0}, [0.290021, 0.203257, 0.316058]),
    ],
)
def test_losses_of_a_step(env, batch, models, options, losses):
    """Step 500 of 1000, Q (.2, .3, .5): the first three confidences, .970, .964 and .998, are above .95, .537 and .880
    are not. The temperature that is estimated in this step is that of Q with its batch, 1.072546."""
    computed, _ = fixmatch(env, make_adello(env, Q, **options), confidence="raw").step(batch, models)
    assert list(computed) == ["supervised", "consistency", "distillation"]
    assert [loss.item() for loss in computed.values()] == pytest.approx(losses, abs=1e-5)


def test_udal_without_weight_has_no_distillation_and_needs_no_strong_view(env, batch, models):
    udal = make_adello(env, Q, prior="labeled", weight=0.0)
    losses, _ = fixmatch(env, udal, confidence="raw").step(batch, models)
    assert {name: loss.item() for name, loss in losses.items()} == {
        "supervised": pytest.approx(0.290021, abs=1e-5),
        "consistency": pytest.approx(0.203257, abs=1e-5),
    }
    assert udal.needs == {"weak"}
    assert make_adello(env).needs == {"labeled", "weak", "strong"}


def test_two_strong_views_share_the_shift_and_the_first_is_distilled(env, batch, models):
    """With equal strong views the losses are those of one view; the distillation ignores the second view."""
    batch.u["strong2"] = batch.u["strong"]
    learner = fixmatch(env, make_adello(env, Q, temperature=1.0), confidence="raw", strong_views=2)
    assert learner.views == Views(x=("weak",), u=("weak", "strong", "strong2"))
    losses, _ = learner.step(batch, models)
    assert losses["consistency"].item() == pytest.approx(0.099962, abs=1e-5)
    batch.u["strong2"] = as_images([[0, 0]] * 5)
    changed, _ = learner.step(batch, models)
    assert changed["consistency"].item() != pytest.approx(0.099962, abs=1e-2)
    assert changed["distillation"].item() == losses["distillation"].item() == pytest.approx(0.298778, abs=1e-5)


def test_gradient_for_strong_views_but_not_for_targets(env, batch):
    """Strong logits are 0: the gradient is (.300799, .329532, .369669), the softmax of the shift, - (.7, .2, .1)."""
    adello = make_adello(env, Q, temperature=1.0)
    weak = torch.tensor([[0.7, 0.2, 0.1]]).log().requires_grad_()
    strong = torch.zeros(1, 3, requires_grad=True)
    outs = {name: Output(torch.zeros(1, 2), logits, {}) for name, logits in (("weak", weak), ("strong", strong))}
    step = Step(batch, outs, mask=torch.tensor([False]))
    adello.losses(step, (), None)["distillation"].backward()
    assert weak.grad is None
    assert strong.grad[0].tolist() == pytest.approx([-0.399201, 0.129532, 0.269669], abs=1e-5)


@pytest.mark.parametrize(
    ("copies", "expected"),
    [
        ((), [0.200133, 0.300163, 0.499705]),
        ((1, 4), [0.200303, 0.299857, 0.499841]),
        ((0, 1, 2, 3, 4), Q),
    ],
)
def test_mean_excludes_copies_of_labeled_images(env, batch, models, copies, expected):
    """.999 Q + .001 times the mean prediction on the weak views of all images, of images 0, 2 and 3, and of none."""
    adello = make_adello(env._replace(labeled_copies=copies), Q)
    learner = fixmatch(env, adello)
    _, step = learner.step(batch, models)
    assert adello.mean.shares.tolist() == pytest.approx(Q)
    learner.commit(step)
    assert adello.mean.shares.tolist() == pytest.approx(expected, abs=1e-6)


def test_mean_starts_uniform_and_is_over_raw_predictions(env, batch, models):
    """Alignment changes the pseudo-labels; with momentum 0 the mean is still that of the network's predictions."""
    aligned = DistributionAlignment(env, window=4, temperature=1.0, prior=[1.0, 1.0, 8.0])
    learner = fixmatch(env, make_adello(env, momentum=0.0), aligned)
    assert learner.chain[0].mean.shares.tolist() == pytest.approx([1 / 3] * 3)
    _, step = learner.step(batch, models)
    learner.commit(step)
    assert learner.chain[0].mean.shares.tolist() == pytest.approx([0.332639, 0.462665, 0.204696], abs=1e-6)


def test_temperature_is_estimated_once_in_step_warmup(env, batch, models):
    """Q is (.2, .3, .5), and with the batch of step 500 (.200133, .300163, .499705), for which T is 1.072546."""
    adello = make_adello(env, Q, warmup=500)
    learner = fixmatch(env, adello)
    for t, expected in ((499, 1.0), (500, 1.072546), (501, 1.072546), (502, 1.072546)):
        adello.mean.commit(torch.tensor(Q if t == 500 else (0.9, 0.05, 0.05)))
        _, step = learner.step(batch._replace(t=torch.tensor(t)), models)
        assert adello.temperature.item() == pytest.approx(1.0 if t <= 500 else 1.072546, abs=1e-5)
        learner.commit(step)
        assert adello.temperature.item() == pytest.approx(expected, abs=1e-5)


def test_checkpoint_has_mean_and_temperature(env):
    adello = make_adello(env, Q, temperature=1.5)
    assert {name: value.tolist() for name, value in adello.state_dict().items()} == {
        "temperature": 1.5,
        "mean.shares": pytest.approx(Q),
    }
