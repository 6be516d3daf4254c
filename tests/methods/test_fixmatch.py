import pytest
import torch
from torch import nn

from daso.methods.learners.fixmatch import FixMatch
from daso.records import Output


class Answers(nn.Module):
    """A network that answers with logits written down beforehand."""

    def __init__(self, logits):
        super().__init__()
        self.logits = logits

    def forward(self, images):
        return Output(torch.zeros(len(images), 2), self.logits, {})


def test_confident_pseudo_labels_teach_the_strong_view(env, batch, models):
    """Guesses (.97, .02, .01), (.90, .05, .05), (.02, .96, .02), strong logits the identity: the first and the third
    count, each log(e + 2) - 1 = .551445 or, at the third, where the label is class 1, log(e + 2) = 1.551445."""
    weak = torch.tensor([[0.97, 0.02, 0.01], [0.90, 0.05, 0.05], [0.02, 0.96, 0.02]]).log()
    student = Answers(torch.cat([torch.zeros(2, 3), weak, torch.eye(3)]))
    three = batch._replace(u={view: images[:3] for view, images in batch.u.items()}, u_index=torch.arange(3))
    learner = FixMatch(env, threshold=0.95, weight=1.0)
    losses, step = learner.step(three, models._replace(student=student))
    assert step.mask.tolist() == [True, False, True]
    assert losses["consistency"].item() == pytest.approx(0.700963, abs=1e-5)
    assert losses["supervised"].item() == pytest.approx(1.098612, abs=1e-5)


def test_no_gradient_through_the_guess(env, batch, models):
    batch.u["weak"].requires_grad_(True)
    losses, _ = FixMatch(env, threshold=0.5, weight=1.0).step(batch, models)
    (grad,) = torch.autograd.grad(losses["consistency"], batch.u["weak"], allow_unused=True)
    assert grad is None or not grad.any()
