import pytest
import torch
from torch import nn

from daso.engine.sgd import SGD

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
