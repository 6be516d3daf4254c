import pytest

from daso.planning.synthetic import trainer
from tests.configs import CPU, DASO, config
from tools.bench import breakdown
from tools.bench.breakdown import BACKWARD, FORWARD, PRODUCTS, REST, gaps, term_of

ONE = {"name": "small_convnet", "channels": [8], "strides": [1]}


def test_flops_of_one_layer_by_hand():
    """80 images of 16 x 16; 8 outputs of 3 x 3 x 3 products each, two operations per product. Backward, the first layer
    needs only the gradient of its weights, which costs the same. The classifier, 8 to 4, has two products backward. One
    product counts pseudo-labels of 32 images: 4 true classes and an unknown one by 3 kinds of 4 classes."""
    images, convolution, classifier = 80, 2 * 16 * 16 * 8 * 27, 2 * 8 * 4
    run = trainer(config(network=ONE), CPU, "eager")
    assert breakdown.flops(run) == {
        FORWARD: images * convolution,
        BACKWARD: images * convolution,
        PRODUCTS: images * classifier + 2 * images * classifier + 2 * 5 * 32 * 3 * 4,
    }
    assert run.t == 1


def test_daso_adds_a_forward_pass_of_the_labeled_images():
    runs = (trainer(config(*addons, network=ONE), CPU, "eager") for addons in ((), (DASO,)))
    plain, with_daso = map(breakdown.flops, runs)
    assert with_daso[FORWARD] - plain[FORWARD] == 16 * 2 * 16 * 16 * 8 * 27
    assert with_daso[BACKWARD] == plain[BACKWARD]


def test_terms_are_sorted_by_time_and_contain_all_flops():
    run = trainer(config(DASO), CPU, "eager")
    parts = breakdown.terms(run, 2)
    assert run.t == 3
    assert [part.seconds for part in parts] == sorted((part.seconds for part in parts), reverse=True)
    assert {part.name for part in parts if part.flops} == {FORWARD, BACKWARD, PRODUCTS}
    assert {"batch norm", "LeakyReLU", "optimiser and teacher", REST} <= {part.name for part in parts}


@pytest.mark.parametrize(
    ("operator", "term"),
    [
        ("aten::convolution_backward", BACKWARD),
        ("aten::mkldnn_convolution", FORWARD),
        ("aten::cudnn_convolution", FORWARD),
        ("aten::cudnn_batch_norm", "batch norm"),
        ("aten::native_batch_norm_backward", "batch norm"),
        ("aten::leaky_relu_backward", "LeakyReLU"),
        ("aten::addmm", PRODUCTS),
        ("aten::_foreach_mul_", "optimiser and teacher"),
        ("aten::_fused_sgd_", "optimiser and teacher"),
        ("aten::add_", "sums, copies and casts"),
        ("aten::index_select", REST),
        ("aten::addcmul", REST),
    ],
)
def test_operators_are_assigned_to_terms(operator, term):
    assert term_of(operator) == term


def test_gaps_are_the_time_without_kernels():
    """From 0 to 10, the intervals 0 to 4, 6 to 9 and 9.5 to 10 are covered: 7.5 of 10, in any order and overlapping."""
    assert gaps([(6.0, 9.0), (0.0, 4.0), (2.0, 3.0), (8.5, 9.0), (9.5, 10.0)]) == pytest.approx(0.25)
    assert gaps([(0.0, 1.0), (1.0, 2.0)]) == 0.0
