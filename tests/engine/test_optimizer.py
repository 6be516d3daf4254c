import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from daso.engine.optimizer import SGD, Adam, AdamW, head_factors, layer_factors, make_optimizer

OPTIONS = {"momentum": 0.9, "nesterov": True, "weight_decay": 0.05}
ADAMW = {"betas": [0.8, 0.95], "eps": 1e-6, "weight_decay": 0.05}
STATE = {"momentum": "momentum_buffer", "exp_avg": "exp_avg", "exp_avg_sq": "exp_avg_sq", "updates": "step"}


@pytest.mark.parametrize(
    ("optimizer", "reference", "options"),
    [
        (SGD, torch.optim.SGD, OPTIONS),
        (SGD, torch.optim.SGD, {"momentum": 0.0, "nesterov": False, "weight_decay": 0.0}),
        (AdamW, torch.optim.AdamW, ADAMW),
        (Adam, torch.optim.Adam, ADAMW),
        (Adam, torch.optim.Adam, {"betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.0}),
        (AdamW, torch.optim.AdamW, {"betas": [0.0, 0.999], "eps": 1e-8, "weight_decay": 0.0}),
    ],
)
def test_equals_torch_optim_bit_for_bit(optimizer, reference, options):
    generator = torch.Generator().manual_seed(0)
    start = {name: torch.randn(3, 4, generator=generator) for name in ("used", "unused")}
    ours, theirs = ({name: nn.Parameter(value.clone()) for name, value in start.items()} for _ in range(2))
    rate = torch.tensor(0.1)
    one = optimizer(ours, rate, **options)
    other = reference(theirs.values(), lr=rate, fused=True, **options)
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
    expected = other.state[theirs["used"]]
    for kind, tensors in one.state.items() if options.get("momentum", 1) else ():
        assert torch.equal(tensors["used"], expected[STATE[kind]]), kind


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


def test_first_update_of_adamw_moves_each_weight_by_the_rate():
    """m = .2 g and v = .05 g^2 are divided by 1 - .8 and 1 - .95, so a step is -rate g / |g| after the decay."""
    weight = nn.Parameter(torch.tensor([[1.0, -2.0]]))
    optimizer = AdamW({"weight": weight}, torch.tensor(0.1), **ADAMW | {"eps": 1e-12})
    weight.grad = torch.tensor([[0.3, -7.0]])
    optimizer.step()
    assert weight.tolist() == [pytest.approx([0.995 - 0.1, -1.99 + 0.1], abs=1e-6)]
    assert float(optimizer.state["updates"]["weight"]) == 1


def test_first_update_of_adam_adds_the_weight_decay_to_the_gradient():
    """The gradients become .3 + .05 and -7 - .1: m = .2 g, v = .05 g^2, and each weight moves by the rate alone."""
    weight = nn.Parameter(torch.tensor([[1.0, -2.0]]))
    optimizer = Adam({"weight": weight}, torch.tensor(0.1), **ADAMW | {"eps": 1e-12})
    weight.grad = torch.tensor([[0.3, -7.0]])
    optimizer.step()
    assert weight.tolist() == [pytest.approx([1 - 0.1, -2 + 0.1], abs=1e-6)]
    assert optimizer.state["exp_avg"]["weight"].tolist() == [pytest.approx([0.07, -1.42], abs=1e-6)]
    assert optimizer.state["exp_avg_sq"]["weight"].tolist() == [pytest.approx([0.006125, 2.5205], abs=1e-6)]


def test_rates_of_layers_rise_to_the_heads():
    """Of three groups, the last one has 1/2, the middle one 1/4 and the first one 1/8 of the heads' rate."""
    groups = {"stem.weight": 0, "blocks.0.weight": 1, "blocks.0.bias": 1, "blocks.1.weight": 2}
    factors = {"encoder.stem.weight": 0.125, "encoder.blocks.0.weight": 0.25, "encoder.blocks.0.bias": 0.25}
    factors |= {"encoder.blocks.1.weight": 0.5}
    assert layer_factors(groups, 0.5) == factors
    weights = {name: nn.Parameter(torch.ones(1, 1)) for name in (*factors, "classifier.weight", "heads.x.weight")}
    options = {"lr": 0.1, "warmup": 0, "milestones": [], "factor": 1.0, "layer_decay": 0.5, "classifier_rate": 4}
    optimizer = make_optimizer(weights, torch.tensor(0.1), {**options, "algorithm": "adamw", **ADAMW}, groups)
    assert {name: factor for (factor, _), names in optimizer.groups.items() for name in names} == {
        **factors,
        "classifier.weight": 4,
        "heads.x.weight": 4,
    }
    for weight in weights.values():
        weight.grad = torch.ones(1, 1)
    optimizer.step()
    moved = [1 - float(weight.detach()) for weight in weights.values()]
    # A weight of 1 moves by its rate for the gradient, and by .05 of its rate for the decay.
    assert moved == pytest.approx([0.1 * 1.05 * each for each in (0.125, 0.25, 0.25, 0.5, 4, 4)], abs=1e-6)


def test_norms_and_biases_are_not_decayed_without_decay_biases():
    shapes = {"encoder.conv.weight": (2, 2, 1, 1), "encoder.norm.weight": (2,), "encoder.norm.bias": (2,)}
    weights = {name: nn.Parameter(torch.ones(shape)) for name, shape in shapes.items()}
    for optimizer in (
        AdamW(weights, torch.tensor(0.1), decay_biases=False, **ADAMW),
        Adam(weights, torch.tensor(0.1), decay_biases=False, **ADAMW),
        SGD(weights, torch.tensor(0.1), decay_biases=False, **OPTIONS),
    ):
        assert optimizer.groups == {
            (1, True): ["encoder.conv.weight"],
            (1, False): ["encoder.norm.weight", "encoder.norm.bias"],
        }


@pytest.mark.parametrize(
    ("optimizer", "reference", "options"), [(SGD, torch.optim.SGD, OPTIONS), (Adam, torch.optim.Adam, ADAMW)]
)
def test_biases_without_decay_equal_a_group_of_torch_optim_without_decay(optimizer, reference, options):
    generator = torch.Generator().manual_seed(0)
    names = ("classifier.weight", "classifier.bias", "heads.bias.weight")
    start = {name: torch.randn(3, 4, generator=generator) for name in names}
    ours, theirs = ({name: nn.Parameter(value.clone()) for name, value in start.items()} for _ in range(2))
    one = optimizer(ours, torch.tensor(0.1), decay_biases=False, **options)
    groups = [{"params": [theirs[names[0]], theirs[names[2]]]}, {"params": [theirs[names[1]]], "weight_decay": 0.0}]
    other = reference(groups, lr=torch.tensor(0.1), fused=True, **options)
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
