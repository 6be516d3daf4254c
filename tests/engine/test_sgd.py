import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from daso.engine.sgd import SGD, head_factors

OPTIONS = {"momentum": 0.9, "nesterov": True, "weight_decay": 0.05}


@pytest.mark.parametrize("options", [OPTIONS, {"momentum": 0.0, "nesterov": False, "weight_decay": 0.0}])
def test_equals_torch_optim_bit_for_bit(options):
    generator = torch.Generator().manual_seed(0)
    start = {name: torch.randn(3, 4, generator=generator) for name in ("used", "unused")}
    ours, theirs = ({name: nn.Parameter(value.clone()) for name, value in start.items()} for _ in range(2))
    rate = torch.tensor(0.1)
    one = SGD(ours, rate, **options)
    other = torch.optim.SGD(theirs.values(), lr=rate, fused=True, **options)
    for step in range(3):
        rate.fill_(0.1 / (step + 1))
        gradient = torch.randn(3, 4, generator=generator)
        one.zero_grad()
        ours["used"].grad, theirs["used"].grad = gradient.clone(), gradient.clone()
        one.step()
        other.step()
    assert not torch.equal(ours["used"], start["used"])
    assert torch.equal(ours["used"], theirs["used"])
    assert torch.equal(ours["unused"], start["unused"])
    if options["momentum"]:
        assert torch.equal(one.momentum["used"], other.state[theirs["used"]]["momentum_buffer"])


def step_both(one, other, ours, theirs, generator):
    """Take a step of both optimizers with the same random gradients of all weights."""
    one.zero_grad()
    for name in ours:
        gradient = torch.randn(3, 4, generator=generator)
        ours[name].grad, theirs[name].grad = gradient.clone(), gradient.clone()
    one.step()
    other.step()


def test_groups_with_a_factor_equal_groups_of_torch_optim():
    """The longest prefix counts; a factor of 1/4 is exact, so the rates are equal bit for bit."""
    generator = torch.Generator().manual_seed(0)
    names = ("encoder.0.weight", "encoder.1.weight", "classifier.weight", "heads.rotation.weight")
    start = {name: torch.randn(3, 4, generator=generator) for name in names}
    ours, theirs = ({name: nn.Parameter(value.clone()) for name, value in start.items()} for _ in range(2))
    rate, rates = torch.tensor(0.1), [torch.tensor(value) for value in (0.1, 0.05, 0.4, 0.4)]
    one = SGD(ours, rate, {"encoder.1.": 0.5, "encoder.": 1, **head_factors(4)}, **OPTIONS)
    assert one.groups == {(1, True): [names[0]], (0.5, True): [names[1]], (4, True): [*names[2:]]}
    groups = [{"params": [theirs[name]], "lr": each} for name, each in zip(names, rates, strict=True)]
    other = torch.optim.SGD(groups, lr=0.1, fused=True, **OPTIONS)
    for _ in range(3):
        for each in (rate, *rates):
            each.div_(2)
        step_both(one, other, ours, theirs, generator)
    assert not any(torch.equal(ours[name], start[name]) for name in names)
    assert all(torch.equal(ours[name], theirs[name]) for name in names)


def test_biases_without_decay_equal_a_group_of_torch_optim_without_decay():
    generator = torch.Generator().manual_seed(0)
    names = ("classifier.weight", "classifier.bias", "heads.bias.weight")
    start = {name: torch.randn(3, 4, generator=generator) for name in names}
    ours, theirs = ({name: nn.Parameter(value.clone()) for name, value in start.items()} for _ in range(2))
    one = SGD(ours, torch.tensor(0.1), decay_biases=False, **OPTIONS)
    groups = [{"params": [theirs[names[0]], theirs[names[2]]]}, {"params": [theirs[names[1]]], "weight_decay": 0.0}]
    other = torch.optim.SGD(groups, lr=0.1, fused=True, **OPTIONS)
    for _ in range(3):
        step_both(one, other, ours, theirs, generator)
    assert all(torch.equal(ours[name], theirs[name]) for name in names)


def test_eager_training_does_not_import_the_compiler():
    """Its import takes as long as that of torch, and the workflow starts a process for each run."""
    code = """
import sys
from daso.engine.environment import choose_device
from tests.engine.world import trainer
choose_device("cpu")
run = trainer()
run.advance(2)
run.evaluate()
sys.exit("torch._dynamo" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0
