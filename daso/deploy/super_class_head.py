"""Classifier of a model whose logits are adjusted by a super-class head in evaluation."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from daso.methods.base import SuperClassHead

SUPER_CLASS_HEAD = "super_class."  # first part of the names of tensors


class SuperClassAdjusted(nn.Module):
    """Classifier minus the posterior of the super-classes times `delta` (S, K): features (n, D) -> logits (n, K)."""

    delta: Tensor

    def __init__(self, classifier: nn.Linear, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.classifier = classifier
        self.super_class = nn.Linear(tensors["weight"].shape[1], tensors["weight"].shape[0])
        self.super_class.load_state_dict({name: tensors[name] for name in ("weight", "bias")})
        self.register_buffer("delta", tensors["delta"])

    def forward(self, features: Tensor) -> Tensor:
        """Return the adjusted logits."""
        logits: Tensor = self.classifier(features) - self.super_class(features).softmax(-1) @ self.delta
        return logits


def super_class_tensors(head: SuperClassHead | None, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the super-class head of the state dict of a network with its constants, {} without one.

    What is added to its logits is in its bias.
    """
    if head is None:
        return {}
    return {
        f"{SUPER_CLASS_HEAD}weight": state[f"heads.{head.name}.weight"],
        f"{SUPER_CLASS_HEAD}bias": state[f"heads.{head.name}.bias"] + head.shift,
        f"{SUPER_CLASS_HEAD}delta": head.delta,
    }
