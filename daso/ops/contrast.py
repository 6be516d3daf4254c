"""Contrastive losses with continuous pseudo-labels (Zhou et al. 2024): all features are unit vectors (n, D)."""

from __future__ import annotations

import torch
from torch import Tensor

from daso.ops.losses import soft_cross_entropy

TEMPERATURE = 0.1  # of the kernel exp(cosine / temperature)
NEIGHBOUR_SHARE = 0.2  # of the predictions of other unlabeled images in a pseudo-label
TERMS = 12  # of the Neumann series: its error is at most 0.2^12 = 4.1e-9 of a probability


def kernel(one: Tensor, other: Tensor) -> Tensor:
    """Return the kernel (n, m) of features (n, D) and (m, D)."""
    return (one @ other.T / TEMPERATURE).exp()


def smoothed_labels(features: Tensor, support: Tensor, labels: Tensor) -> Tensor:
    """Return pseudo-labels (n, K) of features by a support (m, D) with label rows (m, K); rows sum to one.

    They are the shares of the class densities, which kernels of the support estimate, smoothed over the graph of
    similar features G: 0.8 (I - 0.2 G)^-1 times these shares.
    """
    densities = kernel(features, support) @ labels / labels.sum(0)
    shares = densities / densities.sum(-1, keepdim=True)  # fidelity: ccl-prior
    graph = (features @ features.T).softmax(-1)  # fidelity: ccl-graph
    return propagate(shares, graph)


def propagate(shares: Tensor, graph: Tensor) -> Tensor:
    """Return 0.8 (I - 0.2 G)^-1 P for a graph G (n, n) whose rows sum to one, and P (n, K), as a Neumann series.

    A solver of linear equations would check on the host whether the matrix is singular, which it is not.
    """
    first = (1 - NEIGHBOUR_SHARE) * shares
    result = first
    for _ in range(TERMS - 1):
        result = first + NEIGHBOUR_SHARE * graph @ result
    return result


def cross_entropy_of(probs: Tensor, targets: Tensor) -> Tensor:
    """Return the mean () of -sum_k targets_k log probs_k over rows (n, K)."""
    return -(targets * probs.log()).sum(-1).mean()


def smoothed_loss(target: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Return the mean () of the cross-entropies of both views (n, K) with a target, and the entropy of their mean."""
    mean = (first + second) / 2
    terms = cross_entropy_of(first, target), cross_entropy_of(second, target), cross_entropy_of(mean, mean)
    return torch.stack(terms).mean()  # fidelity: ccl-entropy


def reliable_logits(features: Tensor, labels: Tensor, centres: int) -> Tensor:
    """Return the log densities (n - centres, K) of each class at each feature, estimated from all other rows.

    `labels` (n, K) are the label rows; a row of zeros belongs to no class. There are no log densities at the first
    `centres` rows: such a row may be the only one of its class.
    """
    others = kernel(features[centres:], features) * (1 - torch.eye(len(features), device=features.device)[centres:])
    return (others @ labels / (labels.sum(0) - labels[centres:])).log()


def reliable_loss(features: Tensor, labels: Tensor, included: Tensor, centres: int) -> Tensor:
    """Return the mean cross-entropy () of the log densities with the label rows (n, K), over all included rows.

    `included` (n,) are 1 or 0. The first `centres` rows only estimate the densities.
    """
    labels = labels * included[:, None]
    losses = soft_cross_entropy(reliable_logits(features, labels, centres), labels[centres:])
    return losses.sum() / included[centres:].sum()
