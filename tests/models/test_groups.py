"""Groups of images in a forward pass, against a plain graph over the same groups, in float64."""

import copy

import pytest
import torch
from torch import nn

import tests.golden.trajectories as trajectories
from daso.config.build import build
from daso.engine.environment import choose_mode
from daso.errors import DasoError
from daso.models.groups import run_in_groups
from daso.models.network import Network, initialise
from daso.models.resnet import ResNet
from daso.models.small_convnet import SmallConvNet
from daso.planning.synthetic import random_data
from daso.records import Output
from tests.configs import CPU, DASO, SMALL, WIDE, config


def plain_forward(network, images, size):
    """Run the groups one after the other with a plain graph, and sort the features by image.

    With momentum 1, the running statistics are those of a group. Afterwards they are (1 - m) old + m sum_i w_i new_i
    with group i's share w_i of the images.
    """
    groups = -(-len(images) // size)
    features = images.new_empty(len(images), network.encoder.feature_dim)
    norms = [module for module in network.encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    kept = [buffer for norm in norms for buffer in (norm.running_mean, norm.running_var)]
    old, new = [buffer.clone() for buffer in kept], [torch.zeros_like(buffer) for buffer in kept]
    for norm in norms:
        norm.momentum = 1.0
    for first in range(groups):
        features[first::groups] = network.encoder(images[first::groups])
        for total, buffer in zip(new, kept, strict=True):
            total += len(images[first::groups]) / len(images) * buffer
    for number, norm in enumerate(norms):
        m = norm.momentum = momenta[number]
        for place in (2 * number, 2 * number + 1):
            kept[place].data.copy_((1 - m) * old[place] + m * new[place])
    return Output(
        features, network.classifier(features), {name: head(features) for name, head in network.heads.items()}
    )


class PlainNetwork(Network):
    """Network that runs its groups with a plain graph."""

    def forward(self, images):
        if not self.encoder.training:
            return super().forward(images)
        return plain_forward(self, images, self.images_per_group)


def assert_close(one, other):
    """Assert that all tensors of two dictionaries agree within 1e-12 of the largest value."""
    assert one.keys() == other.keys()
    for name in one:
        tensor, expected = one[name].detach().double(), other[name].detach().double()
        error = (tensor - expected).abs().max()
        assert error <= 1e-12 * max(1.0, float(expected.abs().max())), (name, float(error))


@pytest.mark.parametrize(
    ("encoder", "side"),
    [(lambda: SmallConvNet(channels=[4, 6], strides=[1, 2]), 8), (lambda: ResNet(depth=18), 40)],
    ids=["small_convnet", "resnet"],
)
@pytest.mark.parametrize(("count", "size"), [(12, 4), (14, 4), (3, 4)], ids=["equal", "uneven", "one"])
def test_groups_equal_a_plain_graph(encoder, side, count, size):
    """Features, logits, gradients and running statistics agree; these have been updated once for all groups."""
    with trajectories.float64():
        images = torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))
        networks = [Network(encoder(), 5, {"rotation": 4}, images_per_group=size) for _ in range(2)]
        initialise(networks[0], 0)
        networks[1].load_state_dict(networks[0].state_dict())
        outputs = [networks[0](images), plain_forward(networks[1], images, size)]
        for out in outputs:
            (out.logits.logsumexp(1).sum() + out.heads["rotation"].square().sum() + out.features.sum()).backward()
        assert_close(
            outputs[0]._asdict() | {"heads": outputs[0].heads["rotation"]},
            outputs[1]._asdict() | {"heads": outputs[1].heads["rotation"]},
        )
        grads = [{name: weight.grad for name, weight in network.named_parameters()} for network in networks]
        assert all(grad.dtype == torch.float64 for grad in grads[0].values())
        assert_close(*grads)
        assert_close(*(network.state_dict() for network in networks))


def encoder_of_first_channel(momentum):
    """Return an encoder of one layer, whose convolution returns the first channel, and its batch norm."""
    encoder = SmallConvNet(channels=[1], strides=[1])
    conv, norm, _ = encoder.layers
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[0, 0, 1, 1] = 1
    norm.momentum = momentum
    return encoder, norm


@pytest.mark.parametrize(
    ("momentum", "mean", "variance"), [(0.1, 0.34, 1.76), (1.0, 3.4, 8.6), (0.0, 0.0, 1.0), (None, 0.0, 1.0)]
)
@pytest.mark.parametrize("grad", [True, False], ids=["recomputed", "no_grad"])
def test_running_statistics_are_updated_once_with_the_mean_of_uneven_groups(momentum, mean, variance, grad):
    """Images of one pixel, 0, 2, 6, 6, 3, in groups of at most three: (0, 6, 3) and (2, 6).

    Their means are 3 and 4, their unbiased variances 9 and 8, their shares .6 and .4: the groups' means are 3.4 and
    8.6. With momentum .1, the running statistics are .9 x 0 + .1 x 3.4 and .9 x 1 + .1 x 8.6.
    """
    encoder, norm = encoder_of_first_channel(momentum)
    images = torch.tensor([0.0, 2, 6, 6, 3]).view(5, 1, 1, 1).expand(5, 3, 1, 1)
    with torch.set_grad_enabled(grad):
        features = run_in_groups(encoder, images, 3, encoder)
    assert (norm.running_mean.item(), norm.running_var.item()) == pytest.approx((mean, variance))
    assert [round(value, 3) for value in features.flatten().tolist()] == [-0.122, -0.1, 1.225, 1, 0]  # LeakyReLU
    if grad:
        features.square().sum().backward()
        assert encoder.layers[0].weight.grad is not None
    assert (norm.running_mean.item(), norm.running_var.item()) == pytest.approx((mean, variance))
    assert norm.momentum == momentum


def test_activations_of_one_group_are_kept_at_a_time():
    """Saved for the backward pass: 32 x 3 x 64 pixels, and the classifier's 32 x 6 features and 5 x 6 weights."""
    network, saved = Network(SmallConvNet(channels=[4, 6], strides=[1, 1]), 5, {}, images_per_group=4), []
    images = torch.randn(32, 3, 8, 8)

    def record(tensor):
        saved.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(record, lambda tensor: tensor):
        network(images)
        assert sum(saved) == 6144 + 192 + 30
        saved.clear()
        plain_forward(network, images, 4)
    assert sum(saved) > 9 * 6366


def test_evaluation_is_not_grouped():
    network = Network(SmallConvNet(channels=[4], strides=[1]), 5, {}, images_per_group=2).eval()
    sizes = []
    network.encoder.register_forward_pre_hook(lambda module, args: sizes.append(len(args[0])))
    network(torch.randn(7, 3, 8, 8))
    network.train()
    with torch.no_grad():  # as a teacher in training mode
        network(torch.randn(7, 3, 8, 8))
    assert sizes == [7, 2, 2, 2, 1]


@pytest.mark.parametrize("network", [SMALL, WIDE], ids=["small_convnet", "wide_resnet"])
@pytest.mark.parametrize("addons", [(), (DASO,)], ids=["fixmatch", "fixmatch_daso"])
def test_training_steps_equal_those_with_a_plain_graph(addons, network, monkeypatch):
    """Six steps of 16 labeled images and 2 x 32 views, 80 in 8 groups of 10; the teacher's 16 make 2 groups of 8."""
    options = config(*addons, network=network)
    options["protocol"]["images_per_group"] = 11
    with trajectories.float64():
        data = random_data(options, CPU, unlabeled=200, test=4)
        run = build(options, data, CPU)
        monkeypatch.setattr("daso.config.build.Network", PlainNetwork)
        reference = build(copy.deepcopy(options), data, CPU)
        assert type(run.models.student) is Network
        assert type(reference.models.student) is PlainNetwork
        for each in (run, reference):
            each.advance(6)
        assert_close(*(each.written_tensors() for each in (run, reference)))
        assert run.models.student.classifier.weight.dtype == torch.float64


def test_groups_in_bf16_have_gradients_of_all_weights():
    network = Network(SmallConvNet(channels=[4, 6], strides=[1, 2]), 5, {}, "bf16", images_per_group=4)
    images = torch.randn(12, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    reference = copy.deepcopy(network)
    network(images).logits.logsumexp(1).sum().backward()
    for part in range(3):
        reference.images_per_group = None
        (reference(images[part::3]).logits.logsumexp(1).sum()).backward()
    for weight, other in zip(network.parameters(), reference.parameters(), strict=True):
        assert torch.allclose(weight.grad, other.grad, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("mode", ["compiled", "compiled_graph"])
def test_compiled_modes_are_refused(mode):
    device = torch.device("cuda") if "graph" in mode else CPU
    assert choose_mode(mode, device) == mode
    with pytest.raises(DasoError, match=f"mode '{mode}' is not allowed with images_per_group in the protocol; choose"):
        choose_mode(mode, device, grouped=True)
    options = config()
    options["protocol"]["images_per_group"] = 11
    with pytest.raises(DasoError, match="not allowed with images_per_group"):
        build(options, random_data(options, CPU, unlabeled=50, test=4), CPU, mode="compiled")
