"""CLD: cross-level discrimination (Wang et al. 2021), in the form of DebiasPL (Wang et al. 2022)."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from daso.methods.base import AddOn, Refine
from daso.ops.distributions import one_hot
from daso.ops.losses import cross_entropy
from daso.records import Env, Losses, Step
from daso.schema import NonNegative, Positive


class CLD(AddOn):
    """CLD: contrastive loss between strong views and groups of weak views (Wang et al. 2021, on probabilities).

    Images of a batch whose weak views predict the same class form a group; its centre is the mean of their
    probabilities. The loss classifies each strong view, by its probabilities' products with all centres, as the group
    of its own weak view; all images contribute.
    """

    needs = frozenset({"weak", "strong"})

    def __init__(
        self,
        env: Env,
        *,
        weight: NonNegative,
        temperature: Positive,
        group: Literal["likeliest", "unlikeliest"],
    ) -> None:
        super().__init__()
        self.weight, self.temperature, self.group = weight, temperature, group

    def losses(self, step: Step, memo: Any, refine: Refine) -> Losses:
        """Return the cross-entropy of the products with the centres (K, K) over the temperature.

        The centre of an empty group is zero.
        """
        weak, strong = step.out["weak"].logits.detach().softmax(-1), step.out["strong"].logits.softmax(-1)
        group = self.groups(weak)
        member = one_hot(group, weak.shape[1])  # (U, K)
        centres = member.T @ weak / member.sum(0).clamp(min=1)[:, None]
        return {"cld": self.weight * cross_entropy(strong @ centres.T / self.temperature, group).mean()}

    def groups(self, weak: Tensor) -> Tensor:
        """Return the group (U,) of each weak view, by its probabilities (U, K)."""
        return weak.argmax(-1) if self.group == "likeliest" else weak.argmin(-1)  # fidelity: cld-groups
