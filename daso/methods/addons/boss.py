"""BOSS: class balancing within a batch (Smith and Conovaloff 2020)."""

from __future__ import annotations

from torch import Tensor

from daso.errors import ParamsError
from daso.methods.base import AddOn
from daso.ops.distributions import count
from daso.records import Env, Role, Step


class BOSS(AddOn):
    """Classes that a batch guesses seldom need less confidence and count more (Smith and Conovaloff 2020).

    With c_k pseudo-labels of class k in the batch, confident or not, these must reach threshold - delta * (1 - c_k /
    max c) and count 1 / c_k, scaled so that those taken count one on average. This takes the place of the learner's own
    threshold.
    """

    def __init__(self, env: Env, *, threshold: float, delta: float) -> None:
        super().__init__()
        if not 0 < threshold <= 1:
            raise ParamsError(f"add-on 'boss': threshold is a probability above 0, not {threshold}")
        if not 0 <= delta <= threshold:
            raise ParamsError(f"add-on 'boss': delta is from 0 to the threshold {threshold}, not {delta}")
        self.num_classes, self.threshold, self.delta = env.num_classes, threshold, delta

    def weigh(self, weights: Tensor, role: Role, step: Step) -> Tensor:
        """Weights (U,) of the unlabeled loss; 0 where the pseudo-label is not taken."""
        if role is not Role.CONSISTENCY:
            return weights
        confidence, label = step.targets.max(-1)
        counts = count(label, self.num_classes)
        limits = self.threshold - self.delta * (1 - counts / counts.max())
        taken = (confidence >= limits[label]).float()
        shares = taken / counts[label]
        return shares * taken.sum() / shares.sum().clamp(min=1 / len(label))  # fidelity: boss-scale
