"""Compute the logits and features of a pool of images with the evaluation model of a method."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import torch
from torch import Tensor

from daso.engine.resident import Pool
from daso.methods.base import Learner
from daso.models.network import Models

Prepare = Callable[[Tensor], Tensor]
Computed = TypeVar("Computed")
# Images in one forward, and their packed bytes, at most; any values give the same predictions up to rounding.
BATCH_SIZE = 1000
BATCH_BYTES = 2**26


def predict(learner: Learner, models: Models, pool: Pool, prepare: Prepare) -> tuple[Tensor, Tensor]:
    """Return logits (n, K) of all images, unadjusted and adjusted by the add-ons, from evaluation mode, on the CPU.

    `prepare` turns packed images (n, H, W) into the network's input, float32 (n, 3, S, S).
    """
    if not len(pool):  # a setting may have no unlabeled images
        empty = torch.empty(0, models.student.classifier.out_features)
        return empty, empty
    logits = _map_batches(pool, models, lambda images: learner.predict(prepare(images), models))
    unadjusted, adjusted = zip(*logits, strict=True)
    return torch.cat(unadjusted).float().cpu(), torch.cat(adjusted).float().cpu()


def embed(learner: Learner, models: Models, pool: Pool, prepare: Prepare) -> Tensor:
    """Return features (n, D) of every image, on the CPU, computed in evaluation mode."""
    if not len(pool):
        return torch.empty(0, models.student.encoder.feature_dim)
    return torch.cat(_map_batches(pool, models, lambda images: learner.embed(prepare(images), models).float().cpu()))


@torch.no_grad()
def _map_batches(pool: Pool, models: Models, compute: Callable[[Tensor], Computed]) -> list[Computed]:
    models.student.eval()
    models.teacher.eval()
    with _eager():
        results = [compute(images) for images in pool.batches(_batch_size(pool))]
    models.student.train()
    models.teacher.train()
    return results


def _batch_size(pool: Pool) -> int:
    """Return the number of images in one forward: 1000 of up to 129 x 129 pixels, fewer of larger ones."""
    return max(1, min(BATCH_SIZE, BATCH_BYTES // pool.bytes_per_image))


def _eager() -> AbstractContextManager[object]:
    """Run compiled networks eagerly: the shapes of an evaluation are too rare to be worth a compilation.

    Where nothing is compiled, torch's compiler is not imported: that takes as long as importing torch itself.
    """
    return torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()
