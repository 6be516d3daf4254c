"""What a method answers on a pool of images, and where it puts them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from daso.engine.resident import Pool
from daso.methods.base import Learner
from daso.models.network import Models

Prepare = Callable[[Tensor], Tensor]
Part = TypeVar("Part")
BATCH = 1000  # images in one forward; any value gives the same predictions up to rounding


def predict(learner: Learner, models: Models, pool: Pool, prepare: Prepare) -> tuple[Tensor, Tensor]:
    """Logits (n, K) of every image, plain and as the add-ons want them read: on the CPU, in evaluation mode.

    `prepare` makes packed images (n, H, W) what the network sees, float32 (n, 3, S, S).
    """
    if not len(pool):  # of a setting without unlabeled images
        none = torch.empty(0, models.student.classifier.out_features)
        return none, none
    plain, adjusted = zip(*_over(pool, models, lambda images: learner.predict(prepare(images), models)), strict=True)
    return torch.cat(plain).float().cpu(), torch.cat(adjusted).float().cpu()


def embed(learner: Learner, models: Models, pool: Pool, prepare: Prepare) -> Tensor:
    """Features (n, D) of every image, on the CPU, in evaluation mode."""
    if not len(pool):
        return torch.empty(0, models.student.encoder.feature_dim)
    return torch.cat(_over(pool, models, lambda images: learner.embed(prepare(images), models).float().cpu()))


@torch.no_grad()
def _over(pool: Pool, models: Models, work: Callable[[Tensor], Part]) -> list[Part]:
    models.student.eval()
    models.teacher.eval()
    with torch.compiler.set_stance("force_eager"):  # these shapes come seldom and are not worth a compilation
        parts = [work(images) for images in pool.batches(BATCH)]
    models.student.train()
    models.teacher.train()
    return parts
