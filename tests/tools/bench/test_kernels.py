import pytest

from daso.planning.synthetic import trainer
from tests.configs import CPU, DASO, config
from tools.bench.kernels import Kernel, idle, profiled_kernels
from tools.bench.roofline import flops

ONE = {"name": "small_convnet", "channels": [8], "strides": [1]}


def test_flops_of_one_layer_by_hand():
    """80 images of 16 x 16; 8 outputs of 3 x 3 x 3 products each, two operations per product. Backward, the first layer
    needs only the gradient of its weights, which costs the same. The classifier, 8 to 4, has two products backward. One
    product counts pseudo-labels of 32 images: 4 true classes and an unknown one by 3 kinds of 4 classes."""
    images, convolution, classifier = 80, 2 * 16 * 16 * 8 * 27, 2 * 8 * 4
    run = trainer(config(network=ONE), CPU, "eager")
    assert flops(run) == 2 * images * convolution + 3 * images * classifier + 2 * 5 * 32 * 3 * 4
    assert run.t == 1


def test_kernels_of_two_steps_are_in_order_and_twice_those_of_one():
    run = trainer(config(DASO), CPU, "eager")
    run.advance(1)
    convolutions = [kernel for kernel in profiled_kernels(run, 2) if kernel.name == "aten::convolution"]
    assert run.t == 3
    assert len(convolutions) == 2 * len([k for k in profiled_kernels(run, 1) if k.name == "aten::convolution"]) > 0
    assert all(kernel.start < kernel.end for kernel in convolutions)


def test_idle_time_by_hand():
    """From 0 to 10, the intervals 0 to 4, 6 to 9 and 9.5 to 10 are covered: 7.5 of 10, in any order and overlapping."""
    times = [(6.0, 9.0), (0.0, 4.0), (2.0, 3.0), (8.5, 9.0), (9.5, 10.0)]
    assert idle([Kernel("k", *time) for time in times]) == pytest.approx(0.25)
    assert idle([Kernel("k", 0.0, 1.0), Kernel("k", 1.0, 2.0)]) == 0.0
