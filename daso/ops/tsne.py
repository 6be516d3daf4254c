"""t-SNE of a few hundred points (van der Maaten and Hinton 2008); numpy alone.

scikit-learn has one, but importing it takes as long as a short run's whole evaluation may. This one starts from the
principal components and draws nothing, so that it gives the same picture every time.
"""

from __future__ import annotations

import numpy as np

from daso.ops.confusion import FloatArray

EXAGGERATED = (100, 12.0)  # steps at the start, and how much stronger points attract each other in them
FLOOR = 1e-12


def tsne(features: FloatArray, *, perplexity: float = 30.0, steps: int = 500) -> FloatArray:
    """Places (n, 2) of points (n, D) in which neighbours stay neighbours; `perplexity` is how many count as such.

    A third of the points at most can be neighbours. Gradient descent with momentum and gains, as in section 3.4.
    """
    n = len(features)
    near = affinities(_distances(features.astype(np.float64)), min(perplexity, (n - 1) / 3))
    places = _principal(features.astype(np.float64)) * 1e-4
    speed, gains, rate = np.zeros_like(places), np.ones_like(places), max(n / EXAGGERATED[1] / 4, 50.0)
    for step in range(steps):
        early = step < EXAGGERATED[0]
        pull = _gradient(places, near * EXAGGERATED[1] if early else near)
        gains = np.maximum(np.where(pull * speed < 0, gains + 0.2, gains * 0.8), 0.01)
        speed = (0.5 if early else 0.8) * speed - rate * gains * pull
        places = places + speed
    centred: FloatArray = places - places.mean(0)
    return centred


def affinities(distances: FloatArray, perplexity: float) -> FloatArray:
    """Symmetric affinities (n, n), sum 1, of squared distances: a Gaussian about each point with that perplexity."""
    n = len(distances)
    nearest = np.where(np.eye(n) > 0, np.inf, distances).min(1, keepdims=True)
    apart = np.maximum(distances - nearest, 0)  # so that the weight of the nearest never vanishes
    low, high, beta = np.zeros((n, 1)), np.full((n, 1), np.inf), np.ones((n, 1))
    for _ in range(64):
        weights = np.exp(-apart * beta) * (1 - np.eye(n))
        shares = weights / weights.sum(1, keepdims=True)
        wide = np.exp(-(shares * np.log(np.maximum(shares, FLOOR))).sum(1, keepdims=True)) > perplexity
        low, high = np.where(wide, beta, low), np.where(wide, high, beta)
        beta = np.where(np.isinf(high), beta * 2, (low + high) / 2)
    symmetric: FloatArray = (shares + shares.T) / (2 * n)
    return symmetric


def _gradient(places: FloatArray, near: FloatArray) -> FloatArray:
    """Of KL(near || affinities of the places), Eq. 5."""
    closeness = 1 / (1 + _distances(places))
    np.fill_diagonal(closeness, 0)
    force = (near - closeness / closeness.sum()) * closeness
    pull: FloatArray = 4 * (force.sum(1)[:, None] * places - force @ places)
    return pull


def _distances(points: FloatArray) -> FloatArray:
    """Squared distances (n, n) of points (n, D)."""
    squares = (points**2).sum(1)
    apart: FloatArray = np.maximum(squares[:, None] + squares - 2 * points @ points.T, 0)
    return apart


def _principal(points: FloatArray) -> FloatArray:
    """First two principal components (n, 2), the first of deviation 1; their signs make the largest entry positive."""
    left, sizes, _ = np.linalg.svd(points - points.mean(0), full_matrices=False)
    found = np.zeros((len(points), 2))
    found[:, : min(2, len(sizes))] = left[:, :2] * sizes[:2]
    found *= np.sign(found[np.abs(found).argmax(0), [0, 1]])
    return found / max(float(found[:, 0].std()), FLOOR)
