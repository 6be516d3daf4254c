import pytest
import torch

from daso.methods.addons.ldam import LDAM
from daso.methods.learners.supervised import Supervised
from daso.records import Role, Step

OPTIONS = {"margin": 0.5, "scale": 2.0, "beta": 1.0, "start": 0.5}


@pytest.fixture
def env(env):
    return env._replace(counts=(16, 1, 81))


def test_margins_and_weights_of_a_long_tail(env):
    counts = (500, 299, 179, 107, 64, 38, 23, 13, 8, 5)
    addon = LDAM(env._replace(num_classes=10, counts=counts), margin=0.5, scale=30.0, beta=0.999, start=0.8)
    expected = [0.158114, 0.179802, 0.204409, 0.232470, 0.264343, 0.301139, 0.341413, 0.393756, 0.444570, 0.5]
    assert addon.margins.diagonal().tolist() == pytest.approx(expected, abs=1e-5)
    assert addon.margins.count_nonzero() == 10
    assert addon.weights[[0, 9]].tolist() == pytest.approx([0.049574, 3.910496], abs=1e-5)


@pytest.mark.parametrize(("t", "loss"), [(0, 0.275269), (498, 0.275269), (499, 0.330264), (999, 0.330264)])
def test_labeled_loss_before_and_after_start(env, batch, models, t, loss):
    """Counts (16, 1, 81): margins (1/4, 1/2, 1/6) and weights 1/16 : 1 : 1/81, from the 500th of 1,000 steps on.

    Logits (2, 0, -2) of class 0 become 2 * (1.75, 0, -2), cross-entropy .030287; (0, 1, -1) of class 1 become
    2 * (0, .5, -1), cross-entropy .349012. (.030287 / 16 + .349012) / (1 / 16 + 1) = .330264. In earlier steps the loss
    is the mean of .142932 and .407606.
    """
    losses, _ = Supervised(env, [LDAM(env, **OPTIONS)]).step(batch._replace(t=torch.tensor(t)), models)
    assert losses["supervised"].item() == pytest.approx(loss, abs=1e-6)


def test_margins_apply_to_the_supervised_role_alone(env, batch):
    addon, step = LDAM(env, **OPTIONS), Step(batch, {})
    logits, weights = torch.tensor([[2.0, 0, -2], [0, 1, -1]]), torch.ones(2)
    for role in (Role.PSEUDO_LABEL, Role.CONSISTENCY, Role.EVAL):
        assert addon.adjust(logits, role, step) is logits
        assert addon.weigh(weights, role, step) is weights


def test_evaluation_logits_are_unchanged(env, batch, models):
    plain, adjusted = Supervised(env, [LDAM(env, **OPTIONS)]).predict(batch.x["weak"], models)
    assert adjusted.tolist() == plain.tolist() == [[2, 0, -2], [0, 1, -1]]
