import copy

import pytest
import torch

from daso.models.network import Network
from daso.models.small_convnet import SmallConvNet
from daso.models.teacher import MovingAverage, prepare_teacher


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
