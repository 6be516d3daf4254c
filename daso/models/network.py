"""An encoder with a classifier and named heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar, Literal, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.func import functional_call

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
        self._autocast = [  # names of the weights that the encoder reads in bf16
            f"{place}.{name}"
            for place, module in encoder.named_modules()
            if isinstance(module, nn.Conv2d | nn.Linear)
            for name, _ in module.named_parameters(recurse=False)
        ]
        self.still = False  # whether the encoder's batch norms use and keep their running statistics in training too
        self.classifier = nn.Linear(encoder.feature_dim, num_classes)
        self.heads = nn.ModuleDict({name: _head(encoder.feature_dim, head) for name, head in heads.items()})

    def forward(self, images: Tensor) -> Output:
        """Features, logits and head outputs, all fp32."""
        images = images.contiguous(memory_format=self.encoder.layout)
        features = (self._half(images) if self.precision == "bf16" else self.encoder(images)).float()
        return Output(features, self.classifier(features), {name: head(features) for name, head in self.heads.items()})

    def _half(self, images: Tensor) -> Tensor:
        """Features of an encoder under autocast, with all its weights cast at once instead of one by one."""
        weights = dict(self.encoder.named_parameters())
        half = _Cast.apply(*(weights[name] for name in self._autocast))
        with torch.autocast(images.device.type, torch.bfloat16):
            features: Tensor = functional_call(self.encoder, dict(zip(self._autocast, half, strict=True)), (images,))
        return features

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


class _Cast(torch.autograd.Function):
    """Tensors in fp32 -> copies in bf16, and their gradients back, in one kernel each way instead of one a tensor."""

    @staticmethod
    def forward(ctx: Any, *weights: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        return _copies(weights, torch.bfloat16)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        full = iter(_copies([grad for grad in grads if grad is not None], torch.float32))
        return tuple(None if grad is None else next(full) for grad in grads)


def _copies(tensors: Sequence[Tensor], dtype: torch.dtype) -> tuple[Tensor, ...]:
    copies = [torch.empty_like(tensor, dtype=dtype) for tensor in tensors]
    if copies:
        torch._foreach_copy_(copies, list(tensors))
    return tuple(copies)


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
