"""Steps of learners with two heads, whose networks have fixed logits."""

import torch
from torch import Tensor, nn

from daso.records import Batch, Output
from tests.methods.conftest import as_images


class FixedHeads(nn.Module):
    """Network with fixed logits (n, K) of the classifier and of the balanced head, whatever the images are."""

    def __init__(self, plain: list[list[float]], balanced: list[list[float]]) -> None:
        super().__init__()
        self.plain, self.balanced = torch.tensor(plain), torch.tensor(balanced)

    def forward(self, images: Tensor) -> Output:
        return Output(torch.zeros(len(images), 2), self.plain, {"balanced": self.balanced})


def run_step(learner, batch: Batch, models, plain, balanced, t: int = 500):
    """Run a step; the rows of logits are those of the labeled images, the weak views and both strong views in turn."""
    unlabeled = (len(plain) - len(batch.y)) // 3
    views = {view: as_images([[0.0, 0.0]] * unlabeled) for view in learner.views.u}
    batch = batch._replace(t=torch.tensor(t), u=views, u_index=torch.arange(unlabeled))
    return learner.step(batch, models._replace(student=FixedHeads(plain, balanced)))
