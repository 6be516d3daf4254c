"""Network: an encoder with a classifier and named heads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.func import functional_call

from daso.draw import stream_key
from daso.errors import CheckpointError
from daso.models.groups import run_in_groups
from daso.models.norm import BatchNorm1d
from daso.records import Output

Precision = Literal["fp32", "bf16"]
ClassifierInit = Literal["xavier_normal", "zeros", "torch"]
ENCODER = "encoder."  # prefix of the encoder's names in a state dict


class Projection(NamedTuple):
    """Head of two linear layers with batch norm and ReLU between them (Chen et al. 2020).

    Its inputs are the features or, with `of`, the weights of a linear head: see `Network.project_classes`.
    """

    width: int
    outputs: int
    of: str | None = None


# Outputs of a linear layer, widths of several layers with ReLU between them, or a projection.
Head = int | tuple[int, ...] | Projection


class Preprocessing(NamedTuple):
    """Preparation of images for pretrained weights: mean and std of pixels in [0, 1], filter of resizing."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str  # bilinear or bicubic


class Encoder(nn.Module):
    """Base class of encoders, images (n, 3, H, W) -> features (n, D); `layout` is the memory format of its tensors."""

    feature_dim: int
    layout: ClassVar[torch.memory_format] = torch.contiguous_format
    frozen: frozenset[str] = frozenset()  # names of the weights and buffers that training leaves unchanged
    pretrained = False  # True if its weights come from a file
    preprocessing: Preprocessing | None = None  # None: normalised as the configuration states, resized bilinearly
    layered = False  # True if it has groups of layers
    weights_url = ""  # where such a file comes from
    license = ""  # of the weights

    @property
    def layer_groups(self) -> dict[str, int]:
        """Groups of layers by name of weight or buffer, from 0 at the images; {} if the encoder has no groups."""
        return {}

    def load_pretrained(self, weights: Path) -> None:
        """Load weights from a file; an encoder that has the option `weights` implements this."""
        raise NotImplementedError

    def add_adapters(self, num_classes: int, seed: int) -> None:
        """Add the adapters that are trained in a frozen encoder, if its options state so; the seed draws weights."""


class Network(nn.Module):
    """Encoder, linear classifier and further heads: images (n, 3, H, W) -> Output.

    With precision `bf16` the encoder runs under autocast; weights, features and all later computation are fp32. With
    `images_per_group` an encoder in training mode runs in groups of at most this many images; see `models.groups`.
    """

    def __init__(
        self,
        encoder: Encoder,
        num_classes: int,
        heads: Mapping[str, Head],
        precision: Precision = "fp32",
        images_per_group: int | None = None,
        classifier: type[nn.Linear] = nn.Linear,
    ) -> None:
        super().__init__()
        self.encoder = encoder.to(memory_format=encoder.layout)
        self.precision: Precision = precision
        self.images_per_group = images_per_group
        self._bf16_weights = [  # names of the weights that the encoder uses in bf16
            f"{prefix}.{name}"
            for prefix, module in encoder.named_modules()
            if isinstance(module, nn.Conv2d | nn.Linear)
            for name, _ in module.named_parameters(recurse=False)
        ]
        for name, weight in encoder.named_parameters():
            weight.requires_grad_(name not in encoder.frozen)
        self.evaluated_modules = _frozen_modules(encoder)  # they are in evaluation mode during training too
        self.classifier = classifier(encoder.feature_dim, num_classes)
        self.heads = nn.ModuleDict({name: _head(encoder.feature_dim, head) for name, head in heads.items()})
        of = {name: head.of for name, head in heads.items() if isinstance(head, Projection)}
        self.projected = {name: head for name, head in of.items() if head}  # head whose weights a projection maps
        self.train()

    def forward(self, images: Tensor) -> Output:
        """Return features, logits and head outputs, all fp32."""
        images = images.contiguous(memory_format=self.encoder.layout)
        encode = self._bf16_encoder(images.device) if self.precision == "bf16" else self.encoder
        if self.images_per_group and self.encoder.training:
            features = run_in_groups(encode, images, self.images_per_group, self.encoder).float()
        else:
            features = encode(images).float()
        logits = self.classifier(features)  # before the heads: the order decides the last bits of the gradient
        heads = {name: head(features) for name, head in self.heads.items() if name not in self.projected}
        return Output(features, logits, heads)

    def project_classes(self, name: str) -> Tensor:
        """Return the outputs (K, .) of a projection for the weights (K, D) of the linear head that it maps."""
        weights = self.heads[self.projected[name]].weight
        outputs: Tensor = self.heads[name](weights)
        return outputs

    def evaluated(self, images: Tensor) -> Output:
        """Return the outputs in evaluation mode, whatever the present mode is."""
        training = self.training
        self.eval()
        try:
            outputs: Output = self(images)
        finally:
            self.train(training)
        return outputs

    def _bf16_encoder(self, device: torch.device) -> Callable[[Tensor], Tensor]:
        """Return the encoder under autocast, with all its weights cast at once instead of one by one.

        They are cast for each group of images, so that the groups' gradients are added in fp32.
        """
        weights = dict(self.encoder.named_parameters())

        def encode(images: Tensor) -> Tensor:
            cast = _Cast.apply(*(weights[name] for name in self._bf16_weights))
            half = dict(zip(self._bf16_weights, cast, strict=True))
            with torch.autocast(device.type, torch.bfloat16):
                features: Tensor = functional_call(self.encoder, half, (images,))
            return features

        return encode

    def freeze_encoder(self, weights: Mapping[str, Tensor], statistics: Literal["frozen", "batch"]) -> None:
        """Load the encoder of a different network's state dict and freeze it; classifier and heads stay unchanged.

        In training its batch norms use their running statistics and leave them unchanged (`frozen`), or use the batch's
        statistics and update the running ones (`batch`). Raises CheckpointError if the architectures differ.
        """
        encoder = {name.removeprefix(ENCODER): value for name, value in weights.items() if name.startswith(ENCODER)}
        try:
            self.encoder.load_state_dict(encoder)
        except RuntimeError as error:
            raise CheckpointError(f"the frozen encoder is from a different network: {error}") from error
        self.encoder.requires_grad_(False)
        if statistics == "frozen":
            self.evaluated_modules = [self.encoder]
        self.train(self.training)

    def load_trained(self, weights: Mapping[str, Tensor]) -> None:
        """Load the state dict of a trained network; raises CheckpointError if the architectures differ."""
        try:
            self.load_state_dict(weights)
        except RuntimeError as error:
            raise CheckpointError(f"the network to train further differs from this one: {error}") from error

    def train(self, mode: bool = True) -> Self:
        """Set the mode as `nn.Module.train` does, but frozen modules stay in evaluation mode."""
        super().train(mode)
        for module in self.evaluated_modules:
            module.eval()
        return self


def _frozen_modules(encoder: Encoder) -> list[nn.Module]:
    """Return the modules all of whose tensors are frozen, and batch norms whose running statistics are."""
    frozen = []
    for prefix, module in encoder.named_modules():
        start = f"{prefix}." if prefix else ""
        tensors = {f"{start}{name}" for name in module.state_dict()}
        statistics = {f"{start}{name}" for name, _ in module.named_buffers(recurse=False)}
        if any(names and names <= encoder.frozen for names in (tensors, statistics)):
            frozen.append(module)
    return frozen


class _Cast(torch.autograd.Function):
    """Cast fp32 tensors to bf16, and their gradients back, with one kernel per direction instead of one per tensor."""

    @staticmethod
    def forward(ctx: Any, *weights: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        copies = _cast_copies(weights, torch.bfloat16)
        frozen = [copy for copy, trained in zip(copies, ctx.needs_input_grad, strict=True) if not trained]
        ctx.mark_non_differentiable(*frozen)  # no gradient of these is computed
        return copies

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        full = iter(_cast_copies([grad for grad in grads if grad is not None], torch.float32))
        return tuple(None if grad is None else next(full) for grad in grads)


def _cast_copies(tensors: Sequence[Tensor], dtype: torch.dtype) -> tuple[Tensor, ...]:
    copies = [torch.empty_like(tensor, dtype=dtype) for tensor in tensors]
    if copies:
        torch._foreach_copy_(copies, list(tensors))
    return tuple(copies)


def _head(inputs: int, head: Head) -> nn.Module:
    """Return a linear layer with this number of outputs, a perceptron with layers of these widths, or a projection."""
    if isinstance(head, int):
        return nn.Linear(inputs, head)
    if isinstance(head, Projection):
        hidden = nn.Linear(inputs, head.width, bias=False)  # batch norm would remove a bias
        last = nn.Linear(head.width, head.outputs)
        return nn.Sequential(hidden, BatchNorm1d(head.width), nn.ReLU(), last)
    perceptron = [layer for sizes in pairwise((inputs, *head)) for layer in (nn.Linear(*sizes), nn.ReLU())]
    return nn.Sequential(*perceptron[:-1])


class Models(NamedTuple):
    """Student, the trained network, and teacher, its EMA model."""

    student: Network
    teacher: Network


def initialise(network: nn.Module, seed: int) -> None:
    """Draw weights as a function of the seed: Kaiming normal (fan-out) for convolutions, Xavier normal for linear maps.

    The biases of linear maps are zero. A pretrained encoder keeps its weights.
    """
    generator = torch.Generator().manual_seed(stream_key(seed, "init") % 2**63)
    encoders = (module for module in network.modules() if isinstance(module, Encoder) and module.pretrained)
    pretrained = {module for encoder in encoders for module in encoder.modules()}
    for module in network.modules():
        if module in pretrained or not isinstance(module, nn.Conv2d | nn.Linear):
            continue
        weight = torch.empty(module.weight.shape)  # contiguous, as random numbers are drawn in memory order
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu", generator=generator)
        else:
            nn.init.xavier_normal_(weight, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        with torch.no_grad():
            module.weight.copy_(weight)


def initialise_classifier(classifier: nn.Linear, seed: int, kind: ClassifierInit) -> None:
    """Draw the classifier's weights again: `zeros`, or `torch`, uniform within 1 / sqrt(D) as `nn.Linear` draws them.

    `xavier_normal` keeps those of `initialise`.
    """
    if kind == "zeros":  # fidelity: classifier-init
        nn.init.zeros_(classifier.weight)
    elif kind == "torch":
        generator = torch.Generator().manual_seed(stream_key(seed, "init/classifier") % 2**63)
        bound = classifier.in_features**-0.5
        for parameter in classifier.parameters():
            nn.init.uniform_(parameter, -bound, bound, generator=generator)
