"""BOSS: class balancing within a batch (Smith and Conovaloff 2020)."""

from __future__ import annotations

from torch import Tensor

from daso.errors import ParamsError
from daso.methods.base import AddOn
from daso.ops.distributions import count
from daso.records import Env, Role, Step
from daso.schema import PositiveShare


class BOSS(AddOn):
    """BOSS: lower thresholds and larger weights for a batch's rare pseudo-labels (Smith and Conovaloff 2020).

    With c_k pseudo-labels of class k in the batch, above the threshold or not, the threshold of class k is
    threshold - delta * (1 - c_k / max c) and its weight 1 / c_k, scaled so that the pseudo-labels that reach their
    thresholds have a mean weight of one. These weights replace the learner's own threshold.
    """

    def __init__(self, env: Env, *, threshold: PositiveShare, delta: float) -> None:
        super().__init__()
        if not 0 <= delta <= threshold:
            raise ParamsError(f"add-on 'boss': delta: expected 0 to the threshold {threshold}, got {delta}; correct it")
        self.num_classes, self.threshold, self.delta = env.num_classes, threshold, delta

    def weigh(self, weights: Tensor, role: Role, step: Step) -> Tensor:
        """Return the weights (U,) of the unlabeled loss; 0 below the threshold of the class."""
        if role is not Role.CONSISTENCY:
            return weights
        confidence, label = step.targets.max(-1)
        counts = count(label, self.num_classes)
        thresholds = self.threshold - self.delta * (1 - counts / counts.max())
        mask = (confidence >= thresholds[label]).float()
        shares = mask / counts[label]
        return shares * mask.sum() / shares.sum().clamp(min=1 / len(label))  # fidelity: boss-scale
