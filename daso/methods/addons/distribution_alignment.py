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

FLOOR = 1e-6  # so that no class is divided by zero


class DistributionAlignment(AddOn):
    """Pseudo-labels times what their mean should be over what it is of late (Berthelot et al. 2020, section 3.1).

    It should be the distribution of the labeled images, or another `prior`: that of the unlabeled ones where it is
    known, an even one, or the counts given; to the power `temperature`, which below 1 evens it out (Wei et al. 2021).
    It is the mean over the last `window` batches, the one under way among them. `enabled: false` is for settings that
    do without.
    """

    target: Tensor

    def __init__(
        self,
        env: Env,
        *,
        window: int,
        temperature: float,
        enabled: bool = True,
        prior: Literal["labeled", "unlabeled", "uniform"] | Sequence[float] = "labeled",
    ) -> None:
        super().__init__()
        if window < 1:
            raise ParamsError(f"add-on 'distribution_alignment': window is at least 1 batch, not {window}")
        if not 0 <= temperature <= 1:
            raise ParamsError(f"add-on 'distribution_alignment': temperature is from 0 to 1, not {temperature}")
        if enabled and prior == "unlabeled" and not any(env.unlabeled_counts):
            raise ParamsError(
                "add-on 'distribution_alignment': prior 'unlabeled' needs the classes of the unlabeled images, which "
                "are not known here; take prior 'labeled', or give counts: prior: [...]"
            )
        if not isinstance(prior, str) and (len(prior) != env.num_classes or min(prior) < 0 or not any(prior)):
            raise ParamsError(
                f"add-on 'distribution_alignment': prior is a count for each of {env.num_classes} classes, none below "
                f"0 and not all 0, not {prior}; name 'labeled', or give them"
            )
        self.enabled = enabled
        labeled = env.drawn_counts or env.counts  # a plan's guesses say nothing of how classes are distributed
        named = {"labeled": labeled, "unlabeled": env.unlabeled_counts, "uniform": (1,) * env.num_classes}
        counts = named[prior] if isinstance(prior, str) else prior
        shares = torch.tensor(counts, dtype=torch.float64)
        shares = (shares / shares.sum()) ** temperature
        self.register_buffer("target", (shares / shares.sum()).float(), persistent=False)  # (K,)
        self.recent = RecentMean(window, env.num_classes)

    def refine(self, probs: Tensor, step: Step) -> tuple[Tensor, Any]:
        """Probabilities (U, K) times target / recent mean, scaled to sum to one."""
        if not self.enabled:
            return probs, ()
        recent = self.recent.pushed(probs.mean(0))  # fidelity: alignment-window
        aligned = probs * (self.target + FLOOR) / (self.recent.mean(recent) + FLOOR)
        return aligned / aligned.sum(-1, keepdim=True), recent

    def commit(self, step: Step, memo: Any) -> None:
        """Keep the mean of this batch."""
        if self.enabled:
            self.recent.write(memo)
