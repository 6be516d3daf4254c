"""Which parts of a network compute in which format."""

import pytest
import torch

from daso.engine.environment import choose_precision
from daso.errors import CheckpointError, DasoError
from daso.models.network import Network, initialise
from daso.models.small_convnet import SmallConvNet
from daso.models.wide_resnet import WideResNet

ENCODERS = {
    "wide_resnet": lambda: WideResNet(depth=10, width=1),
    "small_convnet": lambda: SmallConvNet(channels=[8, 16], strides=[1, 2]),
}
EACH = pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS.keys())


def pair(encoder):
    networks = [Network(encoder(), 10, {"rotation": 4}, precision) for precision in ("fp32", "bf16")]
    for network in networks:
        initialise(network, 0)
    return networks


def formats(network, images):
    """The formats in which convolutions and batch norms give their results."""
    found = {"Conv2d": set(), "BatchNorm2d": set()}
    hooks = [
        module.register_forward_hook(lambda m, args, out: found[type(m).__name__].add(out.dtype))
        for module in network.modules()
        if type(module).__name__ in found
    ]
    out = network(images)
    for hook in hooks:
        hook.remove()
    return found, out


@EACH
def test_bf16_is_the_encoders_alone(encoder):
    """bf16 keeps 8 bits of a number: features agree to some 2^-8 times a few layers; what follows them is fp32."""
    images = torch.randn(16, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    full, half = pair(encoder)
    found, out = formats(half, images)
    assert found == {"Conv2d": {torch.bfloat16}, "BatchNorm2d": {torch.bfloat16}}
    assert {out.features.dtype, out.logits.dtype, out.heads["rotation"].dtype} == {torch.float32}
    assert not torch.equal(out.features, out.features.bfloat16().float())  # pooled in fp32
    found, reference = formats(full, images)
    assert found == {"Conv2d": {torch.float32}, "BatchNorm2d": {torch.float32}}
    error = (out.features - reference.features).norm() / reference.features.norm()
    assert 1e-4 < error < 3e-2
    assert torch.equal(out.logits, half.classifier(out.features))
    (out.logits.logsumexp(1).sum() + out.heads["rotation"].sum()).backward()
    assert {weight.grad.dtype for weight in half.parameters()} == {torch.float32}
    assert {tensor.dtype for tensor in half.state_dict().values()} == {torch.float32, torch.int64}


def test_a_head_of_two_layers():
    """(1, -2) -> (1, -2) + (0, 1) -> (1, 0), as ReLU lets nothing below zero through -> -1 + 0 + .5, and this it is."""
    network = Network(SmallConvNet(channels=[2], strides=[1]), 10, {"projection": (2, 1), "rotation": 4})
    head = network.heads["projection"]
    with torch.no_grad():
        for layer, weight, bias in ((head[0], torch.eye(2), [0.0, 1]), (head[2], torch.tensor([[-1.0, 1]]), [0.5])):
            layer.weight.copy_(weight)
            layer.bias.copy_(torch.tensor(bias))
    assert head(torch.tensor([[1.0, -2]])).tolist() == [[-0.5]]
    assert network.heads["rotation"].weight.shape == (4, 2)


def test_wide_resnets_lie_channels_last():
    network = Network(WideResNet(depth=10, width=1), 10, {})
    weight = network.encoder.blocks[0].conv1.weight
    assert weight.shape == (16, 16, 3, 3)
    assert weight.stride() == (144, 1, 48, 16)  # 3 x 3 places of 16 channels each
    seen = []
    network.encoder.stem.register_forward_pre_hook(lambda module, args: seen.append(args[0].stride()))
    network(torch.zeros(2, 3, 8, 8))
    assert seen == [(192, 1, 24, 3)]


def test_first_weights_do_not_depend_on_how_they_lie():
    one, other = (Network(WideResNet(depth=10, width=1), 10, {}) for _ in range(2))
    other.to(memory_format=torch.contiguous_format)
    assert one.encoder.stem.weight.stride() != other.encoder.stem.weight.stride()
    for network in (one, other):
        initialise(network, 3)
    weights = zip(one.parameters(), other.parameters(), strict=True)
    assert all(torch.equal(mine, theirs) for mine, theirs in weights)


@pytest.mark.parametrize(
    ("able", "expected"),
    [({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16"), ({"avx512_bf16": False, "avx2": True}, "fp32")],
)
def test_auto_is_bf16_where_the_processor_has_it(able, expected, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    cpu = torch.device("cpu")
    assert choose_precision("auto", cpu) == expected
    assert choose_precision("fp32", cpu) == "fp32"
    assert choose_precision("bf16", cpu) == "bf16"
    with pytest.raises(DasoError, match="precision 'bf61': choose one of auto, fp32, bf16"):
        choose_precision("bf61", cpu)


def small(seed, channels=(4, 6)):
    network = Network(SmallConvNet(channels=channels, strides=(1, 2)), 3, {})
    initialise(network, seed)
    return network


def test_an_encoder_is_taken_and_the_classifier_stays_new():
    base, fresh = small(0), small(1)
    before = fresh.classifier.weight.clone()
    fresh.keep_encoder(base.state_dict(), "kept")
    assert all(torch.equal(a, b) for a, b in zip(fresh.encoder.parameters(), base.encoder.parameters(), strict=True))
    assert torch.equal(fresh.classifier.weight, before)
    learning = [name for name, weight in fresh.named_parameters() if weight.requires_grad]
    assert learning == ["classifier.weight", "classifier.bias"]


@pytest.mark.parametrize(("statistics", "still"), [("kept", True), ("batch", False)])
def test_what_a_training_forward_leaves_in_a_kept_encoder(statistics, still):
    """Also after an evaluation, from which the network is sent back to training."""
    network = small(0)
    network.keep_encoder(small(1).state_dict(), statistics)
    network.eval()
    network.train()
    before = {name: part.clone() for name, part in network.encoder.state_dict().items()}
    images = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    answers = network(images).logits
    answers.sum().backward()
    assert all(torch.equal(before[name], part) for name, part in network.encoder.state_dict().items()) == still
    assert all(weight.grad is None for weight in network.encoder.parameters())
    network.eval()
    assert torch.equal(network(images).logits, answers) == still


@pytest.mark.parametrize("training", [True, False])
def test_a_kept_encoder_is_still_at_once(training):
    """Not only from the next evaluation on; the rest of the network is in the mode in which it was."""
    network = small(0)
    network.train(training)
    network.keep_encoder(small(1).state_dict(), "kept")
    assert not any(module.training for module in network.encoder.modules())
    assert network.training == network.classifier.training == training


def test_the_encoder_of_another_architecture_is_refused():
    with pytest.raises(CheckpointError, match="of another network"):
        small(0).keep_encoder(small(0, channels=(4, 8)).state_dict(), "kept")
