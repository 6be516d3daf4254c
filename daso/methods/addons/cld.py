"""CLD: cross-level discrimination, as DebiasPL has it (Wang et al. 2021, 2022)."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from daso.errors import ParamsError
from daso.methods.base import AddOn, Refine
from daso.ops.distributions import one_hot
from daso.ops.losses import cross_entropy
from daso.records import Env, Losses, Step


class CLD(AddOn):
    """A strong view is to be most like the group of its own weak view (Wang et al. 2021, in probabilities).

    Images of a batch whose weak view says the same class are a group, its centre is the mean of what they say; the
    strong view's probabilities are compared with all centres, and every image counts.
    """

    needs = frozenset({"weak", "strong"})

    def __init__(
        self, env: Env, *, weight: float, temperature: float, group: Literal["likeliest", "unlikeliest"] = "likeliest"
    ) -> None:
        super().__init__()
        if weight < 0:
            raise ParamsError(f"add-on 'cld': weight is at least 0, not {weight}")
        if temperature <= 0:
            raise ParamsError(f"add-on 'cld': temperature is above 0, not {temperature}")
        self.weight, self.temperature, self.group = weight, temperature, group

    def losses(self, step: Step, memo: Any, refine: Refine) -> Losses:
        """Cross-entropy of products with the centres (K, K) over the temperature; a group of none has centre zero."""
        weak, strong = step.out["weak"].logits.detach().softmax(-1), step.out["strong"].logits.softmax(-1)
        group = self.groups(weak)
        member = one_hot(group, weak.shape[1])  # (U, K)
        centres = member.T @ weak / member.sum(0).clamp(min=1)[:, None]
        return {"cld": self.weight * cross_entropy(strong @ centres.T / self.temperature, group).mean()}

    def groups(self, weak: Tensor) -> Tensor:
        """The group (U,) of each weak view's probabilities (U, K)."""
        return weak.argmax(-1) if self.group == "likeliest" else weak.argmin(-1)  # fidelity: cld-groups
