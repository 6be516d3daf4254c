import numpy as np
import pytest

from daso.report.results.embedding import tsne_embedding

LABELS = np.arange(60) % 3
POINTS = 8 * np.eye(3, 5)[LABELS] + np.random.default_rng(0).standard_normal((60, 5))  # three clusters


def test_neighbours_stay_neighbours_and_bits_are_reproducible():
    """The nearest point of each is from its own cluster."""
    embedding = tsne_embedding(POINTS.astype(np.float16), LABELS, LABELS[::-1])
    distances = ((embedding.points[:, None] - embedding.points) ** 2).sum(-1) + 1e9 * np.eye(60)
    assert (LABELS[distances.argmin(1)] == LABELS).all()
    assert np.array_equal(embedding.predictions, LABELS[::-1])
    assert tsne_embedding(POINTS.astype(np.float16), LABELS, LABELS).points.tobytes() == embedding.points.tobytes()


@pytest.mark.parametrize("features", [POINTS[:9], np.ones((20, 5)), np.full((20, 5), np.inf)])
def test_few_or_equal_or_infinite_features_have_no_point(features):
    labels = LABELS[: len(features)]
    assert [len(part) for part in tsne_embedding(features, labels, labels)] == [0, 0, 0]
