"""ResNet of torchvision: parameters, features, pretrained weights from a file. All weights here are random."""

import hashlib
import logging

import pytest
import torch
from torch import nn
from torchvision.models import resnet18, resnet34

from daso.config.network import pretrained_weights
from daso.data.weights import Weights
from daso.errors import DataError, ParamsError
from daso.models.network import Network, initialise
from daso.models.norm import BatchNorm2d
from daso.models.resnet import ResNet

URL = "https://download.pytorch.org/models/resnet34-b627a593.pth"


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameter_counts_of_encoder_and_network():
    """ResNet-34 of torchvision has 21,797,672 parameters, 513 x 1000 of them in its classifier of 1,000 classes.

    21,797,672 - 513,000 = 21,284,672; with 200 classes 513 x 200 = 102,600 more.
    """
    with torch.device("meta"):
        encoder = ResNet(depth=34)
        assert parameters(encoder) == 21_284_672
        assert parameters(Network(encoder, 200, {})) == 21_387_272
        assert [ResNet(depth=depth).feature_dim for depth in (18, 34, 50)] == [512, 512, 2048]
    assert {type(module) for module in encoder.modules() if isinstance(module, nn.BatchNorm2d)} == {BatchNorm2d}


def random_file(path, depth=18):
    """Write torchvision's random weights to a file as torchvision does; return its digest and the network."""
    network = {18: resnet18, 34: resnet34}[depth]()
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if "running" in name:
                tensor.uniform_(0.5, 1.5)
    torch.save(network.state_dict(), path)
    return hashlib.sha256(path.read_bytes()).hexdigest(), network


def test_features_equal_torchvision_with_weights_from_a_file(tmp_path, caplog):
    """ResNet-18 has 20 convolutions of one tensor and 20 batch norms of four besides their counters: 20 + 80 = 100.

    Features in evaluation mode are those that torchvision's classifier gets.
    """
    _, network = random_file(tmp_path / "random.pth")
    encoder = ResNet(depth=18)
    with caplog.at_level(logging.INFO):
        encoder.load_pretrained(tmp_path / "random.pth")
    assert "100 of 100 tensors loaded" in caplog.text
    network.fc = nn.Identity()
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(encoder.eval()(images), network.eval()(images), atol=1e-5)


def test_initialise_keeps_pretrained_weights(tmp_path):
    random_file(tmp_path / "random.pth")
    network = Network(ResNet(depth=18), 5, {"balanced": 5})
    network.encoder.load_pretrained(tmp_path / "random.pth")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    initialise(network, 0)
    after = network.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"classifier.weight", "classifier.bias", "heads.balanced.weight", "heads.balanced.bias"}


def test_normalisation_and_file_are_known_without_the_network(tmp_path):
    options = {"name": "resnet", "depth": 34, "weights": "data/weights/resnet34-b627a593.pth", "sha256": "b627a593"}
    weights = pretrained_weights(options)
    assert (str(weights.path), weights.sha256, weights.url) == (options["weights"], "b627a593", URL)
    assert pretrained_weights({"name": "resnet", "depth": 34}) is None
    assert pretrained_weights({"name": "wide_resnet", "depth": 28, "width": 2}) is None


def test_digest_is_pinned_at_first_use(tmp_path):
    """A second file with the same first digits cannot be made here, so the pinned digest is changed instead."""
    path = tmp_path / "random.pth"
    digest, _ = random_file(path)
    weights = Weights(path, digest[:8], URL)
    assert weights.verify() == digest
    pin = tmp_path / "random.pth.sha256"
    assert pin.read_text() == f"{digest}  random.pth\n"
    assert weights.verify() == digest
    pin.write_text(f"{'0' * 64}  random.pth\n")
    with pytest.raises(DataError, match=f"expected SHA-256 {'0' * 64} as in .*random.pth.sha256, got {digest}"):
        weights.verify()


def one_line(error):
    return "\n" not in str(error.value)


def test_unusable_files_are_refused(tmp_path):
    path = tmp_path / "resnet34-b627a593.pth"
    weights = Weights(path, "b627a593", URL)
    with pytest.raises(DataError, match=f"resnet34-b627a593.pth: missing; download it from {URL}") as error:
        weights.verify()
    assert one_line(error)
    path.write_bytes(b"\n<!DOCTYPE html><title>404</title>")
    with pytest.raises(DataError, match="a web page instead of weights; download the file itself from https") as error:
        weights.verify()
    assert one_line(error)
    digest, _ = random_file(path)
    with pytest.raises(DataError, match=f"expected SHA-256 b627a593, got {digest}; .* or correct sha256") as error:
        weights.verify()
    assert one_line(error)
    assert not (tmp_path / "resnet34-b627a593.pth.sha256").exists()
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"not a readable file of weights \(RuntimeError\); download it again") as error:
        ResNet(depth=18).load_pretrained(path)
    assert one_line(error)
    torch.save(ResNet, path)  # code instead of tensors: torch's own text recommends to run it
    with pytest.raises(DataError, match=r"not a readable file of weights \(UnpicklingError\); download it again"):
        ResNet(depth=18).load_pretrained(path)
    torch.save([torch.zeros(1)], path)
    with pytest.raises(DataError, match="not a state dict of tensors"):
        ResNet(depth=18).load_pretrained(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda state: state.pop("layer2.0.conv1.weight"),
            "99 of 100 tensors match, and 'layer2.0.conv1.weight' is missing",
        ),
        (
            lambda state: state.update({"conv1.weight": torch.zeros(64, 3, 3, 3)}),
            "99 of 100 .* 'conv1.weight' is of an",
        ),
        (
            lambda state: state.update({"head.weight": torch.zeros(1)}),
            "100 of 100 tensors match, and 'head.weight' is unkn",
        ),
    ],
)
def test_weights_of_another_network_are_refused(tmp_path, change, message):
    state = resnet18().state_dict()
    change(state)
    torch.save(state, tmp_path / "random.pth")
    with pytest.raises(DataError, match=f"random.pth: not weights of this network: {message}") as error:
        ResNet(depth=18).load_pretrained(tmp_path / "random.pth")
    assert one_line(error)


def test_weights_of_another_depth_are_refused(tmp_path):
    random_file(tmp_path / "random.pth", depth=34)
    with pytest.raises(DataError, match="100 of 100 tensors match, and 'layer1.2.conv1.weight' is unknown"):
        ResNet(depth=18).load_pretrained(tmp_path / "random.pth")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": "a.pth"}, "expected weights and sha256 together"),
        ({"sha256": "b627a593"}, "expected weights and sha256 together"),
        (
            {"weights": "a.pth", "sha256": "B627"},
            "expected 8 to 64 digits of 0-9 and a-f, got 'B627'; copy those that sha256sum prints",
        ),
    ],
)
def test_invalid_options_are_refused(options, message):
    with pytest.raises(ParamsError, match=message), torch.device("meta"):
        ResNet(depth=18, **options)
