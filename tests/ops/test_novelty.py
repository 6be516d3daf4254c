import pytest
import torch

from daso.ops import novelty
from daso.ops.novelty import unlike


@pytest.mark.parametrize("block", [1, 2**22])
def test_distance_is_one_minus_the_largest_cosine(block, monkeypatch):
    """(3, 4) has the cosines .6 and .8 with the axes; (-1, -1) has -1/sqrt(2) with both; a zero vector has 0."""
    monkeypatch.setattr(novelty, "BLOCK", block)
    features = torch.tensor([[3.0, 4], [-1, -1], [0, 7], [0, 0]])
    expected = [0.2, 1 + 0.5**0.5, 0, 1]
    assert unlike(features, torch.tensor([[2.0, 0], [0, 0.5]])).tolist() == pytest.approx(expected, abs=1e-6)
    assert unlike(features.half(), torch.eye(2).half()).tolist() == pytest.approx(expected, abs=1e-6)


def test_distance_without_labeled_images_is_one():
    assert unlike(torch.eye(2), torch.empty(0, 2)).tolist() == [1, 1]
    assert unlike(torch.empty(0, 2), torch.eye(2)).tolist() == []
