"""Forward passes of mixed batches."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from daso.models.network import Network
from daso.ops.mixing import interleave


def mixed_logits(network: Network, images: Tensor, size: int, batches: Literal["interleave", "joint"]) -> Tensor:
    """Return logits (n, K) of mixed images (n, 3, H, W), the first `size` of which are labeled.

    `interleave`: one forward pass per chunk of `size` images, each with labeled and unlabeled ones; each pass has its
    own batch statistics and updates the running ones. `joint`: one forward pass of all images.
    """
    if batches == "joint":  # fidelity: mixed-batches
        logits: Tensor = network(images).logits
        return logits
    chunks = torch.split(interleave(images, size), size)
    return interleave(torch.cat([network(chunk).logits for chunk in chunks]), size)
