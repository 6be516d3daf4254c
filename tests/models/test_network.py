"""Networks: precision, heads, memory format, initialisation, frozen encoders."""

import pytest
import torch

from daso.engine.environment import choose_precision
from daso.errors import CheckpointError, DasoError
from daso.models.network import Network, initialise, initialise_classifier
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


def output_dtypes(network, images):
    """Return the dtypes of the outputs of convolutions and batch norms, and the network's output."""
    dtypes = {"Conv2d": set(), "BatchNorm2d": set()}
    hooks = [
        module.register_forward_hook(lambda m, args, out: dtypes[type(m).__name__].add(out.dtype))
        for module in network.modules()
        if type(module).__name__ in dtypes
    ]
    out = network(images)
    for hook in hooks:
        hook.remove()
    return dtypes, out


@EACH
def test_only_the_encoder_computes_in_bf16(encoder):
    """bf16 has a precision of 8 bits, so features agree to about 2^-8 times a few layers; later computation is fp32."""
    images = torch.randn(16, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    full, half = pair(encoder)
    dtypes, out = output_dtypes(half, images)
    assert dtypes == {"Conv2d": {torch.bfloat16}, "BatchNorm2d": {torch.bfloat16}}
    assert {out.features.dtype, out.logits.dtype, out.heads["rotation"].dtype} == {torch.float32}
    assert not torch.equal(out.features, out.features.bfloat16().float())  # pooled in fp32
    dtypes, reference = output_dtypes(full, images)
    assert dtypes == {"Conv2d": {torch.float32}, "BatchNorm2d": {torch.float32}}
    error = (out.features - reference.features).norm() / reference.features.norm()
    assert 1e-4 < error < 3e-2
    assert torch.equal(out.logits, half.classifier(out.features))
    (out.logits.logsumexp(1).sum() + out.heads["rotation"].sum()).backward()
    assert {weight.grad.dtype for weight in half.parameters()} == {torch.float32}
    assert {tensor.dtype for tensor in half.state_dict().values()} == {torch.float32, torch.int64}


def test_head_of_two_layers():
    """(1, -2) + (0, 1) = (1, -1); ReLU gives (1, 0); the output layer, without ReLU, gives -1 + 0 + .5 = -.5."""
    network = Network(SmallConvNet(channels=[2], strides=[1]), 10, {"projection": (2, 1), "rotation": 4})
    head = network.heads["projection"]
    with torch.no_grad():
        for layer, weight, bias in ((head[0], torch.eye(2), [0.0, 1]), (head[2], torch.tensor([[-1.0, 1]]), [0.5])):
            layer.weight.copy_(weight)
            layer.bias.copy_(torch.tensor(bias))
    assert head(torch.tensor([[1.0, -2]])).tolist() == [[-0.5]]
    assert network.heads["rotation"].weight.shape == (4, 2)


def test_wide_resnets_are_channels_last_in_memory():
    network = Network(WideResNet(depth=10, width=1), 10, {})
    weight = network.encoder.blocks[0].conv1.weight
    assert weight.shape == (16, 16, 3, 3)
    assert weight.stride() == (144, 1, 48, 16)  # 3 x 3 pixels of 16 channels each
    strides = []
    network.encoder.stem.register_forward_pre_hook(lambda module, args: strides.append(args[0].stride()))
    network(torch.zeros(2, 3, 8, 8))
    assert strides == [(192, 1, 24, 3)]


def test_initialisation_does_not_depend_on_the_memory_format():
    one, other = (Network(WideResNet(depth=10, width=1), 10, {}) for _ in range(2))
    other.to(memory_format=torch.contiguous_format)
    assert one.encoder.stem.weight.stride() != other.encoder.stem.weight.stride()
    for network in (one, other):
        initialise(network, 3)
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    assert all(torch.equal(*weights) for weights in pairs)


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16"), ({"avx512_bf16": False, "avx2": True}, "fp32")],
)
def test_auto_precision_is_bf16_if_the_processor_supports_it(capabilities, expected, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    cpu = torch.device("cpu")
    assert choose_precision("auto", cpu) == expected
    assert choose_precision("fp32", cpu) == "fp32"
    assert choose_precision("bf16", cpu) == "bf16"
    with pytest.raises(DasoError, match="unknown precision 'bf61'; choose one of auto, fp32, bf16"):
        choose_precision("bf61", cpu)


def small(seed, channels=(4, 6)):
    network = Network(SmallConvNet(channels=channels, strides=(1, 2)), 3, {})
    initialise(network, seed)
    return network


def test_loading_a_frozen_encoder_keeps_the_classifier_and_its_training():
    upstream, network = small(0), small(1)
    before = network.classifier.weight.clone()
    network.freeze_encoder(upstream.state_dict(), "frozen")
    pairs = zip(network.encoder.parameters(), upstream.encoder.parameters(), strict=True)
    assert all(torch.equal(*weights) for weights in pairs)
    assert torch.equal(network.classifier.weight, before)
    trainable = [name for name, weight in network.named_parameters() if weight.requires_grad]
    assert trainable == ["classifier.weight", "classifier.bias"]


@pytest.mark.parametrize(("statistics", "frozen"), [("frozen", True), ("batch", False)])
def test_training_forward_changes_a_frozen_encoder_in_its_statistics_at_most(statistics, frozen):
    """This holds also after an evaluation, when the network returns to training mode."""
    network = small(0)
    network.freeze_encoder(small(1).state_dict(), statistics)
    network.eval()
    network.train()
    before = {name: part.clone() for name, part in network.encoder.state_dict().items()}
    images = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    logits = network(images).logits
    logits.sum().backward()
    assert all(torch.equal(before[name], part) for name, part in network.encoder.state_dict().items()) == frozen
    assert all(weight.grad is None for weight in network.encoder.parameters())
    network.eval()
    assert torch.equal(network(images).logits, logits) == frozen


@pytest.mark.parametrize("training", [True, False])
def test_statistics_are_frozen_at_once(training):
    """No call of `train` or `eval` is needed; the rest of the network stays in its mode."""
    network = small(0)
    network.train(training)
    network.freeze_encoder(small(1).state_dict(), "frozen")
    assert not any(module.training for module in network.encoder.modules())
    assert network.training == network.classifier.training == training


def test_encoder_of_another_architecture_is_refused():
    with pytest.raises(CheckpointError, match="from a different network"):
        small(0).freeze_encoder(small(0, channels=(4, 8)).state_dict(), "frozen")


def test_classifier_starts_as_named():
    """With 6 features nn.Linear draws weights and biases uniformly within 1 / sqrt(6) = .408."""
    networks = {kind: small(0) for kind in ("xavier_normal", "zeros", "torch")}
    before = networks["torch"].classifier.weight.clone()
    for kind, network in networks.items():
        encoder = network.encoder.layers[0].weight.clone()
        initialise_classifier(network.classifier, 0, kind)
        assert torch.equal(network.encoder.layers[0].weight, encoder)
    assert torch.equal(networks["xavier_normal"].classifier.weight, before)
    assert not any(parameter.any() for parameter in networks["zeros"].classifier.parameters())
    drawn = torch.cat([parameter.flatten() for parameter in networks["torch"].classifier.parameters()])
    assert 0.3 < drawn.abs().max() <= 6**-0.5
    assert not torch.equal(networks["torch"].classifier.weight, before)
    again, other = small(0), small(0)
    initialise_classifier(again.classifier, 0, "torch")
    initialise_classifier(other.classifier, 1, "torch")
    assert torch.equal(again.classifier.weight, networks["torch"].classifier.weight)
    assert not torch.equal(other.classifier.weight, again.classifier.weight)
