import pytest
import torch

from daso.ops.losses import soft_cross_entropy
from daso.ops.similarity import cosine, nearest


def test_cosines_and_their_softmax_at_two_temperatures():
    """(3, 4) and the axes: .6 and .8; a zero prototype gives 0."""
    prototypes = torch.tensor([[1.0, 0, 0, 0], [0, 2, 0, 0], [0, 0, 0, 0]])
    similarity = cosine(torch.tensor([[3.0, 4, 0, 0]]), prototypes)
    assert similarity[0].tolist() == pytest.approx([0.6, 0.8, 0.0], abs=1e-6)
    assert (similarity / 0.05).softmax(-1)[0].tolist() == pytest.approx([0.017986, 0.982014, 1.1e-7], abs=1e-6)
    assert similarity.softmax(-1)[0].tolist() == pytest.approx([0.360983, 0.440905, 0.198112], abs=1e-6)


def test_alignment_is_the_cross_entropy_of_similarities():
    prototypes = torch.tensor([[1.0, 0], [0.6, 0.8], [0, 1]])
    weak = cosine(torch.tensor([[2.0, 1]]), prototypes) / 0.05
    strong = cosine(torch.tensor([[1.0, 1]]), prototypes) / 0.05
    assert weak.softmax(-1)[0].tolist() == pytest.approx([0.499967, 0.499967, 0.000065], abs=2e-6)
    assert strong.softmax(-1)[0].tolist() == pytest.approx([0.003469, 0.993062, 0.003469], abs=2e-6)
    assert soft_cross_entropy(strong, weak.softmax(-1)).item() == pytest.approx(2.835574, abs=1e-4)


def test_nearest_prototype_is_by_distance_not_by_cosine():
    """(1.1, .9) has the distances 1.1045 to (1, 2) and 1.9026 to (3, 1), though the cosine with (3, 1) is larger."""
    anchors = torch.tensor([[3.0, 1], [1, 2], [-1, -1]])
    features = torch.tensor([[1.1, 0.9], [4, 0.5], [-0.5, -2]])
    assert nearest(features, anchors).tolist() == [1, 0, 2]
    assert cosine(features, anchors).argmax(-1).tolist() == [0, 0, 2]
