"""Pseudo-labels moved as little as can be until the classes are as large as they should be (Kim et al. 2020).

Everything is float64 and of static shape, and no value is asked for, so that a table on a GPU never leaves it.
"""

from __future__ import annotations

import torch
from torch import Tensor

FLOOR = 1e-6  # of probabilities, totals and entropies
NEWTON = 8  # steps in each sweep; those of the next one start where they end  # fidelity: darp-solver


def refine_table(probs: Tensor, totals: Tensor, kept: Tensor, sweeps: int) -> Tensor:
    """Distributions near `probs` (M, K), their columns nearly `totals` (K,) in sum: float64 (M, K).

    Entries that are not among the kept_k (K,) largest of their class are pruned before (Kim et al. 2020, section 3).
    """
    return transport(prune(probs, totals, kept), totals, sweeps)


def prune(probs: Tensor, totals: Tensor, kept: Tensor) -> Tensor:
    """The largest entries of each class, scaled towards its total: rows (M, K) that sum to one, float64.

    Of class k stay the kept_k largest entries, of equal ones the first, times totals_k over their sum. Then every entry
    gets FLOOR, so that no row is empty, and rows are scaled.
    """
    order = probs.argsort(dim=0, descending=True, stable=True)
    first = torch.arange(len(probs), device=probs.device)[:, None] < kept
    large = probs.double() * torch.zeros_like(first).scatter(0, order, first)
    entries = large * (totals + FLOOR) / (large.sum(0) + FLOOR) + FLOOR
    return entries / entries.sum(1, keepdim=True)


def transport(probs: Tensor, totals: Tensor, sweeps: int) -> Tensor:
    """The rows x (M, K) with columns that sum to `totals` (K,) and the least sum_n KL(x_n || probs_n) / H_n.

    H_n is the entropy of row n, so that a sure row moves little (Kim et al. 2020, section 3). The optimum is
    x_n = softmax(log probs_n - nu H_n) with one nu for each class. Each of the `sweeps` scales the rows under the nu at
    hand to sum to one, then solves every column for its own nu; the last word is the rows'. Where the totals do not sum
    to M, rows and columns cannot both have their way, and rows do.
    """
    logs = probs.T.contiguous().log()  # (K, M), as it is columns that are summed most often
    targets = totals.clamp(min=FLOOR).log()
    entropies = (-probs * (probs + FLOOR).log()).sum(1).clamp(min=FLOOR)  # below 0 for rows surer than 1 - FLOOR
    nu = torch.zeros_like(targets)
    for _ in range(sweeps):
        moved = logs - nu[:, None] * entropies
        nu = solve_columns(logs - moved.logsumexp(0), entropies, targets, nu)
    return (logs - nu[:, None] * entropies).softmax(0).T


def solve_columns(logs: Tensor, slopes: Tensor, targets: Tensor, nu: Tensor) -> Tensor:
    """The nu (K,) at which log sum_n exp(logs_kn - nu_k slopes_n) is targets_k; logs (K, M), slopes (M,) > 0.

    Newton's method from `nu`, for all classes at once. The left side is convex and falls, so wherever it starts, the
    first step leads to the left of the solution and no later one beyond it, and each makes the error times the slope at
    least four times smaller: it needs no safeguard, and a fixed number of steps is enough.
    """
    for _ in range(NEWTON):
        moved = logs - nu[:, None] * slopes
        largest = moved.amax(1, keepdim=True)
        parts = (moved - largest).exp()
        sums = parts.sum(1)
        nu = nu + (largest.squeeze(1) + sums.log() - targets) * sums / (parts * slopes).sum(1)
    return nu
