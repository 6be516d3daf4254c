import pytest
import torch

from daso.ops.schedules import learning_rate, ramp, teacher_decay


def test_supervised_learning_rate():
    """Warm-up 0.1 t / 6250, then a hundredth at 199,999 and another at 225,000."""
    rate = learning_rate(250_000, lr=0.1, warmup=6250, milestones=[199_999, 225_000], factor=0.01)
    expected = {0: 0, 1: 1.6e-5, 3125: 0.05, 6250: 0.1, 199_998: 0.1, 199_999: 1e-3, 224_999: 1e-3, 225_000: 1e-5}
    for t, value in expected.items():
        assert rate[t].item() == pytest.approx(value, rel=1e-6), t


def test_constant_learning_rate():
    rate = learning_rate(1000, lr=0.03, warmup=0, milestones=[], factor=1.0)
    assert torch.equal(rate, torch.full((1000,), 0.03))


def test_teacher_decay():
    decay = teacher_decay(2000, 0.999)
    expected = {0: 0, 1: 0.5, 2: 2 / 3, 9: 0.9, 99: 0.99, 998: 998 / 999, 999: 0.999, 1500: 0.999}
    for t, value in expected.items():
        assert decay[t].item() == pytest.approx(value, abs=1e-6), t


def test_ramps():
    """Over 40 % of 250,000 steps: half-way at 50,000, exp(-5) = .006738 at the start of the exponential one."""
    linear, exponential = (ramp(250_000, 0.4 * 250_000, shape) for shape in ("linear", "exponential"))
    assert [linear[t].item() for t in (0, 50_000, 100_000, 249_999)] == pytest.approx([0, 0.5, 1, 1])
    assert [exponential[t].item() for t in (0, 50_000, 100_000)] == pytest.approx([0.006738, 0.286505, 1], abs=1e-6)
    assert ramp(250_000, 0.016 * 250_000, "linear")[2000].item() == pytest.approx(0.5)
