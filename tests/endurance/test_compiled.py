"""Compiled steps under Inductor on the CPU, each compared with an eager step from an equal state."""

import shutil

import pytest
import torch

from tests.test_methods import trainer
from tools.gpu.single_steps import CLOSE, differences

pytestmark = [
    pytest.mark.endurance,  # compiles for a minute and more
    pytest.mark.skipif(not shutil.which("g++"), reason="Inductor needs a C++ compiler: install g++"),
]


@pytest.mark.parametrize("method", ["fixmatch_daso", "remixmatch"])
def test_a_compiled_step_is_close_to_an_eager_one(method):
    torch._dynamo.reset()
    eager, run = trainer(method, mode="eager"), trainer(method, mode="compiled")
    found = differences(eager, run, (0, 1, 3, 5))
    assert run.mode == "compiled"
    assert found["gradients"] > 0  # the arithmetic is another one
    assert all(found[name] <= most for name, most in CLOSE.items()), found
