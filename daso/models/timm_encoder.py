"""Pretrained encoders of the library timm (Wightman 2019), which is imported only when one is built."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from daso.constraints import Interval
from daso.errors import DataError, ParamsError, did_you_mean
from daso.models.adapter import adapted_features, make_adapters
from daso.models.network import Encoder, Preprocessing
from daso.models.weights import load_weights, read_weights
from daso.schema import PositiveInt, TrainedLayers

# SHA-256 of files whose tensors have other names than timm's, but the same order and shapes.
BY_POSITION = frozenset({"579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"})


class TimmEncoder(Encoder):
    """Encoder of timm with pretrained weights: (n, 3, S, S) -> (n, D).

    `weights` is a file, the id of a finished run, `package` for an installed package that holds the model's weights, or
    `timm` for timm's cache and, if they are missing there, its hub. `sha256` is the file's SHA-256. Images are resized
    to `image_size` pixels and normalised as the configuration of the weights states. With `train: head` the encoder is
    frozen: it runs once over all images, and runs train on its features, with a trainable linear layer of `neck`
    outputs before the heads if given. Otherwise runs train on images: `all` trains all layers, `last:<n>` the last n
    groups of layers as timm defines them, `norm` the weights of the normalisation layers, with fixed running
    statistics, and `adapter` a small adapter in each block of a vision transformer. All else is frozen. With `head` and
    `adapter` the classifier is `linear` or `cosine`, else linear.
    """

    layered = True
    layout = torch.channels_last
    normalisation = None  # known only from the configuration of the weights

    def __init__(
        self,
        *,
        model: str,
        weights: str,
        sha256: str,
        image_size: Annotated[int, Interval(ge=32, le=1024)],
        train: TrainedLayers,
        neck: PositiveInt | None = None,
        head: Literal["linear", "cosine"] = "linear",
    ) -> None:
        super().__init__()
        if len(sha256) != 64 or any(digit not in "0123456789abcdef" for digit in sha256):
            raise ParamsError(f"network 'timm': sha256: expected 64 digits of 0-9 and a-f, got '{sha256}'")
        if neck is not None and train != "head":
            raise ParamsError(
                f"network 'timm': neck: not allowed with train: {train}, which trains the features; remove it"
            )
        if head == "cosine" and train not in ("head", "adapter"):
            raise ParamsError(
                f"network 'timm': head: cosine: not allowed with train: {train}; remove it, or set train: head"
            )
        self.weights_url = f"https://huggingface.co/timm/{model}"
        self.model = _create(model, image_size)
        configuration = self.model.pretrained_cfg
        self.preprocessing = Preprocessing(
            tuple(configuration["mean"]), tuple(configuration["std"]), configuration["interpolation"]
        )
        self.frozen = frozenset(f"model.{name}" for name in _frozen(self.model, model, train))
        self.license = str(configuration.get("license") or "unknown")
        self.feature_dim = int(getattr(self.model, "head_hidden_size", None) or self.model.num_features)
        self.train_adapters, self.adapters = train == "adapter", nn.ModuleList()

    @property
    def layer_groups(self) -> dict[str, int]:
        """See the base class."""
        return {f"model.{name}": group for name, group in _layer_groups(self.model).items()}

    def forward(self, images: Tensor) -> Tensor:
        """Compute features: (n, 3, S, S) -> (n, D)."""
        if self.adapters:
            return adapted_features(self.model, self.adapters, images)
        features: Tensor = self.model(images)
        return features

    def add_adapters(self, num_classes: int, seed: int) -> None:
        """See the base class."""
        if self.train_adapters:
            self.adapters = make_adapters(self.model, num_classes, seed)

    def load_pretrained(self, weights: Path) -> None:
        """Load weights by name without the classifier, by position only from the files of BY_POSITION.

        Raises DataError if they are of another network.
        """
        state = _read_safetensors(weights) if weights.suffix == ".safetensors" else read_weights(weights)
        if hashlib.sha256(weights.read_bytes()).hexdigest() in BY_POSITION:
            state = dict(zip(self.model.state_dict(), state.values(), strict=False))  # the classifier comes last
        classifier = self.model.pretrained_cfg.get("classifier") or ()
        names = (classifier,) if isinstance(classifier, str) else tuple(classifier)
        load_weights(self.model, weights, tuple(f"{name}." for name in names), state)
        self.pretrained = True


def _create(model: str, image_size: int) -> Any:
    """Return a model of timm with random weights and without classifier.

    Raises ParamsError if timm is missing, the model is unknown or it expects images of another size.
    """
    try:
        import timm
    except ImportError as error:
        raise ParamsError("network 'timm': missing package timm; run `pip install '.[photos]'`") from error
    if not timm.is_model(model):
        raise ParamsError(f"network 'timm': unknown model '{model}'{did_you_mean(model, timm.list_models())}")
    network: Any = timm.create_model(model, num_classes=0)
    size = network.pretrained_cfg["input_size"][-1]
    if network.pretrained_cfg.get("fixed_input_size") and image_size != size:
        raise ParamsError(
            f"network 'timm': '{model}' expects images of {size} pixels, got image_size: {image_size}; set it to {size}"
        )
    return network


def _layer_groups(network: Any) -> dict[str, int]:
    """Return the group of layers of each weight and buffer by name, as timm defines them."""
    from timm.models._manipulate import group_with_matcher

    groups: dict[str, int] = group_with_matcher(
        network.state_dict().items(), network.group_matcher(coarse=True), reverse=True
    )
    return groups


def _frozen(network: Any, model: str, train: str) -> set[str]:
    """Return the names of the weights and buffers of a model of timm that training leaves unchanged.

    Raises ParamsError if the model has fewer groups of layers than `train` names, no normalisation layers, or no blocks
    for adapters.
    """
    if train in ("head", "all"):
        return set()
    groups = _layer_groups(network)
    if train == "adapter":
        trained = set[str]()
        if not _has_transformer_blocks(network):
            raise ParamsError(
                f"network 'timm': train: adapter: '{model}' has no blocks of timm's class Block; choose a vision "
                "transformer that has, or set train: all"
            )
    elif train == "norm":
        trained = _normalisation_weights(network)
        if not trained:
            raise ParamsError(f"network 'timm': train: norm: '{model}' has no normalisation layers; set train: all")
    else:
        number, last = max(groups.values()) + 1, int(train.removeprefix("last:"))
        if last > number:
            raise ParamsError(
                f"network 'timm': train: {train}: '{model}' has {number} groups of layers; set last:{number} or less"
            )
        trained = {name for name, group in groups.items() if group >= number - last}
    return groups.keys() - trained


def _has_transformer_blocks(network: nn.Module) -> bool:
    from timm.models.vision_transformer import Block, VisionTransformer

    return type(network) is VisionTransformer and all(type(block) is Block for block in network.blocks)


def _normalisation_weights(network: nn.Module) -> set[str]:
    """Return the names of the weights of normalisation layers, whose classes in torch and timm are named so."""
    return {
        f"{prefix}.{name}"
        for prefix, module in network.named_modules()
        if "Norm" in type(module).__name__
        for name, _ in module.named_parameters(recurse=False)
    }


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from timm.models import load_state_dict

    try:
        return dict(load_state_dict(str(path)))
    except Exception as error:  # the package safetensors has types of its own
        reason = str(error).strip().partition("\n")[0]
        raise DataError(f"{path}: not a readable file of weights ({reason}); download it again") from error
