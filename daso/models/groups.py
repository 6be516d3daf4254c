"""Run an encoder in groups of images, so that the activations of one group are in memory at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def run_in_groups(encode: Callable[[Tensor], Tensor], images: Tensor, size: int, encoder: nn.Module) -> Tensor:
    """Return the features (n, D) of images (n, 3, H, W), computed in groups of at most `size` images.

    Group i of g has the images i, i + g, i + 2 g, ..., so that each has its share of every view in the batch, and its
    own batch statistics. The running statistics of `encoder` are updated as by one forward pass, with the mean of the
    groups' statistics weighted by their numbers of images.
    Only the features are kept. In the backward pass, each group is recomputed from its images and its gradients are
    added before the next group is recomputed (gradient checkpointing, Chen et al. 2016); this leaves the running
    statistics unchanged.
    """
    groups = math.ceil(len(images) / size)
    if groups <= 1:
        return encode(images)
    parts, end = [], 0
    for first in range(groups):  # fidelity: groups-of-images
        part = images[first::groups]
        end += len(part)
        contexts = partial(_contexts, encoder, len(part) / len(images), end / len(images))
        if torch.is_grad_enabled():
            features = checkpoint(encode, part, use_reentrant=False, preserve_rng_state=False, context_fn=contexts)
        else:
            with contexts()[0]:
                features = encode(part)
        parts.append(features)
    return _interleave(parts)


def _interleave(parts: list[Tensor]) -> Tensor:
    """Return the rows of parts (m, D) or (m + 1, D), in which part i has the rows i, i + g, ..., in their order."""
    complete = min(len(part) for part in parts)
    whole = torch.stack([part[:complete] for part in parts], dim=1).flatten(0, 1)
    return torch.cat([whole, *(part[complete:] for part in parts)])


def _contexts(
    encoder: nn.Module, share: float, so_far: float
) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Return the contexts of a group's first pass and of its recomputation, which keeps the running statistics.

    The group has this share w_i of the images, it and all groups before it w_0 + ... + w_i = `so_far`. With the
    momentum m w_i / (1 - m + m (w_0 + ... + w_i)), the running statistics after the last group are
    (1 - m) old + m sum_i w_i new_i.
    """
    own = changed_momenta(encoder, lambda m: m * share / (1 - m + m * so_far))
    return own, changed_momenta(encoder, lambda m: 0.0)


@contextmanager
def changed_momenta(network: nn.Module, change: Callable[[float], float]) -> Iterator[None]:
    """Change the momentum of each batch norm that has one; with 0, forward passes leave its running statistics."""
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    before = [norm.momentum for norm in norms]
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum if momentum is None else change(momentum)
    try:
        yield
    finally:
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = momentum
