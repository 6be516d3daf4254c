"""ABC: an auxiliary balanced classifier (Lee et al. 2021)."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from daso.errors import ParamsError
from daso.methods.base import AddOn, Refine
from daso.ops.losses import cross_entropy, masked_mean, soft_cross_entropy
from daso.ops.schedules import at
from daso.records import Env, Losses, Step


class ABC(AddOn):
    """A second head on the same features, trained on images drawn against the imbalance (Lee et al. 2021, section 3).

    A labeled image of class k is seen with probability b_k = min N / N_k, an unlabeled one that the head itself guesses
    to be of class k with a probability that goes from 1 to b_k in `epochs` stairs of the run. The head answers at test
    time. `targets` says whether its guesses pass through the chain of add-ons, so that DASO blends them too.
    """

    needs = frozenset({"labeled", "weak", "strong"})
    evaluation_head = "balanced"
    rarity: Tensor
    progress: Tensor

    def __init__(
        self, env: Env, *, threshold: float, epochs: int, targets: Literal["refined", "raw"] = "refined"
    ) -> None:
        super().__init__()
        if not 0 < threshold <= 1:
            raise ParamsError(f"add-on 'abc': threshold is a probability above 0, not {threshold}")
        if epochs < 1:
            raise ParamsError(f"add-on 'abc': epochs is at least 1, not {epochs}")
        self.threshold, self.targets = threshold, targets
        self.heads = {self.evaluation_head: env.num_classes}
        counts, t = torch.tensor(env.counts, dtype=torch.float64), torch.arange(env.steps, dtype=torch.long)
        self.register_buffer("rarity", (counts.min() / counts).float(), persistent=False)  # b, (K,)
        self.register_buffer("progress", (t * epochs // env.steps / epochs).float(), persistent=False)  # (S,)

    def losses(self, step: Step, memo: Any, refine: Refine) -> Losses:
        """Cross-entropy with the labels, and of the strong view with the weak one's soft guess, where not masked."""
        batch, draw = step.batch, step.batch.draw("abc")
        z = {view: step.out[view].heads["balanced"] for view in ("labeled", "weak", "strong")}  # fidelity: abc-views
        seen = draw("labeled").uniform(len(batch.y)) < self.rarity[batch.y]
        labeled = masked_mean(cross_entropy(z["labeled"], batch.y), seen)
        p = z["weak"].detach().softmax(-1)
        q = refine(p) if self.targets == "refined" else p
        confidence, label = q.max(-1)
        seen = draw("unlabeled").uniform(len(q)) < self.share(batch.t)[label]
        unlabeled = masked_mean(soft_cross_entropy(z["strong"], q), (confidence >= self.threshold) & seen)
        return {"abc_labeled": labeled, "abc_unlabeled": unlabeled}

    def share(self, t: Tensor) -> Tensor:
        """How many of the guesses of each class are seen at step t (): 1 - progress * (1 - b), (K,)."""
        return 1 - at(self.progress, t) * (1 - self.rarity)
