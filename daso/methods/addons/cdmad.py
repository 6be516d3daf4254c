"""CDMAD: pseudo-labels and predictions without the logits of a blank image (Lee and Kim 2024)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor

from daso.methods.base import AddOn, Blank, Trained
from daso.records import Env, Role, Step
from daso.schema import NonNegativeSteps


class CDMAD(AddOn):
    """CDMAD: subtract the logits of a blank image, which measure the bias of the classifier (Lee and Kim 2024).

    An image of one colour shows no class. Its logits are subtracted from those of pseudo-labels, from step `warmup` on,
    and from those of predictions. No distribution of the unlabeled classes is assumed or estimated.

    The image has the value one (a light grey) or zero (the mean colour) in all channels after normalisation, or is
    `white` or `black`. In training its logits are those of the EMA model in `evaluation` mode; with `mode: training`
    they are those of the student in training mode, whose batch norms normalise the image by itself, as in the authors'
    code.
    """

    needs = frozenset({"blank"})
    adjusts = frozenset({"pseudo_label", "eval"})  # fidelity: cdmad-losses
    balanced_predictions = True

    def __init__(
        self,
        env: Env,
        *,
        colour: Literal["ones", "zeros", "white", "black"],
        mode: Literal["evaluation", "training"],
        warmup: NonNegativeSteps,
    ) -> None:
        super().__init__()
        self.blank, self.warmup = Blank(colour, mode), warmup  # fidelity: cdmad-blank

    @classmethod
    def evaluation_shift(cls, options: Mapping[str, Any], trained: Trained) -> Tensor | None:
        """Return the negative logits (K,) of the blank image."""
        return -trained.blank_logits(options["colour"])

    def adjust(self, logits: Tensor, role: Role, step: Step) -> Tensor:
        """Return logits (n, K) - those of the blank image, for pseudo-labels and predictions."""
        if role is Role.PSEUDO_LABEL:  # fidelity: cdmad-start
            return logits - (step.batch.t >= self.warmup) * step.out["blank"].logits
        if role is Role.EVAL:
            return logits - step.out["blank"].logits
        return logits
