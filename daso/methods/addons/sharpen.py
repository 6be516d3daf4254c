"""Sharpening (Berthelot et al. 2019)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from daso.methods.base import AddOn
from daso.ops.distributions import sharpen
from daso.records import Env, Step
from daso.schema import Positive


class Sharpen(AddOn):
    """Sharpening: pseudo-labels to the power 1 / temperature, scaled to sum to one (Berthelot et al. 2019, Eq. 7)."""

    def __init__(self, env: Env, *, temperature: Positive) -> None:
        super().__init__()
        self.temperature = temperature

    def refine(self, probs: Tensor, step: Step) -> tuple[Tensor, Any]:
        """Return sharpened pseudo-labels (U, K); a temperature below 1 increases the larger entries."""
        return sharpen(probs, self.temperature), ()
