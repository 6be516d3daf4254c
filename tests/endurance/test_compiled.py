"""Steps compiled by Inductor for the CPU, each compared with an eager step from an equal state."""

import shutil

import pytest
import torch

from tests.test_methods import trainer
from tools.gpu.single_steps import CLOSE, differences

pytestmark = [
    pytest.mark.endurance,  # compilation takes more than a minute
    pytest.mark.skipif(not shutil.which("g++"), reason="Inductor needs a C++ compiler: install g++"),
]


@pytest.mark.parametrize("method", ["fixmatch_daso", "remixmatch"])
def test_compiled_step_is_close_to_eager_step(method):
    torch._dynamo.reset()
    eager, run = trainer(method, mode="eager"), trainer(method, mode="compiled")
    largest = differences(eager, run, (0, 1, 3, 5))
    assert run.mode == "compiled"
    assert largest["gradients"] > 0  # otherwise the step was not compiled
    assert all(largest[name] <= limit for name, limit in CLOSE.items()), largest
