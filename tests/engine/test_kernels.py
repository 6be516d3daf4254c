"""Number of CUDA kernels that a step of the paper's network launches; small kernels dominate the time of a step."""

import pytest
import torch

from daso.engine.environment import choose_device
from daso.ops.rows import write_rows
from daso.planning.synthetic import all_parts_active, trainer, with_changes
from tests.engine.kernels import SORTED, Kernels
from tests.test_methods import KEYS, Run


def kernels_of_step(method: str, precision: str) -> Kernels:
    """Return the kernels of the fourth step, in which all parts of the method are active and all sums exist.

    The number of kernels does not depend on the image size, so the images are small.
    """
    config = KEYS.resolved(Run("cifar10-lt", "n1500-m3000-l100-u100", "paper", method, 0))
    small = with_changes(all_parts_active(config, precision), {"protocol.batch_size": 2, "dataset.image_size": 8})
    run = trainer(small, choose_device("cpu"), "eager")
    run.advance(3)
    chunk = next(run.loader.chunks(3, 4))
    run.learner.set_phase(3)
    with Kernels() as kernels:
        run.training_step(run.loader.batch(chunk, torch.zeros(1, dtype=torch.long)))
    return kernels


@pytest.fixture
def deterministic():
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def test_kernels_are_counted_by_operation(deterministic):
    """By hand: 1 for a sum, 0 for a view, 13 for a sorted write, 3 for a convolution with its backward."""
    x, index = torch.zeros(4, 3), torch.tensor([1, 2])
    image, weight = torch.zeros(1, 2, 4, 4, requires_grad=True), torch.zeros(2, 2, 3, 3, requires_grad=True)
    with Kernels() as kernels:
        _ = (x.T + 1).sum()
        x.index_copy_(0, index, torch.ones(2, 3))
        write_rows(x, index, torch.ones(2, 3))
        torch.conv2d(image, weight).backward(torch.ones(1, 2, 2, 2))
    counts = kernels.counts
    assert (counts["add"], counts["sum"], counts["t"]) == (1, 1, 0)
    assert counts["index_copy_"] == SORTED + 1
    assert counts["convolution"] + counts["convolution_backward"] == 3


def test_kernels_of_a_step_of_fixmatch_and_daso():
    kernels = kernels_of_step("fixmatch_daso", "bf16")
    assert sum(kernels.counts.values()) <= 710
    assert kernels.counts["index_copy_"] == 1  # the queue's rows, unsorted
    assert not kernels.counts.keys() & {"index_add", "index_add_", "index_put_", "scatter"}
    assert kernels.counts["_foreach_copy_"] == 3 * 2  # weights of both networks to bf16, gradients back


@pytest.mark.parametrize("method", ["simmatch", "fixmatch_darp", "fixmatch_abc_daso"])
def test_no_step_sorts_to_write_rows(method):
    kernels = kernels_of_step(method, "fp32")
    assert not kernels.counts.keys() & {"index_add", "index_add_", "index_put_", "scatter"}
    assert kernels.counts["index_copy_"] <= 3
