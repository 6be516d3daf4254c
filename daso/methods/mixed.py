"""The forward passes of mixed batches."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from daso.models.network import Network
from daso.ops.mixing import interleave


def mixed_logits(network: Network, images: Tensor, size: int, batches: Literal["interleave", "joint"]) -> Tensor:
    """Logits (n, K) of mixed images (n, 3, H, W), the first `size` of them labeled.

    `interleave`: one forward for each `size` images, which are some of every part, the labeled and the unlabeled ones,
    so that each has batch statistics of its own and moves the running ones. `joint`: one forward of all.
    """
    if batches == "joint":  # fidelity: mixed-batches
        logits: Tensor = network(images).logits
        return logits
    chunks = torch.split(interleave(images, size), size)
    return interleave(torch.cat([network(chunk).logits for chunk in chunks]), size)
