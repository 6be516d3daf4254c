import pytest
import torch

from daso.errors import CheckpointError
from daso.models.frozen import hold_statistics, take_encoder
from daso.models.network import Network, initialise
from daso.models.small_convnet import SmallConvNet


def network(seed, channels=(4, 6)):
    made = Network(SmallConvNet(channels=channels, strides=(1, 2)), 3, {})
    initialise(made, seed)
    return made


def snapshot(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def test_the_encoder_is_taken_and_the_classifier_stays_new():
    base, fresh = network(0), network(1)
    before = fresh.classifier.weight.clone()
    take_encoder(fresh, base.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(fresh.encoder.parameters(), base.encoder.parameters(), strict=True))
    assert torch.equal(fresh.classifier.weight, before)
    assert [name for name, weight in fresh.named_parameters() if weight.requires_grad] == [
        "classifier.weight",
        "classifier.bias",
    ]


@pytest.mark.parametrize(("bn", "still"), [("eval", True), ("train", False)])
def test_what_a_training_forward_leaves_behind(bn, still):
    made = network(0)
    take_encoder(made, network(1).state_dict())
    made.train()
    hold_statistics(made, bn)
    before = snapshot(made.encoder)
    made(torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))).logits.sum().backward()
    after = made.encoder.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before) == still
    assert all(weight.grad is None for weight in made.encoder.parameters())


def test_another_architecture_is_refused():
    with pytest.raises(CheckpointError, match="of another network"):
        take_encoder(network(0), network(0, channels=(4, 8)).state_dict())
