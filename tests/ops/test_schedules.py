import pytest
import torch

from daso.ops.schedules import learning_rate, ramp, teacher_decay


def test_learning_rate_warms_up_and_falls_at_milestones():
    """Warm-up 0.1 t / 6250, then a factor of 1/100 at 199,999 and again at 225,000."""
    rate = learning_rate(250_000, lr=0.1, warmup=6250, milestones=[199_999, 225_000], factor=0.01)
    expected = {0: 0, 1: 1.6e-5, 3125: 0.05, 6250: 0.1, 199_998: 0.1, 199_999: 1e-3, 224_999: 1e-3, 225_000: 1e-5}
    for t, value in expected.items():
        assert rate[t].item() == pytest.approx(value, rel=1e-6), t


def test_learning_rate_without_milestones_is_constant():
    rate = learning_rate(1000, lr=0.03, warmup=0, milestones=[], factor=1.0)
    assert torch.equal(rate, torch.full((1000,), 0.03))


def test_cosine_learning_rate_falls_to_the_cosine_of_seven_sixteenths_of_pi():
    """.03 cos(7 pi / 32) = .03 * .7730105 after half of 2^20 steps, .03 cos(7 pi / 16) = .03 * .1950903 at the end."""
    rate = learning_rate(2**20, lr=0.03, warmup=0, milestones=[], factor=1.0, anneal="cosine")
    assert [rate[t].item() for t in (0, 2**19)] == pytest.approx([0.03, 0.02319031], abs=1e-8)
    assert rate[-1].item() == pytest.approx(0.00585271, abs=1e-7)  # the last step
    assert (rate.diff() <= 0).all()


def test_half_cosine_learning_rate_after_warm_up():
    """400 steps, warm-up 5: at step 202, 197 of the other 395 have elapsed, .03 (1 + cos(pi 197 / 395)) / 2."""
    rate = learning_rate(400, lr=0.03, warmup=5, milestones=[], factor=1.0, anneal="half_cosine")
    expected = {0: 0, 1: 0.006, 5: 0.03, 100: 0.02591818, 202: 0.01505965, 300: 0.00449937, 399: 4.7e-7}
    for t, value in expected.items():
        assert rate[t].item() == pytest.approx(value, abs=2e-8), t
    slow = learning_rate(400_000, lr=0.03, warmup=5000, milestones=[], factor=1.0, anneal="half_cosine")
    assert slow[100].item() == pytest.approx(6e-4)  # 100 of 5,000 steps of the warm-up


def test_warm_up_alone_and_milestone_on_a_cosine():
    """First a run that only warms up; then a rate that drops at half of the steps to .1 cos(7 pi / 32) / 10."""
    assert learning_rate(4, lr=0.4, warmup=4, milestones=[], factor=1.0, anneal="cosine").tolist() == pytest.approx(
        [0, 0.1, 0.2, 0.3]
    )
    rate = learning_rate(8, lr=0.1, warmup=0, milestones=[4], factor=0.1, anneal="cosine")
    assert rate[4].item() == pytest.approx(0.007730105)


def test_teacher_decay_is_one_minus_one_over_t_up_to_its_maximum():
    decay = teacher_decay(2000, 0.999)
    expected = {0: 0, 1: 0.5, 2: 2 / 3, 9: 0.9, 99: 0.99, 998: 998 / 999, 999: 0.999, 1500: 0.999}
    for t, value in expected.items():
        assert decay[t].item() == pytest.approx(value, abs=1e-6), t


def test_ramp_is_linear_or_exponential():
    """Over 40 % of 250,000 steps: linear .5 at 50,000, exponential exp(-5) = .006738 at the start."""
    linear, exponential = (ramp(250_000, 0.4 * 250_000, shape) for shape in ("linear", "exponential"))
    assert [linear[t].item() for t in (0, 50_000, 100_000, 249_999)] == pytest.approx([0, 0.5, 1, 1])
    assert [exponential[t].item() for t in (0, 50_000, 100_000)] == pytest.approx([0.006738, 0.286505, 1], abs=1e-6)
    assert ramp(250_000, 0.016 * 250_000, "linear")[2000].item() == pytest.approx(0.5)


@pytest.mark.parametrize("epoch", [20, 116])
def test_staircase_warm_up_rises_once_in_an_epoch(epoch):
    """Base .04 over five epochs: .008, .016, .024, .032, .04; .04 up to epoch 29, .004 up to 59, .0004 up to 89."""
    milestones = [30 * epoch, 60 * epoch]
    rate = learning_rate(90 * epoch, lr=0.04, warmup=5 * epoch, staircase=epoch, milestones=milestones, factor=0.1)
    expected = [0.008, 0.016, 0.024, 0.032, 0.04, *[0.04] * 25, *[0.004] * 30, *[0.0004] * 30]
    for number, value in enumerate(expected):
        steps = rate[number * epoch : (number + 1) * epoch]
        assert steps.tolist() == pytest.approx([value] * epoch, rel=1e-6), number
