"""Batches mixed with themselves, batches mixed with each other, and images turned."""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import betaincinv  # type: ignore[import-untyped]
from torch import Tensor

from daso.draw import Draw


def mixing_weights(alpha: float, draw: Draw) -> Tensor:
    """Weights from Beta(alpha, alpha), or one minus it where that is larger (Berthelot et al. 2019, Eq. 8 and 9).

    One for each step of `draw`, whose `t` has shape (T,): float32 (T,), from 1/2 to 1.
    """
    shares = draw.uniform(1).squeeze(-1).double().cpu().numpy()
    weights = betaincinv(alpha, alpha, shares)
    return torch.from_numpy(np.maximum(weights, 1 - weights)).float()


def mixup(images: Tensor, labels: Tensor, weight: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
    """`weight` of every row and the rest of another one, which is drawn (Zhang et al. 2018).

    Images (n, 3, H, W) and labels (n, K) -> same; weight is (), one for all rows; the other rows are a permutation.
    """
    other = draw.permutation(len(images))
    return torch.lerp(images[other], images, weight), torch.lerp(labels[other], labels, weight)


def interleave(rows: Tensor, size: int) -> Tensor:
    """Rows (n * size, ...), n chunks of `size`, so that every chunk gets some of the first one's, and it some of all.

    Chunks are cut into n groups as equal as can be, the larger ones last; group i of the first chunk changes places
    with group i of chunk i (the code of Berthelot et al. 2019). Twice is not at all.
    """
    n = len(rows) // size
    groups = [(size + i) // n for i in range(n)]
    chunks = [list(torch.split(chunk, groups)) for chunk in torch.split(rows, size)]
    for i in range(1, n):
        chunks[0][i], chunks[i][i] = chunks[i][i], chunks[0][i]
    return torch.cat([group for chunk in chunks for group in chunk])


def rotate(images: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
    """Every square image (n, 3, H, H) turned by a number of right angles of its own, and that number, 0..3 (n,)."""
    turns = draw.integers(4, len(images))
    turned = torch.stack([images.rot90(k, (2, 3)) for k in range(4)])
    return turned[turns, torch.arange(len(images), device=images.device)], turns
