import re
from collections import Counter

import pytest
import torch

from daso.config.registry import ADDONS
from daso.config.resolve import Run, resolve
from daso.config.signature import constructor_errors
from daso.errors import ParamsError
from daso.methods.addons.darp import DARP, last_of_each
from daso.records import Env, Step
from daso.report.results.published import look_up, read_published
from tests.methods.conftest import as_images, fixmatch
from tests.ops.test_transport import PROBS, REFINED
from tests.repository import PARAMS, ROOT

OPTIONS = {"start": 0.4, "period": 10, "alpha": 2.0, "sweeps": 10, "prior": "true_counts"}
ROWS = torch.tensor([4, 0, 5, 2, 1, 3])  # index of image i of a batch in the unlabeled set


@pytest.fixture
def env(env):
    """Set six unlabeled images, 3, 2 and 1 of the classes; the share .4 of 1,000 steps is 400."""
    return env._replace(unlabeled=6, unlabeled_counts=(3, 2, 1))


@pytest.fixture
def batch(batch):
    """Return all unlabeled images; predictions are PROBS on weak views and (.5, .25, .25) on strong ones.

    The student's classifier has the rows (1, 0), (0, 1), (0, 0), so features are logits relative to the third class.
    """
    weak = (PROBS[:, :2] / PROBS[:, 2:]).log()
    strong = torch.tensor([[2.0, 1.0]]).log().expand(6, 2)
    u = {"weak": as_images(weak.tolist()), "strong": as_images(strong.tolist())}
    return batch._replace(t=torch.tensor(409), u=u, u_index=ROWS)


@pytest.fixture
def models(models):
    for network in models:
        with torch.no_grad():
            network.classifier.weight.copy_(torch.tensor([[1.0, 0], [0, 1], [0, 0]]))
    return models


def darp(env, t=None, **changes):
    addon = DARP(env, **(OPTIONS | changes))
    if t is not None:
        addon.current_phase = addon.phase(t)
    return addon


def test_phases_of_the_papers_protocol(env):
    """Counted from 1, steps use the table from 100,001 on and refine it at 100,010, ..., 250,000: 15,000 times."""
    addon = darp(env._replace(steps=250_000))
    phases = {number: addon.phase(number - 1) for number in range(1, 250_001)}
    assert Counter(phases.values()) == {"idle": 100_000, "reuse": 135_000, "solve": 15_000}
    solved = [number for number, phase in phases.items() if phase == "solve"]
    assert (solved[0], solved[1], solved[-1]) == (100_010, 100_020, 250_000)
    assert [phases[number] for number in (1, 99_990, 100_000, 100_001, 100_009)] == ["idle"] * 3 + ["reuse"] * 2


def test_idle_steps_store_pseudo_labels_unchanged(env, batch):
    addon, step = darp(env, t=399), Step(batch, {})
    probs, memo = addon.refine(PROBS, step)
    assert torch.equal(probs, PROBS)
    assert torch.equal(addon.raw, torch.full((6, 3), 1 / 3))
    addon.commit(step, memo)
    assert torch.equal(addon.raw[ROWS], PROBS)
    assert torch.equal(addon.refined, torch.full((6, 3), 1 / 3))


def test_table_is_uniform_before_the_first_refinement(env, batch):
    addon, step = darp(env, t=400), Step(batch, {})
    probs, memo = addon.refine(PROBS, step)
    assert torch.equal(probs, torch.full((6, 3), 1 / 3))
    addon.commit(step, memo)
    assert torch.equal(addon.raw[ROWS], PROBS)
    assert torch.equal(addon.refined, torch.full((6, 3), 1 / 3))


def test_solve_refines_the_whole_table_with_the_current_batch(env, batch):
    """Four rows are stored, two are added; until the next refinement new pseudo-labels have no effect."""
    addon = darp(env, t=409)
    addon.raw[ROWS[:4]] = PROBS[:4]
    step = Step(batch._replace(u_index=ROWS[4:]), {})
    before = {name: buffer.clone() for name, buffer in addon.named_buffers()}
    first, memo = addon.refine(PROBS[4:], step)
    addon.refine(PROBS[:2], step)  # a second call, for a different head, has no effect on the table
    assert all(torch.equal(buffer, before[name]) for name, buffer in addon.named_buffers())
    assert first.dtype == torch.float32
    assert first.tolist() == pytest.approx(torch.tensor(REFINED[4:]), abs=1e-5)
    addon.commit(step, memo)
    assert torch.equal(addon.raw[ROWS], PROBS)  # unpruned
    assert addon.refined[ROWS].tolist() == pytest.approx(torch.tensor(REFINED), abs=1e-5)

    addon.current_phase = addon.phase(410)
    step = Step(batch._replace(u_index=ROWS[2:4]), {})
    probs, memo = addon.refine(PROBS[:2], step)
    assert probs.tolist() == pytest.approx(torch.tensor(REFINED[2:4]), abs=1e-5)
    addon.commit(step, memo)
    assert addon.refined[ROWS].tolist() == pytest.approx(torch.tensor(REFINED), abs=1e-5)
    assert torch.equal(addon.raw[ROWS[2:4]], PROBS[:2])


def test_last_row_of_duplicate_image_is_stored(env, batch):
    for t in (0, 409):
        addon, step = darp(env, t=t), Step(batch._replace(u_index=torch.tensor([5, 2, 5, 5, 2])), {})
        addon.commit(step, addon.refine(PROBS[:5], step)[1])
        assert torch.equal(addon.raw[[2, 5]], PROBS[[4, 3]])
        assert torch.equal(addon.raw[[0, 1, 3, 4]], torch.full((4, 3), 1 / 3))


def test_last_of_each_gives_duplicates_equal_rows():
    """The order in which a device writes duplicates then has no effect."""
    rows = torch.tensor([[1.0], [2.0], [3.0], [4.0], [5.0]])
    assert last_of_each(rows, torch.tensor([5, 2, 5, 0, 2])).squeeze(1).tolist() == [3, 5, 3, 4, 5]


def test_losses_in_each_phase(env, batch, models):
    """Threshold .65. Unrefined, the first two images reach it, with class 0: 2 ln 2 / 6.

    Refined, the images 0, 4 and 5 reach it, with classes 0, 1 and 2: (ln 2 + 2 ln 4) / 6.
    """
    learner = fixmatch(env, darp(env), threshold=0.65)
    for t, labels, mask, loss in (
        (399, [0, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], 0.231049),
        (400, [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], 0.0),
        (409, [0, 0, 1, 1, 1, 2], [1, 0, 0, 0, 1, 1], 0.577623),
        (410, [0, 0, 1, 1, 1, 2], [1, 0, 0, 0, 1, 1], 0.577623),
    ):
        learner.set_phase(t)
        losses, step = learner.step(batch._replace(t=torch.tensor(t)), models)
        learner.commit(step)
        assert step.targets.argmax(-1).tolist() == labels
        assert step.mask.int().tolist() == mask
        assert losses["consistency"].item() == pytest.approx(loss, abs=1e-6)
        assert not step.targets.requires_grad
    assert step.targets.tolist() == pytest.approx(torch.tensor(REFINED), abs=1e-5)


@pytest.mark.parametrize(
    ("changes", "totals", "kept"),
    [
        ({}, [30, 15, 5], [60, 30, 10]),
        ({"alpha": 0.5}, [30, 15, 5], [15, 7, 2]),
        ({"prior": "labeled"}, [35, 10, 5], [70, 20, 10]),  # labeled counts 7, 2, 1
        ({"prior": "estimated", "estimate": [60, 20, 48]}, [23.4375, 7.8125, 18.75], [46, 15, 37]),  # of 128
        ({"prior": "given", "estimate": [60, 20, 48]}, [23.4375, 7.8125, 18.75], [46, 15, 37]),  # of 128
    ],
)
def test_priors_are_scaled_to_the_number_of_unlabeled_images(env, changes, totals, kept):
    addon = darp(env._replace(unlabeled=50, unlabeled_counts=(30, 15, 5)), **changes)
    assert addon.totals.tolist() == totals
    assert addon.totals.dtype == torch.float64
    assert addon.kept.tolist() == kept


def test_invalid_options_raise(env):
    unknown = env._replace(unlabeled_counts=())
    with pytest.raises(ParamsError, match=r"classes of the unlabeled images, .* not known here; set .* 'given'"):
        darp(unknown)
    assert darp(unknown, prior="labeled").totals.sum() == 6
    assert darp(unknown, prior="given", estimate=[1, 1, 1]).totals.tolist() == [2, 2, 2]
    with pytest.raises(ParamsError, match="estimate has 2 numbers for 3 classes"):
        darp(env, prior="given", estimate=[1, 1])
    with pytest.raises(ParamsError, match="estimate has 0 numbers for 3 classes"):  # no plan has set the estimate
        darp(env, prior="estimated")
    for changes, message in (
        ({"prior": "given"}, "estimate: with prior 'given', expected a list of sizes"),
        ({"prior": "given", "estimate": [1, -1, 2]}, "all 0 or more"),
        ({"prior": "given", "estimate": [0, 0, 0]}, "one above 0"),
    ):
        with pytest.raises(ParamsError, match=message):
            darp(env, **changes)
        ((error, _),) = constructor_errors(ADDONS["darp"], OPTIONS | changes)  # the check of params/ reports it as well
        assert message in error


def test_darp_needs_the_weak_view(env):
    assert "weak" in darp(env).needs


MISMATCHED = [
    ("n500-m4000-l100-u1", 40_000),
    ("n1500-m3000-l100-u1", 30_000),
    ("n500-m4000-l100-u100r", 9922),
    ("n1500-m3000-l100-u100r", 7443),
]


@pytest.mark.parametrize(("setting", "unlabeled"), MISMATCHED)
def test_estimates_of_cifar10_are_those_of_the_reference_implementation(setting, unlabeled):
    """One for each setting of CIFAR-10 where labeled and unlabeled classes are distributed differently.

    Before rounding, each summed to the number of images in complete batches of 128.
    """
    options = darp_options("fixmatch_darp_shipped", setting)
    assert options["prior"] == "given"
    assert abs(sum(options["estimate"]) - unlabeled // 128 * 128) <= 1
    addon = DARP(Env(10, 2, (1,) * 10, 10, unlabeled, 64, 250_000), **options)
    assert addon.start == 100_000
    assert addon.totals.sum().item() == pytest.approx(unlabeled)


@pytest.mark.parametrize("method", ["fixmatch_darp", "fixmatch_la_darp", "remixmatch_darp"])
def test_class_sizes_are_estimated_for_mismatched_distributions(method):
    """The class sizes come from a survey for mismatched distributions, else they are the true unlabeled counts."""
    for setting, _ in MISMATCHED:
        run = Run("cifar10-lt", setting, "paper", method, 0)
        assert darp_options(method, setting)["prior"] == "estimated"
        plan = resolve(PARAMS, run)["plan"]
        assert plan == {"estimate": {"of": f"cifar10-lt/{setting}/paper/supervised_survey/s0", "into": "darp.estimate"}}
    for setting in PARAMS.datasets["cifar10-lt"]["settings"]:
        if setting.endswith(("l100-u100", "l150-u150")):
            assert darp_options(method, setting)["prior"] == "true_counts"
            assert resolve(PARAMS, Run("cifar10-lt", setting, "paper", method, 0))["plan"] == {}


def test_estimates_of_stl10_are_those_of_the_reference_implementation():
    """Four classes of the authors' files, rounded; scaled to the 100,000 unlabeled images.

    Two are close to a half: class 1 of n150-l20 is 14102.498, class 7 of n450-l20 is 9055.47.
    """
    for setting, first, second, eighth, last in (
        ("n150-l10", 144, 2299, 8755, 5828),
        ("n150-l20", 10587, 14102, 11217, 5175),
        ("n450-l10", 12199, 11018, 6455, 4619),
        ("n450-l20", 9851, 16701, 9055, 8022),
    ):
        options = darp_options("fixmatch_darp_shipped", setting, "stl10-lt")
        assert options["prior"] == "given"
        assert darp_options("fixmatch_darp", setting, "stl10-lt")["prior"] == "estimated"
        assert [options["estimate"][k] for k in (0, 1, 7, 9)] == [first, second, eighth, last]
        addon = DARP(Env(10, 2, (1,) * 10, 10, 100_000, 64, 250_000), **options)
        share = last / sum(options["estimate"])
        assert addon.totals.sum().item() == pytest.approx(100_000)
        assert addon.totals[9].item() == pytest.approx(100_000 * share)
    for setting in PARAMS.datasets["cifar100-lt"]["settings"]:
        matched = re.search(r"-l(\d+)-u\1(-|$)", setting)
        expected = "true_counts" if matched else "estimated"
        assert darp_options("fixmatch_darp", setting, "cifar100-lt")["prior"] == expected


def darp_options(method, setting, dataset="cifar10-lt"):
    """Return the options of DARP in a setting."""
    addons = resolve(PARAMS, Run(dataset, setting, "paper", method, 0))["method"]["addons"]
    return {key: value for addon in addons if addon["name"] == "darp" for key, value in addon.items() if key != "name"}


@pytest.mark.parametrize("dataset", ["cifar10-lt", "cifar100-lt", "stl10-lt"])
def test_remixmatch_alignment_uses_the_class_sizes_of_darp(dataset):
    """If alignment is enabled, it and DARP both use the true distribution of the unlabeled classes."""
    names = {}
    for setting in PARAMS.datasets[dataset]["settings"]:
        addons = resolve(PARAMS, Run(dataset, setting, "paper", "remixmatch_darp", 0))["method"]["addons"]
        alignment, _, refinery = addons
        names[tuple(addon["name"] for addon in addons)] = setting
        assert alignment["enabled"] == (refinery["prior"] == "true_counts")
        assert alignment["prior"] == ("unlabeled" if alignment["enabled"] else "labeled")
    assert list(names) == [("distribution_alignment", "sharpen", "darp")]


@pytest.mark.parametrize(
    ("method", "mean"), [("fixmatch_darp", 74.5), ("fixmatch_la_darp", 76.6), ("remixmatch_darp", 72.2)]
)
def test_published_number_of_the_method(method, mean):
    setting = PARAMS.datasets["cifar10-lt"]["settings"]["n500-m4000-l100-u100"]
    rows = read_published(ROOT / "reports" / "paper" / "results.csv")
    assert look_up(rows, "cifar10-lt", setting, PARAMS.methods[method]["paper"]).mean == mean
