import pytest
import torch
from torch import nn

from daso.config.registry import NETWORKS
from daso.config.signature import option_errors
from daso.engine.optimizer import SGD
from daso.errors import ParamsError
from daso.models.network import Network, initialise
from daso.models.wide_resnet import Block, WideResNet


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameter_counts_of_encoder_and_heads():
    encoder = WideResNet(depth=28, width=2)
    assert parameters(encoder) == 1_466_320
    assert parameters(Network(encoder, 10, {})) == 1_467_610
    assert parameters(Network(encoder, 100, {})) == 1_479_220
    assert parameters(Network(encoder, 10, {"balanced": 10})) == 1_467_610 + 1290
    assert parameters(Network(encoder, 10, {"rotation": 4})) == 1_467_610 + 516


def test_wide_resnet_28_has_28_convolutions():
    modules = list(WideResNet(depth=28, width=2).modules())
    assert sum(isinstance(m, nn.Conv2d) for m in modules) == 28
    norms = [m for m in modules if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 25
    assert {(m.momentum, m.eps) for m in norms} == {(0.1, 1e-5)}


@pytest.mark.parametrize(
    ("options", "mean", "variance"), [({}, 0.2, 1.1), ({"norm_momentum": 0.001}, 0.002, 1.001)], ids=["default", ".001"]
)
def test_norm_momentum_is_the_share_of_the_batch_in_the_running_statistics(options, mean, variance):
    """From mean 0 and variance 1, two images of 1 and 3 have the mean 2 and the unbiased variance 2."""
    encoder = WideResNet(depth=10, width=1, **options)
    momenta = {module.momentum for module in encoder.modules() if isinstance(module, nn.BatchNorm2d)}
    assert momenta == {options.get("norm_momentum", 0.1)}
    encoder.norm(torch.tensor([1.0, 3.0])[:, None, None, None].expand(2, 64, 1, 1))
    assert encoder.norm.running_mean.tolist() == pytest.approx([mean] * 64, rel=1e-6)
    assert encoder.norm.running_var.tolist() == pytest.approx([variance] * 64, rel=1e-6)


@pytest.mark.parametrize("momentum", [0.0, 1.5])
def test_norm_momentum_is_a_positive_share(momentum):
    given = {"depth": 10, "width": 1, "norm_momentum": momentum}
    (line,) = option_errors(NETWORKS["wide_resnet"], given)
    assert line.startswith(f"norm_momentum: {momentum} is ")
    assert not list(option_errors(NETWORKS["wide_resnet"], given | {"norm_momentum": 1.0}))


def test_only_convolutions_and_classifier_are_decayed_without_decay_biases():
    """As in the code of Wei and Gan 2023: 28 convolutions and the classifier, but neither 25 norms nor its bias.

    With zero gradients, a weight of 1 moves by rate times 1.9 times decay (Nesterov .9), .03 * 1.9 * .5 = .0285.
    """
    weights = dict(Network(WideResNet(depth=28, width=2), 10, {}).named_parameters())
    options = {"momentum": 0.9, "nesterov": True, "weight_decay": 0.5, "decay_biases": False}
    optimizer = SGD(weights, torch.tensor(0.03), **options)
    for weight in weights.values():
        weight.data.fill_(1)
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    values = {name: weight.unique().tolist() for name, weight in weights.items()}
    decayed = {name for name, value in values.items() if value == [pytest.approx(0.9715, abs=1e-6)]}
    assert (len(decayed), len(weights)) == (29, 29 + 2 * 25 + 1)
    assert all("conv" in name or "shortcut" in name or "stem" in name for name in decayed - {"classifier.weight"})
    assert all(value == [1.0] for name, value in values.items() if name not in decayed)


def test_output_shapes_strides_and_activated_shortcuts():
    encoder = WideResNet(depth=28, width=2)
    assert [block.activate_shortcut for block in encoder.blocks] == [True] + [False] * 11
    assert [block.conv1.stride[0] for block in encoder.blocks] == [1] * 4 + [2] + [1] * 3 + [2] + [1] * 3
    out = Network(encoder, 10, {})(torch.zeros(2, 3, 32, 32))
    assert (out.features.shape, out.logits.shape) == ((2, 128), (2, 10))


def test_initialisation_is_a_function_of_the_seed():
    """Kaiming-normal, fan-out, gain sqrt(2): std = sqrt(2 / (9 * 128)) for the last convolution."""
    one, two, other = (Network(WideResNet(depth=28, width=2), 10, {}) for _ in range(3))
    for network, seed in ((one, 0), (two, 0), (other, 1)):
        initialise(network, seed)
    assert torch.equal(one.encoder.stem.weight, two.encoder.stem.weight)
    assert not torch.equal(one.encoder.stem.weight, other.encoder.stem.weight)
    assert one.encoder.blocks[-1].conv2.weight.std().item() == pytest.approx((2 / 1152) ** 0.5, rel=0.01)
    assert one.classifier.weight.std().item() == pytest.approx((2 / 138) ** 0.5, rel=0.1)
    assert not one.classifier.bias.any()


def test_impossible_depth_is_refused():
    with pytest.raises(ParamsError, match="depth: expected 6 n"):
        WideResNet(depth=27, width=2)


@pytest.mark.parametrize("activate_shortcut", [True, False])
def test_shortcut_reads_the_input_before_or_after_its_activation(activate_shortcut):
    """One pixel of -1. norm1 and norm2 are the identity (eval mode, but for eps), and LeakyReLU maps -1 to -.1. The
    centre weights of the convolutions are 2 and 3, the weight of the shortcut is 5: 3 * lrelu(2 * -.1) = 3 * -.02 =
    -.06, plus 5 * -.1 or 5 * -1."""
    block = Block(1, 2, 1, activate_shortcut=activate_shortcut).eval()
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.zero_()
        for norm in (block.norm1, block.norm2):
            norm.weight.fill_(1)
            norm.running_var.fill_(1 - norm.eps)
        block.conv1.weight[:, 0, 1, 1] = 2
        block.conv2.weight[0, 0, 1, 1] = 3
        block.shortcut.weight.fill_(5)
    out = block(torch.full((1, 1, 1, 1), -1.0)).flatten().tolist()
    shortcut = -0.5 if activate_shortcut else -5.0
    assert out == pytest.approx([-0.06 + shortcut, shortcut], abs=1e-6)
