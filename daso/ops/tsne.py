"""t-SNE of a few hundred points (van der Maaten and Hinton 2008); only numpy is used.

It replaces scikit-learn's, whose import can take as long as the evaluation of a short run. The embedding starts from
the principal components and uses no random numbers, so it is deterministic.
"""

from __future__ import annotations

import numpy as np

from daso.ops.confusion import FloatArray

EXAGGERATED = (100, 12.0)  # number of first steps with early exaggeration, and its factor
FLOOR = 1e-12


def tsne(features: FloatArray, *, perplexity: float = 30.0, steps: int = 500) -> FloatArray:
    """Embed points (n, D) in the plane (n, 2) so that neighbours stay neighbours.

    `perplexity` is the effective number of neighbours, at most a third of the other points. The optimizer is gradient
    descent with momentum and gains, as in section 3.4.
    """
    n = len(features)
    targets = affinities(_distances(features.astype(np.float64)), min(perplexity, (n - 1) / 3))
    embedding = _principal(features.astype(np.float64)) * 1e-4
    velocity, gains, rate = np.zeros_like(embedding), np.ones_like(embedding), max(n / EXAGGERATED[1] / 4, 50.0)
    for step in range(steps):
        early = step < EXAGGERATED[0]
        gradient = _gradient(embedding, targets * EXAGGERATED[1] if early else targets)
        gains = np.maximum(np.where(gradient * velocity < 0, gains + 0.2, gains * 0.8), 0.01)
        velocity = (0.5 if early else 0.8) * velocity - rate * gains * gradient
        embedding = embedding + velocity
    centred: FloatArray = embedding - embedding.mean(0)
    return centred


def affinities(distances: FloatArray, perplexity: float) -> FloatArray:
    """Return symmetric affinities (n, n), of sum 1, from squared distances (n, n).

    The Gaussian around each point has the given perplexity; its beta = 1 / (2 sigma^2) is found by bisection.
    """
    n = len(distances)
    nearest = np.where(np.eye(n) > 0, np.inf, distances).min(1, keepdims=True)
    relative = np.maximum(distances - nearest, 0)  # so that the weight of the nearest point never underflows
    low, high, beta = np.zeros((n, 1)), np.full((n, 1), np.inf), np.ones((n, 1))
    for _ in range(64):
        weights = np.exp(-relative * beta) * (1 - np.eye(n))
        shares = weights / weights.sum(1, keepdims=True)
        wide = np.exp(-(shares * np.log(np.maximum(shares, FLOOR))).sum(1, keepdims=True)) > perplexity
        low, high = np.where(wide, beta, low), np.where(wide, high, beta)
        beta = np.where(np.isinf(high), beta * 2, (low + high) / 2)
    symmetric: FloatArray = (shares + shares.T) / (2 * n)
    return symmetric


def _gradient(embedding: FloatArray, targets: FloatArray) -> FloatArray:
    """Return the gradient (n, 2) of KL(targets || affinities of the embedding), Eq. 5."""
    kernel = 1 / (1 + _distances(embedding))
    np.fill_diagonal(kernel, 0)
    forces = (targets - kernel / kernel.sum()) * kernel
    gradient: FloatArray = 4 * (forces.sum(1)[:, None] * embedding - forces @ embedding)
    return gradient


def _distances(points: FloatArray) -> FloatArray:
    """Return the squared distances (n, n) between points (n, D)."""
    squares = (points**2).sum(1)
    distances: FloatArray = np.maximum(squares[:, None] + squares - 2 * points @ points.T, 0)
    return distances


def _principal(points: FloatArray) -> FloatArray:
    """Return the first two principal components (n, 2), the first scaled to a standard deviation of 1.

    Their signs make the entry of largest magnitude positive.
    """
    left, sizes, _ = np.linalg.svd(points - points.mean(0), full_matrices=False)
    components = np.zeros((len(points), 2))
    components[:, : min(2, len(sizes))] = left[:, :2] * sizes[:2]
    components *= np.sign(components[np.abs(components).argmax(0), [0, 1]])
    return components / max(float(components[:, 0].std()), FLOOR)
