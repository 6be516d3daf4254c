import numpy as np
import pytest
from sklearn.manifold import TSNE
from sklearn.manifold._t_sne import _joint_probabilities

from daso.ops.tsne import affinities, tsne


def clusters(n=60, dimensions=5):
    """Return three clusters of points, far from each other."""
    noise, centres = np.random.default_rng(0), 8 * np.eye(3, dimensions)
    return centres[np.arange(n) % 3] + noise.standard_normal((n, dimensions))


def squared(points):
    return ((points[:, None] - points) ** 2).sum(-1)


def test_affinities_of_equidistant_points_are_equal():
    """Three points at distances of 1: each affinity is 1/6, for any perplexity."""
    assert affinities(1 - np.eye(3), 1.5) == pytest.approx((1 - np.eye(3)) / 6)


def test_affinities_equal_those_of_scikit_learn():
    distances = squared(clusters())
    upper = np.triu_indices(60, 1)
    expected = _joint_probabilities(distances.astype(np.float32), 10.0, verbose=0)
    assert affinities(distances, 10.0)[upper] == pytest.approx(expected, rel=1e-3, abs=1e-8)


def test_divergence_is_within_a_tenth_of_that_of_scikit_learn():
    """Return KL(affinities || affinities of the embedding), Eq. 2 with Student's t."""
    points = clusters()
    reference = TSNE(perplexity=10.0, method="exact", init="pca", random_state=0).fit(points)
    targets, kernel = affinities(squared(points), 10.0), 1 / (1 + squared(tsne(points, perplexity=10.0)))
    np.fill_diagonal(kernel, 0)
    positive = targets > 0
    divergence = (targets[positive] * np.log(targets[positive] / (kernel / kernel.sum())[positive])).sum()
    assert divergence < 1.1 * reference.kl_divergence_


def test_neighbours_stay_neighbours_and_result_is_reproducible():
    points = clusters()
    embedding = tsne(points)
    assert np.array_equal(embedding, tsne(points))
    nearest = (squared(embedding) + 1e9 * np.eye(60)).argmin(1)
    assert (nearest % 3 == np.arange(60) % 3).all()
