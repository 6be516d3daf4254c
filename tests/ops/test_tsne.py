import numpy as np
import pytest
from sklearn.manifold import TSNE
from sklearn.manifold._t_sne import _joint_probabilities

from daso.ops.tsne import affinities, tsne


def clouds(n=60, dimensions=5):
    """Three clouds of points, far from each other."""
    noise, centres = np.random.default_rng(0), 8 * np.eye(3, dimensions)
    return centres[np.arange(n) % 3] + noise.standard_normal((n, dimensions))


def squared(points):
    return ((points[:, None] - points) ** 2).sum(-1)


def test_affinities_of_equally_distant_points_are_even():
    """Three points, each pair 1 apart: every pair has a sixth, whatever the perplexity."""
    assert affinities(1 - np.eye(3), 1.5) == pytest.approx((1 - np.eye(3)) / 6)


def test_affinities_are_those_of_scikit_learn():
    distances = squared(clouds())
    upper = np.triu_indices(60, 1)
    theirs = _joint_probabilities(distances.astype(np.float32), 10.0, verbose=0)
    assert affinities(distances, 10.0)[upper] == pytest.approx(theirs, rel=1e-3, abs=1e-8)


def test_the_divergence_is_as_small_as_that_of_scikit_learn():
    """Kullback-Leibler divergence of the affinities from those of the places, Eq. 2 with Student's t."""
    points = clouds()
    reference = TSNE(perplexity=10.0, method="exact", init="pca", random_state=0).fit(points)
    near, apart = affinities(squared(points), 10.0), 1 / (1 + squared(tsne(points, perplexity=10.0)))
    np.fill_diagonal(apart, 0)
    there = near > 0
    found = (near[there] * np.log(near[there] / (apart / apart.sum())[there])).sum()
    assert found < 1.1 * reference.kl_divergence_


def test_neighbours_stay_neighbours_and_nothing_is_drawn():
    points = clouds()
    places = tsne(points)
    assert np.array_equal(places, tsne(points))
    nearest = (squared(places) + 1e9 * np.eye(60)).argmin(1)
    assert (nearest % 3 == np.arange(60) % 3).all()
