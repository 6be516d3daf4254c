"""alpha-TIM: maximise the information of the predictions for the unlabeled images (Veilleux et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from torch import Tensor

from daso.constraints import Interval
from daso.methods.base import AddOn, Learner, Views
from daso.models.network import Models
from daso.records import Batch, Env, Losses, Step
from daso.schema import NonNegative


class AlphaTIM(Learner):
    """alpha-TIM: mutual information of unlabeled images and predictions by alpha-entropies (Veilleux et al. 2021).

    It follows Boudiaf et al. 2020, who use Shannon's entropies: predictions of single images become confident, their
    mean does not. Each step has all images, because the mean over a small batch would have another entropy.
    """

    views = Views(x=("plain",), u=("plain",), all_images=True)
    provides = frozenset({"labeled", "unlabeled"})
    on_features = "required"
    evaluation_model = "student"

    def __init__(
        self,
        env: Env,
        addons: Sequence[AddOn] = (),
        *,
        alpha: Annotated[float, Interval(gt=1)],
        conditional: NonNegative,
        marginal: NonNegative,
    ) -> None:
        super().__init__(addons)
        self.alpha, self.conditional, self.marginal = alpha, conditional, marginal

    def step(self, batch: Batch, models: Models) -> tuple[Losses, Step]:
        """Compute the losses of all images; `conditional` and `marginal` are the weights of the two entropies."""
        out = {"labeled": models.student(batch.x["plain"]), "unlabeled": models.student(batch.u["plain"])}
        step = self.begin(batch, models, out)
        probs = out["unlabeled"].logits.softmax(-1)
        losses = {
            "supervised": self.supervised(out["labeled"].logits, step),
            "conditional": self.conditional * alpha_entropy(probs, self.alpha).mean(),  # fidelity: alpha-tim
            "marginal": -self.marginal * alpha_entropy(probs.mean(0), self.alpha),
        }
        return losses, step


def alpha_entropy(probs: Tensor, alpha: float) -> Tensor:
    """Return the entropies (...) of distributions (..., K): (1 - sum_k p_k^alpha) / (alpha - 1)."""
    return (1 - probs.pow(alpha).sum(-1)) / (alpha - 1)
