"""DARP's solver: the smallest change of pseudo-labels that gives the classes prescribed sizes (Kim et al. 2020).

All tensors are float64 and of static shape, and there is no host-device synchronization.
"""

from __future__ import annotations

import torch
from torch import Tensor

FLOOR = 1e-6  # lower bound of probabilities, totals and entropies
NEWTON = 8  # Newton steps in each sweep; the next sweep starts from their result  # fidelity: darp-solver


def refine_table(probs: Tensor, totals: Tensor, kept: Tensor, sweeps: int) -> Tensor:
    """Return distributions near `probs` (M, K) whose columns approximately sum to `totals` (K,): float64 (M, K).

    All entries but the kept_k (K,) largest of each class are pruned first (Kim et al. 2020, section 3).
    """
    return transport(keep_largest(probs, totals, kept), totals, sweeps)


def keep_largest(probs: Tensor, totals: Tensor, kept: Tensor) -> Tensor:
    """Keep the largest entries of each class, scaled towards its total; return rows (M, K) that sum to one, float64.

    The kept_k largest entries of class k, ties in the order of rows, are multiplied by totals_k over their sum. Then
    FLOOR is added to every entry, so that no row is zero, and rows are scaled to sum to one.
    """
    order = probs.argsort(dim=0, descending=True, stable=True)
    first = torch.arange(len(probs), device=probs.device)[:, None] < kept
    large = probs.double() * torch.zeros_like(first).scatter(0, order, first)
    entries = large * (totals + FLOOR) / (large.sum(0) + FLOOR) + FLOOR
    return entries / entries.sum(1, keepdim=True)


def transport(probs: Tensor, totals: Tensor, sweeps: int) -> Tensor:
    """Minimise sum_n KL(x_n || probs_n) / H_n over rows x (M, K) whose columns sum to `totals` (K,); return x.

    H_n is the entropy of row n, so that confident rows change little (Kim et al. 2020, section 3). The optimum is
    x_n = softmax(log probs_n - nu H_n) with one nu for each class. Each of the `sweeps` scales the rows under the
    current nu to sum to one, then solves every column for its own nu. Rows are normalised last: if the totals do not
    sum to M, only the constraint on rows holds.
    """
    logs = probs.T.contiguous().log()  # (K, M): most sums are over the images of a class
    targets = totals.clamp(min=FLOOR).log()
    entropies = (-probs * (probs + FLOOR).log()).sum(1).clamp(min=FLOOR)  # below 0 if an entry exceeds 1 - FLOOR
    nu = torch.zeros_like(targets)
    for _ in range(sweeps):
        shifted = logs - nu[:, None] * entropies
        nu = solve_columns(logs - shifted.logsumexp(0), entropies, targets, nu)
    return (logs - nu[:, None] * entropies).softmax(0).T


def solve_columns(logs: Tensor, slopes: Tensor, targets: Tensor, nu: Tensor) -> Tensor:
    """Solve log sum_n exp(logs_kn - nu_k slopes_n) = targets_k for nu (K,); logs (K, M), slopes (M,) > 0.

    Newton's method from `nu`, for all classes at once. The left side is convex and decreasing, so from any start the
    first step lands to the left of the solution and later steps approach it from there; each divides the error times
    the slope by at least four. Therefore a fixed number of steps without a safeguard is enough.
    """
    for _ in range(NEWTON):
        shifted = logs - nu[:, None] * slopes
        largest = shifted.amax(1, keepdim=True)
        terms = (shifted - largest).exp()
        sums = terms.sum(1)
        nu = nu + (largest.squeeze(1) + sums.log() - targets) * sums / (terms * slopes).sum(1)
    return nu
