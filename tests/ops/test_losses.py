import math

import pytest
import torch

from daso.ops.losses import cross_entropy, masked_mean, soft_cross_entropy


def test_cross_entropy():
    """-log(e^3 / (e + e^2 + e^3)) = log(1 + e^-1 + e^-2) = .407606."""
    logits = torch.tensor([[1.0, 2.0, 3.0]])
    assert cross_entropy(logits, torch.tensor([2])).item() == pytest.approx(0.407606, abs=1e-6)


def test_soft_cross_entropy_of_a_corner_is_cross_entropy():
    logits = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
    probs = torch.tensor([[0.0, 0.0, 1.0], [0.5, 0.25, 0.25]])
    assert soft_cross_entropy(logits, probs).tolist() == pytest.approx([0.407606, math.log(3)], abs=1e-6)


def test_masked_mean_divides_by_all_images():
    """(1 + 3) / 4, not / 2."""
    losses, mask = torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([True, False, True, False])
    assert masked_mean(losses, mask).item() == 1.0
