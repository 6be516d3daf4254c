import pytest
import torch

from daso.ops.schedules import at, learning_rate, teacher_decay


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


def test_at_reads_the_last_entry_beyond_the_end():
    table = torch.tensor([1.0, 2.0])
    assert [at(table, torch.tensor(t)).item() for t in (0, 1, 7)] == [1, 2, 2]
