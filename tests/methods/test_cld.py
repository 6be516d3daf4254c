"""Compare CLD of four images and three classes with numbers computed independently."""

import pytest
import torch

from daso.methods.addons.cld import CLD
from daso.records import Output, Step

WEAK = [[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]]
STRONG = [[0.5, 0.3, 0.2], [0.4, 0.4, 0.2], [0.2, 0.6, 0.2], [0.3, 0.3, 0.4]]


def make_step(batch, weak, strong):
    rows = {name: torch.tensor(probs).log() for name, probs in (("weak", weak), ("strong", strong))}
    return Step(batch, {name: Output(torch.zeros(len(logits), 2), logits, {}) for name, logits in rows.items()})


@pytest.mark.parametrize(("group", "expected"), [("likeliest", 0.464198), ("unlikeliest", 0.327843)])
def test_loss_is_the_mean_over_images(env, batch, group, expected):
    """Groups 0 0 1 2, losses .294968 .80632 .072872 .682634; by the unlikeliest class, the first of ties, 2 2 0 0."""
    losses = CLD(env, weight=0.5, temperature=0.07, group=group).losses(make_step(batch, WEAK, STRONG), (), None)
    assert losses["cld"].item() == pytest.approx(0.5 * expected, abs=1e-5)


def test_images_are_grouped_by_likeliest_or_unlikeliest_class(env):
    likeliest, unlikeliest = (CLD(env, weight=1.0, temperature=1.0, group=g) for g in ("likeliest", "unlikeliest"))
    assert likeliest.groups(torch.tensor(WEAK)).tolist() == [0, 0, 1, 2]
    assert unlikeliest.groups(torch.tensor(WEAK)).tolist() == [2, 2, 0, 0]


def test_gradient_for_strong_view_alone(env, batch):
    step = make_step(batch, WEAK, STRONG)
    for out in step.out.values():
        out.logits.requires_grad_()
    CLD(env, weight=1.0, temperature=0.07, group="likeliest").losses(step, (), None)["cld"].backward()
    assert step.out["weak"].logits.grad is None
    assert step.out["strong"].logits.grad.abs().sum() > 0
