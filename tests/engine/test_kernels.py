"""Number of CUDA kernels that a step of the paper's network launches; small kernels dominate the time of a step."""

import pytest
import torch

from daso.engine.environment import choose_device
from daso.planning.synthetic import all_parts_active, trainer, with_changes
from tests.engine.kernels import Kernels
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
