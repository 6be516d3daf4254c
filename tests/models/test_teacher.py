import copy

import pytest
import torch

from daso.models.network import Network
from daso.models.small_convnet import SmallConvNet
from daso.models.teacher import MovingAverage, prepare_teacher
from daso.models.wide_resnet import WideResNet


def network() -> Network:
    return Network(SmallConvNet(channels=[4, 8], strides=[1, 2]), 3, {})


def test_first_step_copies_then_averages():
    """A decay of 0 copies the student; .5 then gives the mean of the copy and the changed student."""
    student, teacher = network(), network()
    student(torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0)))  # changes the BN statistics
    MovingAverage(teacher, student).update(torch.tensor(0.0))
    for average, value in zip(teacher.state_dict().values(), student.state_dict().values(), strict=True):
        if average.is_floating_point():
            assert torch.equal(average, value)
    with torch.no_grad():
        student.classifier.bias += 2
        student.encoder.layers[1].running_mean += 4
    before = copy.deepcopy(teacher.state_dict())
    MovingAverage(teacher, student).update(torch.tensor(0.5))
    assert (teacher.classifier.bias - before["classifier.bias"]).tolist() == pytest.approx([1.0] * 3)
    change = teacher.encoder.layers[1].running_mean - before["encoder.layers.1.running_mean"]
    assert change.tolist() == pytest.approx([2.0] * 4, abs=1e-6)


@pytest.mark.parametrize(("bn", "changed"), [("authors", True), ("pure_average", False)])
def test_training_forwards_of_the_teacher_change_statistics_with_authors_bn_only(bn, changed):
    teacher = network()
    prepare_teacher(teacher, bn)
    teacher(torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0)))
    assert bool(teacher.encoder.layers[1].running_mean.any()) is changed
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_statistics_of_a_pure_average_follow_the_students_with_any_norm_momentum():
    """The student's mean moves to .001 * 2 in a step, and with decay .5 the teacher's to half of it.

    The teacher's own forward, on other images, adds nothing.
    """
    student, teacher = (Network(WideResNet(depth=10, width=1, norm_momentum=0.001), 3, {}) for _ in range(2))
    prepare_teacher(teacher, "pure_average")
    pixels = torch.tensor([1.0, 3.0])[:, None, None, None].expand(2, 64, 1, 1)
    student.encoder.norm(pixels)
    teacher.encoder.norm(100 * pixels)
    MovingAverage(teacher, student).update(torch.tensor(0.5))
    assert student.encoder.norm.running_mean.tolist() == pytest.approx([0.002] * 64, rel=1e-6)
    assert teacher.encoder.norm.running_mean.tolist() == pytest.approx([0.001] * 64, rel=1e-6)


def test_pure_average_still_normalises_by_the_batch():
    images = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    teacher, other = network(), network()
    other.load_state_dict(teacher.state_dict())
    prepare_teacher(teacher, "pure_average")
    assert torch.equal(teacher(images).logits, other(images).logits)


def test_three_steps_with_a_high_decay():
    """From 0 towards 1 with decay .999: 1 - .999^3 = .002997001."""
    student, teacher = network(), network()
    with torch.no_grad():
        student.classifier.bias.fill_(1)
        teacher.classifier.bias.zero_()
    for _ in range(3):
        MovingAverage(teacher, student).update(torch.tensor(0.999))
    assert teacher.classifier.bias.tolist() == pytest.approx([0.002997001] * 3, abs=1e-7)
