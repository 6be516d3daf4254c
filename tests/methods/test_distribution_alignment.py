import pytest
import torch

from daso.errors import ParamsError
from daso.methods.addons.distribution_alignment import DistributionAlignment
from daso.methods.addons.sharpen import Sharpen
from tests.methods.conftest import fixmatch

ROWS = torch.tensor([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2]])
OPTIONS = {"window": 128, "temperature": 1.0, "prior": "labeled"}


@pytest.fixture
def env(env):
    return env._replace(counts=(6, 3, 1))


def align(addon, rows):
    """Run `refine` and `commit` once; return the aligned rows."""
    refined, memo = addon.refine(rows, None)
    addon.commit(None, memo)
    return [row.tolist() for row in refined]


@pytest.mark.parametrize(
    ("temperature", "target", "expected"),
    [
        (1.0, [0.6, 0.3, 0.1], [[0.695364, 0.238410, 0.066225], [0.503356, 0.362416, 0.134229]]),
        (0.5, [0.472734, 0.334273, 0.192993], [[0.582019, 0.282205, 0.135776], [0.374332, 0.381157, 0.244512]]),
        (0.0, [1 / 3] * 3, [[0.443038, 0.303797, 0.253165], [0.247525, 0.356436, 0.396040]]),
    ],
)
def test_first_batch_is_aligned_by_its_own_mean(env, temperature, target, expected):
    """The mean is (.6, .25, .15): (.7, .2, .1) * (1, 1.2, .6667) = (.7, .24, .0667), over 1.0067.

    With a uniform target the rows are in the ratios (7/6, .8, .6667) and (.8333, 1.2, 1.3333).
    """
    addon = DistributionAlignment(env, **(OPTIONS | {"temperature": temperature}))
    assert addon.target.tolist() == pytest.approx(target, abs=1e-6)
    assert align(addon, ROWS) == [pytest.approx(row, abs=1e-5) for row in expected]


def test_target_ignores_pseudo_labels_of_a_plan(env):
    """Of (6, 3, 21) labels twenty of the last class are pseudo-labels: (6, 3, 1) give the target .6 .3 .1."""
    addon = DistributionAlignment(env._replace(counts=(6, 3, 21), drawn_counts=(6, 3, 1)), **OPTIONS)
    assert addon.target.tolist() == pytest.approx([0.6, 0.3, 0.1])


def test_recent_mean_includes_the_current_batch(env):
    """Means (.6, .25, .15), then (.2, .55, .25): together (.4, .4, .2), so (.2, .6, .2) -> (.3, .45, .1) / .85."""
    addon = DistributionAlignment(env, **OPTIONS)
    align(addon, ROWS)
    second = torch.tensor([[0.2, 0.6, 0.2], [0.2, 0.5, 0.3]])
    assert align(addon, second)[0] == pytest.approx([0.3 / 0.85, 0.45 / 0.85, 0.1 / 0.85], abs=1e-5)


def test_batches_leave_the_window(env):
    """A window of 1 holds the current batch alone; a window of 2 holds the second and the third at the third batch."""
    one, two, fresh = (DistributionAlignment(env, **(OPTIONS | {"window": n})) for n in (1, 2, 2))
    second, third = ROWS.flip(1), ROWS.roll(1, 1)
    for rows in (ROWS, second, third):
        assert align(one, rows) == align(DistributionAlignment(env, **OPTIONS), rows)
    align(two, ROWS)
    align(two, second)
    align(fresh, second)
    assert align(two, third) == [pytest.approx(row) for row in align(fresh, third)]


def test_state_changes_only_by_commit(env):
    addon = DistributionAlignment(env, **OPTIONS)
    first, second = addon.refine(ROWS, None), addon.refine(ROWS, None)
    assert torch.equal(first[0], second[0])
    assert not addon.recent.rows.any()
    addon.commit(None, first[1])
    assert addon.recent.rows[0].tolist() == pytest.approx([0.6, 0.25, 0.15])
    assert addon.recent.seen == 1
    assert not addon.recent.rows[1:].any()


def test_disabled_alignment_changes_nothing(env):
    addon = DistributionAlignment(env, **OPTIONS, enabled=False)
    assert align(addon, ROWS) == [row.tolist() for row in ROWS]
    assert addon.recent.seen == 0


@pytest.mark.parametrize("prior", ["unlabeled", [20, 60, 20], [0.2, 0.6, 0.2]])
def test_target_is_the_prior(env, prior):
    """(.7, .2, .1) * (.2, .6, .2) / (.6, .25, .15) = (.2333, .48, .1333), over .8467."""
    addon = DistributionAlignment(env._replace(unlabeled_counts=(10, 30, 10)), **(OPTIONS | {"prior": prior}))
    expected = [0.7 / 3 / 0.846667, 0.48 / 0.846667, 0.4 / 3 / 0.846667]
    assert align(addon, ROWS)[0] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("prior", "expected"),
    [
        ("uniform", [[0.139442, 0.501992, 0.358566], [0.286885, 0.344262, 0.368852]]),
        ([6, 3, 1], [[0.309735, 0.557522, 0.132743], [0.551181, 0.330709, 0.118110]]),
    ],
)
def test_prior_replaces_the_labeled_distribution(env, prior, expected):
    """Means (.6, .25, .15), then (.3, .5, .2): together (.45, .375, .175); the labeled counts have no effect."""
    addon = DistributionAlignment(env._replace(counts=(1, 1, 8)), window=4, temperature=1.0, prior=prior)
    align(addon, ROWS)
    second = torch.tensor([[0.2, 0.6, 0.2], [0.4, 0.4, 0.2]])
    assert align(addon, second) == [pytest.approx(row, abs=1e-5) for row in expected]


def test_class_of_probability_zero_stays_zero(env):
    rows = torch.tensor([[0.5, 0.5, 0.0]])
    assert align(DistributionAlignment(env, **OPTIONS), rows)[0] == pytest.approx([2 / 3, 1 / 3, 0], abs=1e-5)


def test_fixmatch_thresholds_aligned_and_sharpened_pseudo_labels(env, batch, models):
    """The targets are the output of the last add-on: aligned, then sharpened."""
    addons = [DistributionAlignment(env, **OPTIONS), Sharpen(env, temperature=0.5)]
    _, step = fixmatch(env, *addons).step(batch, models)
    probs = step.out["weak"].logits.softmax(-1)
    aligned = probs * torch.tensor([0.6, 0.3, 0.1]) / probs.mean(0)
    squares = (aligned / aligned.sum(1, keepdim=True)) ** 2
    assert torch.allclose(step.targets, squares / squares.sum(1, keepdim=True), atol=1e-4)
    assert step.mask.tolist() == (step.targets.amax(1) >= 0.95).tolist()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prior": "unlabeled"}, "prior 'unlabeled' needs the classes"),  # env has no unlabeled_counts
        ({"prior": [1, 2]}, "each of 3 classes"),
        ({"prior": [1, -2, 3]}, "each of 3 classes"),
        ({"prior": [0, 0, 0]}, "each of 3 classes"),
    ],
)
def test_invalid_options_raise(env, changes, message):
    with pytest.raises(ParamsError, match=message):
        DistributionAlignment(env, **(OPTIONS | changes))
