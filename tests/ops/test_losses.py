import math

import pytest
import torch

from daso.ops.losses import cross_entropy, masked_mean, mutual_information, soft_cross_entropy


def test_cross_entropy():
    """-log(e^3 / (e + e^2 + e^3)) = log(1 + e^-1 + e^-2) = .407606."""
    logits = torch.tensor([[1.0, 2.0, 3.0]])
    assert cross_entropy(logits, torch.tensor([2])).item() == pytest.approx(0.407606, abs=1e-6)


def test_soft_cross_entropy_of_one_hot_is_cross_entropy():
    logits = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
    probs = torch.tensor([[0.0, 0.0, 1.0], [0.5, 0.25, 0.25]])
    assert soft_cross_entropy(logits, probs).tolist() == pytest.approx([0.407606, math.log(3)], abs=1e-6)


def test_masked_mean_divides_by_all_images():
    """(1 + 3) / 4, not / 2."""
    losses, mask = torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([True, False, True, False])
    assert masked_mean(losses, mask).item() == 1.0


@pytest.mark.parametrize(("scale", "expected"), [(1, 0.179208), (10, 0.693147), (0, 0.0)])
def test_mutual_information_with_itself(scale, expected):
    """Predictions for two images, logits (2, 0) and (0, 2) times a scale; log 2 if they are certain."""
    probs = (scale * torch.tensor([[2.0, 0], [0, 2]])).softmax(-1)
    assert mutual_information(probs, probs).item() == pytest.approx(expected, abs=1e-6)


def test_mutual_information_uses_the_symmetric_joint_distribution():
    """Joint (.255, .295; .095, .355), made symmetric (.255, .195; .195, .355), marginals (.45, .55)."""
    one, other = torch.tensor([[0.8, 0.2], [0.3, 0.7]]), torch.tensor([[0.6, 0.4], [0.1, 0.9]])
    assert mutual_information(one, other).item() == pytest.approx(0.022616, abs=1e-6)
    assert mutual_information(other, one).item() == pytest.approx(0.022616, abs=1e-6)


def test_mutual_information_with_a_class_of_probability_zero():
    """Zero probabilities add nothing to the value or the gradient."""
    logits = torch.tensor([[200.0, 0, -200], [0, 200, -200]], requires_grad=True)
    value = mutual_information(logits.softmax(-1), logits.softmax(-1))
    value.backward()
    assert value.item() == pytest.approx(math.log(2), abs=1e-6)
    assert torch.isfinite(logits.grad).all()
