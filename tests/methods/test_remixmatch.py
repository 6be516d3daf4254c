import pytest
import torch
from torch import nn

from daso.config.resolve import Run, resolve
from daso.methods.addons.distribution_alignment import DistributionAlignment
from daso.methods.addons.sharpen import Sharpen
from daso.methods.base import AddOn
from daso.methods.learners.remixmatch import ReMixMatch
from tests.methods.conftest import daso
from tests.repository import PARAMS

OPTIONS = {
    **{"alpha": 0.75, "weight": 1.5, "premix_weight": 0.5, "rotation_weight": 0.5, "ramp_up": 0.016},
    "mixed_batches": "interleave",
}
MAKE = {
    "alignment": lambda env: DistributionAlignment(env, window=128, temperature=1.0, prior="labeled"),
    "sharpen": lambda env: Sharpen(env, temperature=0.5),
    "daso": lambda env: daso(env, weight=1.0),
    "blend": daso,
    "reader": lambda env: Reader(),
}


class Reader(AddOn):
    """Add-on that reads the strong view and changes nothing."""

    needs = frozenset({"strong"})


def remixmatch(env, *addons, **changes):
    """Return a learner whose mixing weight is 3/4 in every step."""
    learner = ReMixMatch(env, [MAKE[name](env) for name in addons], **(OPTIONS | changes))
    learner.mix.fill_(0.75)
    return learner


@pytest.fixture
def models(models):
    """Add a rotation head that predicts the number of turns by the feature's direction: right, up, left or down."""
    for network in models:
        network.heads["rotation"] = nn.Linear(2, 4, bias=False)
        with torch.no_grad():
            network.heads["rotation"].weight.copy_(torch.tensor([[1.0, 0], [0, 1], [-1, 0], [0, -1]]))
    return models


@pytest.mark.parametrize("batches", ["interleave", "joint"])
@pytest.mark.parametrize(
    ("addons", "targets", "losses"),
    [
        (
            ["sharpen"],
            [[0.597961, 0.400825, 0.001214], [0.017986, 0.982013, 0.000001], [0.006573, 0.017868, 0.975559]],
            {"supervised": 0.651774, "consistency": 1.262116, "premix": 0.295595},
        ),
        (
            ["alignment", "sharpen"],
            [[0.986183, 0.013787, 0.000030], [0.467570, 0.532429, 0.000000], [0.306059, 0.017351, 0.676589]],
            {"supervised": 0.606307, "consistency": 1.597210, "premix": 0.450116},
        ),
        (
            ["alignment", "sharpen", "daso"],
            [[0.019074, 0.980926, 0.000000], [0.173022, 0.826978, 0.000000], [0.213368, 0.012097, 0.774535]],
            {"supervised": 0.651003, "consistency": 1.468277, "premix": 0.433888, "alignment": 2.021472},
        ),
    ],
)
def test_losses_of_a_step(env, mixed_batch, models, addons, batches, targets, losses):
    """Rows x u s t of three images each have the partners u1 t0 s0, x0 t2 u0, x1 u2 s1, t1 x2 s2, with weight 1/4.

    Predictions (.536544 .439285 .024171), (.119107 .880090 .000803), (.067425 .111166 .821409). Aligned to (.7, .2,
    .1): (.889888 .105219 .004893), (.483576 .516026 .000398), (.366982 .087380 .545638); sharpened, blended with v =
    (1, .629961, .302853) and (.019074 .980926 0), (0 1 0), (0 0 1). With all three the cross-entropies are .530380
    .490502 .932127 of labeled rows, .978851 in the mean of the nine others, 1.014372 .469988 1.118968 of the first
    strong view, .693147 .000045 5.371223 of its similarities. That view rotated by 1, 0, 3 right angles has the
    features (.5, -1), (.5, 2), (.5, -1): cross-entropies 2.675490 1.780303 .675490, half their mean .855214.
    """
    parts, step = remixmatch(env, *addons, mixed_batches=batches).step(mixed_batch, models)
    assert step.targets.flatten().tolist() == pytest.approx(sum(targets, []), abs=1e-6)
    expected = losses | {"rotation": 0.855214}
    assert {name: loss.item() for name, loss in parts.items()} == pytest.approx(expected, abs=2e-5)


def test_losses_use_weights_of_addons(env, mixed_batch, models, first_image_only):
    """With the first images alone: .569140 / 3, 1.5 (.641843 + .764873 + .706577) / 9 of three views, .5 * .727356 / 3.

    The rotation loss is not weighed.
    """
    learner = remixmatch(env, "sharpen")
    learner.addons.append(first_image_only)
    losses, _ = learner.step(mixed_batch, models)
    expected = {"supervised": 0.189713, "consistency": 0.352216, "premix": 0.121226, "rotation": 0.855214}
    assert {name: loss.item() for name, loss in losses.items()} == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize(("t", "ramp_factor"), [(0, 0), (8, 0.5), (16, 1), (999, 1)])
def test_only_losses_with_pseudo_labels_are_ramped_up(env, mixed_batch, models, t, ramp_factor):
    """The ramp takes .016 of 1,000 steps."""
    losses, _ = remixmatch(env, "sharpen").step(mixed_batch._replace(t=torch.tensor(t)), models)
    expected = {"supervised": 0.651774, "consistency": ramp_factor * 1.262116, "premix": ramp_factor * 0.295595}
    expected |= {"rotation": 0.855214}
    assert {name: loss.item() for name, loss in losses.items()} == pytest.approx(expected, abs=2e-5)


def test_mixing_weights_are_drawn_from_the_seed(env):
    """The mean of (2 w - 1)^2 is 1 / (2 alpha + 1), .4 for alpha .75."""
    tables = [ReMixMatch(env._replace(seed=seed, steps=50_000), **OPTIONS).mix for seed in (0, 0, 1)]
    assert torch.equal(tables[0], tables[1])
    assert not torch.equal(tables[0], tables[2])
    assert (2 * tables[0] - 1).square().mean().item() == pytest.approx(0.4, abs=0.01)


def test_views_and_mixed_chunks_are_forwarded_separately(env, mixed_batch, models, forwards):
    """Weak view without gradient; four chunks, each with images of other parts; strong view; rotated strong view."""
    learner = remixmatch(env)
    learner.mix.fill_(1.0)
    learner.step(mixed_batch, models)
    parts = (mixed_batch.x["weak"], *(mixed_batch.u[view] for view in ("weak", "strong", "strong2")))
    x, u, s, t = (part[:, 0, 0].tolist() for part in parts)
    rotated = [[0.5, -1], [0.5, 2], [0.5, -1]]
    assert forwards == [
        ("student", u, False),
        ("student", [u[0], s[1], t[2]], True),
        ("student", [x[0], u[1], u[2]], True),
        ("student", [s[0], x[1], s[2]], True),
        ("student", [t[0], t[1], x[2]], True),
        ("student", s, True),
        ("student", rotated, True),
    ]


def test_weak_and_strong_view_share_a_forward_pass_with_daso(env, mixed_batch, models, forwards):
    """Weak and strong view together, then the teacher on the labeled images, and no further pass of the strong view."""
    remixmatch(env, "sharpen", "daso").step(mixed_batch, models)
    weak, strong = (mixed_batch.u[view][:, 0, 0].tolist() for view in ("weak", "strong"))
    assert forwards[0] == ("student", weak + strong, True)
    assert forwards[1] == ("teacher", mixed_batch.x["weak"][:, 0, 0].tolist(), False)
    assert [(name, len(rows), grad) for name, rows, grad in forwards[2:]] == [("student", 3, True)] * 5


@pytest.mark.parametrize(
    ("addons", "batches", "student", "teacher"),
    [
        (["sharpen"], "interleave", 7, 0),
        (["sharpen"], "joint", 4, 0),
        (["sharpen", "daso"], "interleave", 6, 1),
        (["sharpen", "blend"], "interleave", 7, 1),
    ],
)
def test_updates_of_running_statistics(env, mixed_batch, batch_norm_models, addons, batches, student, teacher):
    remixmatch(env, *addons, mixed_batches=batches).step(mixed_batch, batch_norm_models)
    updates = [network.encoder.norm.num_batches_tracked.item() for network in batch_norm_models]
    assert updates == [student, teacher]


def test_daso_counts_blended_pseudo_labels(env, mixed_batch, models):
    """The classes are 0 1 2 in warm-up and 1 1 2 after blending."""
    for t, counts in ((500, [0, 2, 1]), (98, [1, 1, 1])):
        learner = remixmatch(env, "alignment", "sharpen", "daso")
        _, step = learner.step(mixed_batch._replace(t=torch.tensor(t)), models)
        learner.commit(step)
        alignment, _, blend = learner.chain
        assert blend.histogram.counts.tolist() == counts
        assert alignment.recent.rows[0].tolist() == pytest.approx([0.241025, 0.476847, 0.282128], abs=1e-6)


@pytest.mark.parametrize(
    ("setting", "alone", "with_daso", "dist_temperature"),
    [
        ("cifar10-lt/n500-m4000-l100-u100", True, False, 1.5),
        ("cifar10-lt/n1500-m3000-l150-u150", True, False, 1.5),
        ("cifar10-lt/n500-m4000-l100-u1", False, False, 0.3),
        ("cifar10-lt/n500-m4000-l100-u100r", False, False, 0.3),
        ("cifar100-lt/n50-m400-l10-u10", True, True, 0.3),
        ("cifar100-lt/n150-m300-l20-u20", True, True, 0.3),
        ("stl10-lt/n150-l10", False, False, 0.3),
        ("stl10-lt/n450-l20", False, False, 0.3),
        ("digits/n20-m80-l20-u10", True, False, 1.5),
        ("digits/n20-m80-l20-u10r", False, False, 0.3),
    ],
)
def test_params_enable_alignment_for_equal_class_distributions(setting, alone, with_daso, dist_temperature):
    """The add-ons align, then sharpen, then blend; alignment is for labeled and unlabeled sets distributed alike."""
    names = ["distribution_alignment", "sharpen", "daso"]
    for method, enabled in (("remixmatch", alone), ("remixmatch_daso", with_daso)):
        addons = resolve(PARAMS, Run(*setting.split("/"), "paper", method, 0))["method"]["addons"]
        assert [addon["name"] for addon in addons] == names[: len(addons)]
        assert addons[0]["enabled"] is enabled
    assert addons[2]["dist_temperature"] == dist_temperature


def test_alignment_loss_has_gradient_for_strong_view_alone(env, mixed_batch, models):
    for images in mixed_batch.u.values():
        images.requires_grad_(True)
    losses, _ = remixmatch(env, "sharpen", "daso").step(mixed_batch, models)
    inputs = [models.student.classifier.weight, mixed_batch.u["weak"], mixed_batch.u["strong"]]
    classifier, weak, strong = torch.autograd.grad(losses["alignment"], inputs, allow_unused=True)
    assert classifier is None or not classifier.any()
    assert weak is None or not weak.any()
    assert strong.any()


def test_pseudo_labels_have_no_gradient(env, mixed_batch, models):
    """This holds for the loss of the strong view too, which may share a forward pass with the weak one."""
    mixed_batch.u["weak"].requires_grad_(True)
    for addons in ([], ["sharpen"], ["sharpen", "daso"], ["reader"]):
        losses, step = remixmatch(env, *addons).step(mixed_batch, models)
        (weak,) = torch.autograd.grad(losses["premix"], mixed_batch.u["weak"], allow_unused=True)
        assert weak is None or not weak.any()
        assert not step.targets.requires_grad
