"""Modules that a short run on a CPU does not compare."""

import re
import sys
from pathlib import Path

import torch

from daso.config.code import RESULT_NEUTRAL
from daso.config.keys import Keys
from daso.config.registry import ADDONS, LEARNERS, NETWORKS
from daso.config.signature import module_file
from daso.engine.compiled import Compiled
from daso.workspace.revalidate import UNCOMPARED
from tests.engine.fakes import fakes  # noqa: F401 - a fixture
from tests.engine.world import trainer
from tests.repository import PARAMS, ROOT

PACKAGE = f"{ROOT / 'daso'}/"
BY_DEVICE = re.compile(
    r"device\.type (==|!=|not in)|\[[\w.]*device\.type\]|use_deterministic_algorithms\(|^ *torch\.backends\.\S+ = ",
    re.MULTILINE,
)


def functions(call):
    """Return the functions of the package that a call executes, as (module, name)."""
    codes = set()

    def enter(frame, event, argument):
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            codes.add(frame.f_code)

    sys.setprofile(enter)
    try:
        call()
    finally:
        sys.setprofile(None)
    return {(module_of(code.co_filename), code.co_qualname.partition(".<locals>")[0]) for code in codes}


def module_of(file):
    return ".".join(Path(file).relative_to(ROOT).with_suffix("").parts)


def test_uncompared_modules_are_listed(fakes, tmp_path):  # noqa: F811
    """They have functions that only graphs or compilation execute, branches by device, or settings of CUDA."""

    def train(run):
        run.advance(3)
        run.evaluate()
        run.save(tmp_path / "state.pt")
        run.runner.close()

    def compiled():
        run = trainer()
        run.runner.mode, run.runner.compiled = "compiled", Compiled(run.models, run.learner, backend="eager")
        train(run)

    eager = functions(lambda: train(trainer()))
    other = functions(compiled) | functions(lambda: train(fakes.on_cuda(trainer())))
    torch._dynamo.reset()
    in_checkpoint = (
        "daso.engine.trainer",
        "Trainer.written_tensors",
    )  # tensors that a short run compares in the checkpoint
    not_eager = {name for name, _ in other - eager - {in_checkpoint}} - RESULT_NEUTRAL
    specs = (*LEARNERS.values(), *ADDONS.values(), *NETWORKS.values())
    settings = {
        name for name in Keys(PARAMS).modules("train", specs) if BY_DEVICE.search(module_file(name).read_text())
    } - RESULT_NEUTRAL
    assert not_eager | settings == set(UNCOMPARED), sorted(other - eager)
