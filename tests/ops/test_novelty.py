import pytest
import torch

from daso.ops import novelty
from daso.ops.novelty import unlike, unlike_other_groups, unlike_threshold


@pytest.mark.parametrize("block", [1, 2**22])
def test_distance_is_one_minus_the_largest_cosine(block, monkeypatch):
    """(3, 4) has the cosines .6 and .8 with the axes; (-1, -1) has -1/sqrt(2) with both; a zero vector has 0."""
    monkeypatch.setattr(novelty, "COSINES_AT_ONCE", block)
    features = torch.tensor([[3.0, 4], [-1, -1], [0, 7], [0, 0]])
    expected = [0.2, 1 + 0.5**0.5, 0, 1]
    assert unlike(features, torch.tensor([[2.0, 0], [0, 0.5]])).tolist() == pytest.approx(expected, abs=1e-6)
    assert unlike(features.half(), torch.eye(2).half()).tolist() == pytest.approx(expected, abs=1e-6)


def test_distance_without_labeled_images_is_one():
    assert unlike(torch.eye(2), torch.empty(0, 2)).tolist() == [1, 1]
    assert unlike(torch.empty(0, 2), torch.eye(2)).tolist() == []


@pytest.mark.parametrize("block", [1, 2**22])
def test_distance_of_a_labeled_image_is_to_another_group(block, monkeypatch):
    """The first two are copies, of one group: both have the cosine .6 with (3, 4), which has .8 with (0, 1)."""
    monkeypatch.setattr(novelty, "COSINES_AT_ONCE", block)
    features, groups = torch.tensor([[1.0, 0], [2, 0], [3, 4], [0, 1]]), torch.tensor([7, 7, 2, 3])
    assert unlike_other_groups(features, groups).tolist() == pytest.approx([0.4, 0.4, 0.2, 0.2], abs=1e-6)
    assert unlike_other_groups(features[:2], groups[:2]).isnan().all()


def test_threshold_is_the_quantile_of_classes_with_several_groups():
    """21 distances 0 to 2 of class 0 have the quantile 1.9; class 1 is a single image, class 2 a single group."""
    distances = torch.cat([torch.arange(21) / 10, torch.tensor([9.0, 9, 9])])
    labels, groups = torch.tensor([0] * 21 + [1, 2, 2]), torch.tensor([*range(22), 30, 30])
    assert unlike_threshold(distances, labels, groups) == pytest.approx(1.9)
    assert unlike_threshold(distances[21:], labels[21:], groups[21:]) is None
