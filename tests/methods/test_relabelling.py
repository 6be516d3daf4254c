"""Permuting the classes permutes the results of the add-ons that use labeled counts."""

import pytest
import torch
from torch import nn

from daso.draw import Draw
from daso.methods.addons.abc import ABC
from daso.methods.addons.boss import BOSS
from daso.methods.addons.class_balanced import ClassBalanced
from daso.methods.addons.ldam import LDAM
from daso.methods.learners.fixmatch import FixMatch

ADDONS = {
    "class_balanced": lambda env: ClassBalanced(env, beta=0.9, start=0.8),
    "ldam": lambda env: LDAM(env, margin=0.5, scale=3.0, beta=0.9, start=0.8),
    "boss": lambda env: BOSS(env, threshold=0.99, delta=0.9),
    "abc": lambda env: ABC(env, threshold=0.5, epochs=10),
}


@pytest.mark.parametrize("name", ADDONS)
@pytest.mark.parametrize("order", [[2, 0, 1], [2, 1, 0]])
def test_permuting_classes_permutes_targets(env, batch, models, name, order):
    """Class k becomes order[k] in the second step; each image appears nine times, so that many are sampled."""
    order, t = torch.tensor(order), torch.tensor(900)
    x, u = ({view: images.repeat(9, 1, 1, 1) for view, images in views.items()} for views in (batch.x, batch.u))
    labels = torch.tensor([0, 1, 2] * 6)
    batch = batch._replace(t=t, x=x, y=labels, u=u, u_index=torch.arange(45), draw=Draw(0, "step", t))
    models.student.heads["balanced"] = nn.Linear(2, 3, bias=False)
    with torch.no_grad():
        models.student.heads["balanced"].weight.copy_(torch.tensor([[1.0, 0], [0, 2], [-1, -1]]))
    losses, step = FixMatch(env, [ADDONS[name](env)], threshold=0.95, weight=1.0).step(batch, models)

    inverse = order.argsort()
    with torch.no_grad():
        for weight in models.student.parameters():
            weight.copy_(weight[inverse].clone())
    env = env._replace(counts=tuple(env.counts[k] for k in inverse))
    learner = FixMatch(env, [ADDONS[name](env)], threshold=0.95, weight=1.0)
    permuted_losses, permuted = learner.step(batch._replace(y=order[labels]), models)
    assert torch.allclose(permuted.targets[:, order], step.targets, atol=1e-6)
    assert torch.equal(permuted.mask, step.mask)
    assert losses.keys() == permuted_losses.keys()
    for part, loss in losses.items():
        assert permuted_losses[part].item() == pytest.approx(loss.item(), rel=1e-5), part
        assert loss.item() > 0
