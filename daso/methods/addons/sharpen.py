"""Sharpening (Berthelot et al. 2019)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from daso.errors import ParamsError
from daso.methods.base import AddOn
from daso.ops.distributions import sharpen
from daso.records import Env, Step


class Sharpen(AddOn):
    """Pseudo-labels to the power 1 / temperature, scaled to sum to one (Berthelot et al. 2019, Eq. 7)."""

    def __init__(self, env: Env, *, temperature: float) -> None:
        super().__init__()
        if temperature <= 0:
            raise ParamsError(f"add-on 'sharpen': temperature is above 0, not {temperature}")
        self.temperature = temperature

    def refine(self, probs: Tensor, step: Step) -> tuple[Tensor, Any]:
        """(U, K) -> same; below temperature 1 the larger entries gain."""
        return sharpen(probs, self.temperature), ()
