"""A plain and a balanced head on one encoder: the classifier, and a further head that is evaluated."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from daso.records import Output

BALANCED = "balanced"  # name of the further head
STRONG_VIEWS = ("strong", "strong2")  # views that both heads are trained on


def plain_and_balanced(out: Mapping[str, Output]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the logits (n, K) of both heads by view."""
    return {view: each.logits for view, each in out.items()}, {view: each.heads[BALANCED] for view, each in out.items()}
