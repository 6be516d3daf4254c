"""Mixup, interleaved batches and rotated images."""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import betaincinv  # type: ignore[import-untyped]
from torch import Tensor

from daso.draw import Draw


def mixing_weights(alpha: float, draw: Draw) -> Tensor:
    """Draw max(w, 1 - w) for w from Beta(alpha, alpha) (Berthelot et al. 2019, Eq. 8 and 9).

    One weight for each step of `draw`, whose `t` has shape (T,): float32 (T,), from 1/2 to 1.
    """
    quantiles = draw.uniform(1).squeeze(-1).double().cpu().numpy()
    weights = betaincinv(alpha, alpha, quantiles)
    return torch.from_numpy(np.maximum(weights, 1 - weights)).float()


def mixup(images: Tensor, labels: Tensor, weight: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
    """Return `weight` times every row plus 1 - `weight` times a random partner (Zhang et al. 2018).

    Images (n, 3, H, W) and labels (n, K) -> same; one weight () for all rows; the partners are a permutation of them.
    """
    other = draw.permutation(len(images))
    return torch.lerp(images[other], images, weight), torch.lerp(labels[other], labels, weight)


def interleave(rows: Tensor, size: int) -> Tensor:
    """Exchange rows (n * size, ...) between the first of n chunks of `size` and each of the others.

    Each chunk is cut into n groups as equal as possible, the larger ones last; group i of the first chunk is exchanged
    with group i of chunk i (the code of Berthelot et al. 2019). The function is its own inverse.
    """
    n = len(rows) // size
    groups = [(size + i) // n for i in range(n)]
    chunks = [list(torch.split(chunk, groups)) for chunk in torch.split(rows, size)]
    for i in range(1, n):
        chunks[0][i], chunks[i][i] = chunks[i][i], chunks[0][i]
    return torch.cat([group for chunk in chunks for group in chunk])


def rotate(images: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
    """Rotate each square image (n, 3, H, H) by a random number of right angles; return the number 0..3 (n,) too."""
    rotations = draw.integers(4, len(images))
    rotated = torch.stack([images.rot90(k, (2, 3)) for k in range(4)])
    return rotated[rotations, torch.arange(len(images), device=images.device)], rotations
