"""What a method answers on a pool of images."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from daso.engine.resident import Pool
from daso.methods.base import Learner
from daso.models.network import Models

Prepare = Callable[[Tensor], Tensor]
BATCH = 1000  # images in one forward; any value gives the same predictions up to rounding


@torch.no_grad()
def predict(learner: Learner, models: Models, pool: Pool, prepare: Prepare) -> tuple[Tensor, Tensor]:
    """Logits (n, K) of every image, plain and as the add-ons want them read: on the CPU, in evaluation mode.

    `prepare` makes packed images (n, H, W) what the network sees, float32 (n, 3, S, S).
    """
    models.student.eval()
    models.teacher.eval()
    with torch.compiler.set_stance("force_eager"):  # these shapes come seldom and are not worth a compilation
        parts = [learner.predict(prepare(images), models) for images in pool.batches(BATCH)]
    models.student.train()
    models.teacher.train()
    plain, adjusted = (torch.cat(side).float().cpu() for side in zip(*parts, strict=True))
    return plain, adjusted
