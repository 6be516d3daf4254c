"""Pretrained encoders of the library timm (Wightman 2019), which is imported only when one is built."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from daso.constraints import Interval
from daso.errors import DataError, ParamsError, did_you_mean
from daso.models.network import Encoder, Preprocessing
from daso.models.weights import load_weights, read_weights
from daso.schema import PositiveInt

# SHA-256 of files whose tensors have other names than timm's, but the same order and shapes.
BY_POSITION = frozenset({"579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"})


class TimmEncoder(Encoder):
    """Encoder of timm with pretrained weights: (n, 3, S, S) -> (n, D).

    `weights` is a file, `package` for an installed package that holds the model's weights, or `timm` for timm's cache
    and, if they are missing there, its hub. `sha256` is the file's SHA-256. Images are resized to `image_size` pixels
    and normalised as the configuration of the weights states. With `train: head` the encoder is frozen: it runs once
    over all images, and runs train on its features, with a trainable linear layer of `neck` outputs before the heads if
    given, and with a `linear` or `cosine` classifier. With `train: all` all layers are trained, and it is linear.
    """

    layout = torch.channels_last
    normalisation = None  # known only from the configuration of the weights

    def __init__(
        self,
        *,
        model: str,
        weights: str,
        sha256: str,
        image_size: Annotated[int, Interval(ge=32, le=1024)],
        train: Literal["head", "all"],
        neck: PositiveInt | None = None,
        head: Literal["linear", "cosine"] = "linear",
    ) -> None:
        super().__init__()
        if len(sha256) != 64 or any(digit not in "0123456789abcdef" for digit in sha256):
            raise ParamsError(f"network 'timm': sha256: expected 64 digits of 0-9 and a-f, got '{sha256}'")
        if neck is not None and train != "head":
            raise ParamsError("network 'timm': neck: not allowed with train: all, which trains the features; remove it")
        if head == "cosine" and train != "head":
            raise ParamsError(
                "network 'timm': head: cosine: not allowed with train: all; remove it, or set train: head"
            )
        self.weights_url = f"https://huggingface.co/timm/{model}"
        self.model = _create(model, image_size)
        configuration = self.model.pretrained_cfg
        self.preprocessing = Preprocessing(
            tuple(configuration["mean"]), tuple(configuration["std"]), configuration["interpolation"]
        )
        self.license = str(configuration.get("license") or "unknown")
        self.feature_dim = int(getattr(self.model, "head_hidden_size", None) or self.model.num_features)

    def forward(self, images: Tensor) -> Tensor:
        """Compute features: (n, 3, S, S) -> (n, D)."""
        features: Tensor = self.model(images)
        return features

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


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from timm.models import load_state_dict

    try:
        return dict(load_state_dict(str(path)))
    except Exception as error:  # the package safetensors has types of its own
        reason = str(error).strip().partition("\n")[0]
        raise DataError(f"{path}: not a readable file of weights ({reason}); download it again") from error
