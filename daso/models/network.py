"""An encoder with a classifier and named heads."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import ClassVar, Literal, NamedTuple, Self

import torch
from torch import Tensor, nn

from daso.draw import stream_key
from daso.errors import CheckpointError
from daso.records import Output

Precision = Literal["fp32", "bf16"]
Head = int | tuple[int, ...]  # outputs of a linear layer, or widths of several with ReLU between them
ENCODER = "encoder."


class Encoder(nn.Module):
    """Images (n, 3, H, W) -> features (n, D); `layout` is how its images and weights lie in memory."""

    feature_dim: int
    layout: ClassVar[torch.memory_format] = torch.contiguous_format


class Network(nn.Module):
    """Encoder, linear classifier and further heads: images (n, 3, H, W) -> Output.

    With precision `bf16` the encoder computes under autocast; its weights, its features and all that follows are fp32.
    """

    def __init__(
        self, encoder: Encoder, num_classes: int, heads: Mapping[str, Head], precision: Precision = "fp32"
    ) -> None:
        super().__init__()
        self.encoder = encoder.to(memory_format=encoder.layout)
        self.precision: Precision = precision
        self.still = False  # whether the encoder's batch norms use and keep their running statistics in training too
        self.classifier = nn.Linear(encoder.feature_dim, num_classes)
        self.heads = nn.ModuleDict({name: _head(encoder.feature_dim, head) for name, head in heads.items()})

    def forward(self, images: Tensor) -> Output:
        """Features, logits and head outputs, all fp32."""
        images = images.contiguous(memory_format=self.encoder.layout)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            features = self.encoder(images)
        features = features.float()
        return Output(features, self.classifier(features), {name: head(features) for name, head in self.heads.items()})

    def keep_encoder(self, weights: Mapping[str, Tensor], statistics: Literal["kept", "batch"]) -> None:
        """Take the encoder of another network's state dict and train it no more; classifier and heads stay as they are.

        Its batch norms use and keep their running statistics (`kept`), or those of the batch, which they follow
        (`batch`). Raises CheckpointError when it is the encoder of another architecture.
        """
        encoder = {name.removeprefix(ENCODER): part for name, part in weights.items() if name.startswith(ENCODER)}
        try:
            self.encoder.load_state_dict(encoder)
        except RuntimeError as error:
            raise CheckpointError(f"the encoder to be kept is of another network: {error}") from error
        self.encoder.requires_grad_(False)
        self.still = statistics == "kept"  # fidelity: crt-statistics
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """As ever, but for an encoder that keeps still."""
        super().train(mode)
        self.encoder.train(mode and not self.still)
        return self


def _head(inputs: int, head: Head) -> nn.Module:
    """A linear layer for a number of outputs, a perceptron for a tuple of widths, the last of them its outputs."""
    if isinstance(head, int):
        return nn.Linear(inputs, head)
    layers = [layer for sizes in pairwise((inputs, *head)) for layer in (nn.Linear(*sizes), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


class Models(NamedTuple):
    """The network that learns and the one that follows it."""

    student: Network
    teacher: Network


def initialise(network: nn.Module, seed: int) -> None:
    """Kaiming-normal (fan-out) convolutions, Xavier-normal linear layers, zero biases, as a function of the seed."""
    generator = torch.Generator().manual_seed(stream_key(seed, "init") % 2**63)
    for module in network.modules():
        if not isinstance(module, nn.Conv2d | nn.Linear):
            continue
        weight = torch.empty(module.weight.shape)  # contiguous, as the order of drawing is that of the memory
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu", generator=generator)
        else:
            nn.init.xavier_normal_(weight, generator=generator)
            nn.init.zeros_(module.bias)
        with torch.no_grad():
            module.weight.copy_(weight)
