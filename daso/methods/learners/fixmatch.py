"""FixMatch (Sohn et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from daso.errors import ParamsError
from daso.methods.base import AddOn, Learner, Views, forward_jointly
from daso.models.network import Models
from daso.ops.losses import cross_entropy, masked_mean
from daso.records import Batch, Env, Losses, Role, Step


class FixMatch(Learner):
    """Guess on the weak view, learn on the strong one (Sohn et al. 2020, Eq. 3 and 4).

    `confidence` says which pseudo-label must reach the threshold: the one that the add-ons refined, as practice does,
    or the network's own guess, as Oh et al. 2022, Eq. 1 reads.
    """

    views = Views(x=("weak",), u=("weak", "strong"))
    makes = frozenset({"labeled", "weak", "strong"})

    def __init__(
        self,
        env: Env,
        addons: Sequence[AddOn] = (),
        *,
        threshold: float,
        weight: float,
        confidence: Literal["refined", "raw"] = "refined",
    ) -> None:
        super().__init__(addons)
        if not 0 < threshold <= 1:
            raise ParamsError(f"learner 'fixmatch': threshold is a probability above 0, not {threshold}")
        if weight < 0:
            raise ParamsError(f"learner 'fixmatch': weight is at least 0, not {weight}")
        self.threshold, self.weight, self.confidence = threshold, weight, confidence

    def step(self, batch: Batch, models: Models) -> tuple[Losses, Step]:
        """One labeled and one unlabeled batch in one forward."""
        out = forward_jointly(models.student, labeled=batch.x["weak"], weak=batch.u["weak"], strong=batch.u["strong"])
        step = self.begin(batch, models, out)
        losses = {"supervised": self.supervised(out["labeled"].logits, step)}
        p = self.adjust(out["weak"].logits.detach(), Role.GUESS, step).softmax(-1)
        step = self.refine(p, step)
        trusted = step.targets if self.confidence == "refined" else p  # fidelity: confidence
        weights = self.weigh((trusted.amax(-1) >= self.threshold).float(), Role.CONSISTENCY, step)
        step = step._replace(mask=weights > 0)
        z = self.adjust(out["strong"].logits, Role.CONSISTENCY, step)
        losses["consistency"] = self.weight * masked_mean(cross_entropy(z, step.targets.argmax(-1)), weights)
        return losses | self.addon_losses(step), step
