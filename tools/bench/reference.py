"""Reference of FixMatch, LA and DASO in plain PyTorch, against which the engine is tested and timed.

It uses nothing of the engine or the methods, only the network and its initialisation. Autocast is off, the memory
format is (N, C, H, W), the optimiser is PyTorch's default, losses are read with `.item()` for the log in every step,
and the class queues are tensors that are concatenated and cut, as in the authors' code.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daso.config.build import build_encoder
from daso.errors import ParamsError
from daso.models.network import Network, initialise


class FeatureQueue:
    """FIFO queue of at most `length` features of each class, with their means as prototypes."""

    def __init__(self, num_classes: int, feature_dim: int, length: int, device: torch.device) -> None:
        self.length = length
        self.features = [torch.empty(0, feature_dim, device=device) for _ in range(num_classes)]
        self.prototypes = torch.zeros(num_classes, feature_dim, device=device)

    @torch.no_grad()
    def enqueue(self, features: Tensor, labels: Tensor) -> None:
        """Add a batch of features (n, D) with labels (n,)."""
        for k in range(len(self.features)):
            rows = torch.where(labels == k)[0]
            if len(rows):
                self.features[k] = torch.cat([self.features[k], features[rows]])[-self.length :]
                self.prototypes[k] = self.features[k].mean(0)


class Reference:
    """Run of FixMatch with or without LA and DASO at a constant learning rate; raises ParamsError for other methods.

    `counts` (K,) are the labeled images of each class, which LA needs.
    """

    def __init__(self, config: Mapping[str, Any], device: torch.device, counts: Sequence[int] = ()) -> None:
        method, protocol, sgd = config["method"], config["protocol"], config["optimizer"]
        addons = {addon["name"]: addon for addon in method["addons"]}
        adjustment = addons.pop("logit_adjustment", None)
        if method["learner"]["name"] != "fixmatch" or not addons.keys() <= {"daso"}:
            raise ParamsError(f"the reference implements fixmatch with LA or daso; got method '{method['name']}'")
        self.options, self.daso = method["learner"], addons.get("daso")
        self.num_classes, self.device = config["dataset"]["num_classes"], device
        self.adjustment = torch.zeros(self.num_classes, device=device)
        if adjustment:
            self.adjustment += adjustment["tau"] * torch.tensor(counts, device=device).float().log()
        self.model = Network(build_encoder(config), self.num_classes, {})
        initialise(self.model, config["draw_seed"])
        self.model = self.model.to(device).to(memory_format=torch.contiguous_format)
        self.ema = copy.deepcopy(self.model)
        self.ema.requires_grad_(False)
        self.optimizer = torch.optim.SGD(
            self.model.parameters(),
            lr=sgd["lr"],
            momentum=sgd["momentum"],
            nesterov=sgd["nesterov"],
            weight_decay=sgd["weight_decay"],
        )
        self.decay, self.step_number = protocol["teacher"]["decay"], 0
        if self.daso:
            dim = self.model.encoder.feature_dim
            self.queue = FeatureQueue(self.num_classes, dim, self.daso["queue_length"], device)
            self.pseudo_labels: list[Tensor] = []
            self.distribution = torch.ones(self.num_classes, device=device) / self.num_classes
        self.log: dict[str, float] = {}

    def step(self, x: Tensor, y: Tensor, weak: Tensor, strong: Tensor) -> None:
        """Make one update and write its losses to `log`."""
        if self.daso:
            with torch.no_grad():
                self.queue.enqueue(self._forward(self.ema, x)[0], y)
        features, logits = self._forward(self.model, torch.cat([x, weak, strong]))
        sizes = [len(x), len(weak), len(strong)]
        _, weak_features, strong_features = torch.split(features, sizes)
        labeled, weak_logits, strong_logits = torch.split(logits, sizes)
        losses = {"supervised": F.cross_entropy(labeled + self.adjustment, y)}
        probs = torch.softmax(weak_logits.detach(), dim=-1)
        if self.daso and self.step_number >= self.daso["warmup"]:
            semantic = torch.softmax(self._similarity(weak_features.detach()), dim=-1)
            similar = torch.log_softmax(self._similarity(strong_features), dim=-1)
            losses["alignment"] = self.daso["weight"] * -(semantic * similar).sum(-1).mean()
            share = self.distribution ** (1 / self.daso["dist_temperature"])
            share = (share / share.max())[probs.argmax(-1)].unsqueeze(1)
            probs = (1 - share) * probs + share * semantic
        confidence, pseudo_label = probs.max(-1)
        mask = (confidence >= self.options["threshold"]).float()
        consistency = (F.cross_entropy(strong_logits, pseudo_label, reduction="none") * mask).mean()
        losses["consistency"] = self.options["weight"] * consistency
        loss = torch.stack(list(losses.values())).sum()
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self._update_ema()
        if self.daso:
            self._count(pseudo_label)
        self.step_number += 1
        self.log = {name: value.item() for name, value in losses.items()} | {"mask_rate": mask.mean().item()}

    def _forward(self, network: Network, images: Tensor) -> tuple[Tensor, Tensor]:
        features = network.encoder(images)
        return features, network.classifier(features)

    def _similarity(self, features: Tensor) -> Tensor:
        assert self.daso
        cosines = F.normalize(features, dim=1) @ F.normalize(self.queue.prototypes, dim=1).t()
        return cosines / float(self.daso["proto_temperature"])

    @torch.no_grad()
    def _update_ema(self) -> None:
        decay = min(1 - 1 / (self.step_number + 1), self.decay)
        for average, current in zip(_averaged(self.ema), _averaged(self.model), strict=True):
            average.mul_(decay).add_(current, alpha=1 - decay)

    def _count(self, pseudo_label: Tensor) -> None:
        assert self.daso
        self.pseudo_labels.append(pseudo_label)
        if (self.step_number + 1) % self.daso["period"] == 0:
            counts = torch.bincount(torch.cat(self.pseudo_labels), minlength=self.num_classes).float()
            self.distribution = counts / counts.sum()
            self.pseudo_labels = []


def _averaged(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *(buffer for buffer in network.buffers() if buffer.is_floating_point())]


@contextmanager
def plain_pytorch() -> Iterator[None]:
    """Use the settings of a typical fast PyTorch script: TF32, cuDNN autotuning, nondeterministic algorithms."""
    deterministic, cudnn = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn
    before = cudnn.benchmark, cudnn.allow_tf32
    torch.use_deterministic_algorithms(False)
    cudnn.benchmark, cudnn.allow_tf32 = True, True
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic)
        cudnn.benchmark, cudnn.allow_tf32 = before
