"""Classifier of a model whose logits are adjusted by a super-class head, as by the add-on `scad` in evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from daso.data.super_classes import super_class_numbers
from daso.ops.distributions import logit_shift, shares
from daso.ops.super_classes import local_shares, super_class_sizes

SUPER_CLASS_HEAD = "super_class."  # first part of the names of tensors
SAVED_HEAD = "heads.super_class."  # in the state dict of a network


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


def super_class_tensors(
    config: Mapping[str, Any], state: Mapping[str, Tensor], counts: Sequence[int], classes: Sequence[str]
) -> dict[str, Tensor]:
    """Return the super-class head of a run's network with its constants, {} if it adjusts no evaluations.

    `counts` are the labeled images of each class. The head's prior is in its bias, the strength in `delta`.
    """
    for addon in config["method"]["addons"]:
        if addon["name"] == "scad" and "eval" in addon["roles"]:
            numbers = super_class_numbers(config["dataset"]["super_classes"], classes)
            shift = logit_shift(shares(super_class_sizes(counts, numbers)), addon["super_tau"])
            return {
                f"{SUPER_CLASS_HEAD}weight": state[f"{SAVED_HEAD}weight"],
                f"{SUPER_CLASS_HEAD}bias": state[f"{SAVED_HEAD}bias"] - shift,
                f"{SUPER_CLASS_HEAD}delta": addon["strength"] * local_shares(counts, numbers),
            }
    return {}
