import pytest
import torch

from daso.errors import ParamsError
from daso.methods.addons.boss import BOSS
from daso.records import Role, Step
from tests.methods.conftest import fixmatch


def test_thresholds_and_weights(env, batch):
    """Four pseudo-labels of class 0, one of each other: thresholds .95 and, for the others, .95 - .25 * 3/4 = .7625.

    Two images of class 0, .94 and .5, and the one of class 2, .76, stay below. The weights 1/4, 1/4 and 1 of the other
    three sum to 3/2, so all are doubled.
    """
    class_0 = [[0.96, 0.02, 0.02], [0.97, 0.02, 0.01], [0.94, 0.03, 0.03], [0.5, 0.3, 0.2]]
    targets = torch.tensor([*class_0, [0.1, 0.8, 0.1], [0.12, 0.12, 0.76]])
    step = Step(batch, {}, targets=targets)
    addon = BOSS(env, threshold=0.95, delta=0.25)
    weights = addon.weigh(torch.zeros(6), Role.CONSISTENCY, step)
    assert weights.tolist() == pytest.approx([0.5, 0.5, 0, 0, 2, 0])
    labeled = torch.zeros(2)
    assert addon.weigh(labeled, Role.SUPERVISED, step) is labeled


@pytest.mark.parametrize(
    ("threshold", "delta", "mask", "consistency"),
    [
        (0.95, 0.25, [1, 1, 1, 0, 0], 0.076590),
        (0.95, 0.0, [1, 1, 1, 0, 0], 0.076590),
        (0.99, 0.25, [0, 0, 1, 0, 0], 0.004949),
        (0.85, 0.0, [1, 1, 1, 0, 1], 0.196533),
        (1.0, 0.0, [0, 0, 0, 0, 0], 0.0),
    ],
)
def test_losses_of_a_step(env, batch, models, threshold, delta, mask, consistency):
    """Pseudo-labels 0 1 2 0 1 with confidences .970496 .963735 .997591 .536544 .880090: counts (2, 2, 1).

    Strong cross-entropies .318176 .142932 .024745 and, of the fifth, log(2 + e^-3) = .717736. First row: 1/2, 1/2, 1
    times 3 / 2, so (.75 * .318176 + .75 * .142932 + 1.5 * .024745) / 5. Third: the threshold of class 2 is
    .99 - .25 / 2. Fourth: 1/2, 1/2, 1, 1/2 times 4 / 2.5, so (.8 * (.318176 + .142932 + .717736) + 1.6 * .024745) / 5.
    """
    learner = fixmatch(env, BOSS(env, threshold=threshold, delta=delta))
    losses, step = learner.step(batch, models)
    assert step.mask.int().tolist() == mask
    assert losses["consistency"].item() == pytest.approx(consistency, abs=1e-6)
    assert losses["supervised"].item() == pytest.approx(0.275269, abs=1e-6)


@pytest.mark.parametrize(("threshold", "delta"), [(0.95, -0.1), (0.2, 0.25)])
def test_delta_outside_zero_to_threshold_raises(env, threshold, delta):
    with pytest.raises(ParamsError, match="add-on 'boss'"):
        BOSS(env, threshold=threshold, delta=delta)
