import copy

import pytest
import torch

from daso.models.network import Network
from daso.models.small_convnet import SmallConvNet
from daso.models.teacher import follow, prepare


def network() -> Network:
    return Network(SmallConvNet(channels=[4, 8], strides=[1, 2]), 3, {})


def test_first_step_copies_then_averages():
    """d = 0 copies; d = .5 then lies half-way between the copy and the changed student."""
    student, teacher = network(), network()
    student(torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0)))  # moves the BN statistics
    follow(teacher, student, torch.tensor(0.0))
    for mine, theirs in zip(teacher.state_dict().values(), student.state_dict().values(), strict=True):
        if mine.is_floating_point():
            assert torch.equal(mine, theirs)
    with torch.no_grad():
        student.classifier.bias += 2
        student.encoder.layers[1].running_mean += 4
    before = copy.deepcopy(teacher.state_dict())
    follow(teacher, student, torch.tensor(0.5))
    assert (teacher.classifier.bias - before["classifier.bias"]).tolist() == pytest.approx([1.0] * 3)
    moved = teacher.encoder.layers[1].running_mean - before["encoder.layers.1.running_mean"]
    assert moved.tolist() == pytest.approx([2.0] * 4, abs=1e-6)


@pytest.mark.parametrize(("bn", "moves"), [("authors", True), ("pure_average", False)])
def test_what_a_training_forward_of_the_teacher_does_to_its_statistics(bn, moves):
    teacher = network()
    prepare(teacher, bn)
    teacher(torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0)))
    assert bool(teacher.encoder.layers[1].running_mean.any()) is moves
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_pure_average_still_normalises_by_the_batch():
    images = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    teacher, other = network(), network()
    other.load_state_dict(teacher.state_dict())
    prepare(teacher, "pure_average")
    assert torch.equal(teacher(images).logits, other(images).logits)


def test_three_steps_of_a_slow_average():
    """From 0 towards 1 with decay .999: 1 - .999^3 = .002997001."""
    student, teacher = network(), network()
    with torch.no_grad():
        student.classifier.bias.fill_(1)
        teacher.classifier.bias.zero_()
    for _ in range(3):
        follow(teacher, student, torch.tensor(0.999))
    assert teacher.classifier.bias.tolist() == pytest.approx([0.002997001] * 3, abs=1e-7)
