"""Run an encoder in groups of images, so that the activations of one group are in memory at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def run_in_groups(encode: Callable[[Tensor], Tensor], images: Tensor, size: int, encoder: nn.Module) -> Tensor:
    """Return the features (n, D) of images (n, 3, H, W), computed in groups of at most `size` images.

    Group i of g has the images i, i + g, i + 2 g, ..., so that each has its share of every view in the batch. Each has
    its own batch statistics, and updates the running ones of `encoder` in turn.
    Only the features are kept. In the backward pass, each group is recomputed from its images and its gradients are
    added before the next group is recomputed (gradient checkpointing, Chen et al. 2016); this leaves the running
    statistics unchanged.
    """
    groups = math.ceil(len(images) / size)
    if groups <= 1:
        return encode(images)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _statistics_kept(encoder)

    parts = []
    for first in range(groups):  # fidelity: groups-of-images
        part = images[first::groups]
        if torch.is_grad_enabled():
            features = checkpoint(encode, part, use_reentrant=False, preserve_rng_state=False, context_fn=contexts)
        else:
            features = encode(part)
        parts.append(features)
    return _interleave(parts)


def _interleave(parts: list[Tensor]) -> Tensor:
    """Return the rows of parts (m, D) or (m + 1, D), in which part i has the rows i, i + g, ..., in their order."""
    complete = min(len(part) for part in parts)
    whole = torch.stack([part[:complete] for part in parts], dim=1).flatten(0, 1)
    return torch.cat([whole, *(part[complete:] for part in parts)])


@contextmanager
def _statistics_kept(encoder: nn.Module) -> Iterator[None]:
    """Leave the running statistics of batch norms unchanged: with momentum 0 an update keeps their values."""
    norms = [module for module in encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = momentum
