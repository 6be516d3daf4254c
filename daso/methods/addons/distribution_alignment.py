"""Distribution alignment (Berthelot et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from daso.errors import ParamsError
from daso.methods.base import AddOn
from daso.methods.memory import RecentMean
from daso.records import Env, Step
from daso.schema import PositiveInt, Probability

EPSILON = 1e-6  # added to both distributions, against division by zero


class DistributionAlignment(AddOn):
    """Distribution alignment: pseudo-labels times target over recent mean (Berthelot et al. 2020, section 3.1).

    The product is scaled to sum to one. The target is the `prior` to the power `temperature`, scaled to sum to one; a
    temperature below 1 makes it more uniform (Wei et al. 2021). `prior` is the distribution of the labeled images, of
    the unlabeled images if it is known, the uniform distribution, or a list of counts. The recent mean is over the last
    `window` batches, the current one included. `enabled: false` turns the add-on off, for example in `where` for some
    settings.
    """

    target: Tensor

    def __init__(
        self,
        env: Env,
        *,
        window: PositiveInt,
        temperature: Probability,
        enabled: bool = True,
        prior: Literal["labeled", "unlabeled", "uniform"] | Sequence[float],
    ) -> None:
        super().__init__()
        if enabled and prior == "unlabeled" and not any(env.unlabeled_counts):
            raise ParamsError(
                "add-on 'distribution_alignment': prior 'unlabeled' needs the classes of the unlabeled images, which "
                "are not known here; set prior 'labeled', or a list of counts, prior: [...]"
            )
        if not isinstance(prior, str) and (len(prior) != env.num_classes or min(prior) < 0 or not any(prior)):
            raise ParamsError(
                f"add-on 'distribution_alignment': prior: expected a count for each of {env.num_classes} classes, all "
                f"0 or more and one above 0, got {prior}; correct the list, or set prior 'labeled'"
            )
        self.enabled = enabled
        self.plan_options = {"alignment_temperature": "temperature"} if enabled else {}
        labeled = env.drawn_counts or env.counts  # without pseudo-labels that a plan added, which may be biased
        named = {"labeled": labeled, "unlabeled": env.unlabeled_counts, "uniform": (1,) * env.num_classes}
        counts = named[prior] if isinstance(prior, str) else prior
        shares = torch.tensor(counts, dtype=torch.float64)
        shares = (shares / shares.sum()) ** temperature
        self.register_buffer("target", (shares / shares.sum()).float(), persistent=False)  # (K,)
        self.recent = RecentMean(window, env.num_classes)

    def refine(self, probs: Tensor, step: Step) -> tuple[Tensor, Any]:
        """Return probabilities (U, K) times target / recent mean, scaled to sum to one."""
        if not self.enabled:
            return probs, ()
        recent = self.recent.after_push(probs.mean(0))  # fidelity: alignment-window
        aligned = probs * (self.target + EPSILON) / (self.recent.mean(recent) + EPSILON)
        return aligned / aligned.sum(-1, keepdim=True), recent

    def commit(self, step: Step, memo: Any) -> None:
        """Add the mean of this batch to the window."""
        if self.enabled:
            self.recent.commit(memo)
