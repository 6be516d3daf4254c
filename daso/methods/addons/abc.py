"""ABC: an auxiliary balanced classifier (Lee et al. 2021)."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from daso.methods.base import AddOn, Refine
from daso.ops.losses import cross_entropy, masked_mean, soft_cross_entropy
from daso.ops.schedules import at
from daso.records import Env, Losses, Step
from daso.schema import PositiveInt, PositiveShare


class ABC(AddOn):
    """ABC: second head on the same features, trained on a class-balanced sample (Lee et al. 2021, section 3).

    A labeled image of class k is sampled with probability b_k = min N / N_k. An unlabeled image that the head itself
    predicts as class k is sampled with a probability that falls from 1 towards b_k after each of `epochs` equal parts
    of the run. The head's logits are evaluated. With `targets: refined` its pseudo-labels pass through the `refine`
    hooks of all add-ons, so that DASO blends them too.
    """

    needs = frozenset({"labeled", "weak", "strong"})
    evaluation_head = "balanced"
    rarity: Tensor
    progress: Tensor

    def __init__(
        self, env: Env, *, threshold: PositiveShare, epochs: PositiveInt, targets: Literal["refined", "raw"]
    ) -> None:
        super().__init__()
        self.threshold, self.targets = threshold, targets
        self.heads = {self.evaluation_head: env.num_classes}
        counts, t = torch.tensor(env.counts, dtype=torch.float64), torch.arange(env.steps, dtype=torch.long)
        self.register_buffer("rarity", (counts.min() / counts).float(), persistent=False)  # b, (K,)
        self.register_buffer("progress", (t * epochs // env.steps / epochs).float(), persistent=False)  # (S,)

    def losses(self, step: Step, memo: Any, refine: Refine) -> Losses:
        """Return the masked cross-entropies with the labels and, on the strong view, with soft pseudo-labels."""
        batch, draw = step.batch, step.batch.draw("abc")
        z = {view: step.out[view].heads["balanced"] for view in ("labeled", "weak", "strong")}  # fidelity: abc-views
        sampled = draw("labeled").uniform(len(batch.y)) < self.rarity[batch.y]
        labeled = masked_mean(cross_entropy(z["labeled"], batch.y), sampled)
        p = z["weak"].detach().softmax(-1)
        q = refine(p) if self.targets == "refined" else p
        confidence, label = q.max(-1)
        sampled = draw("unlabeled").uniform(len(q)) < self.share(batch.t)[label]
        unlabeled = masked_mean(soft_cross_entropy(z["strong"], q), (confidence >= self.threshold) & sampled)
        return {"abc_labeled": labeled, "abc_unlabeled": unlabeled}

    def share(self, t: Tensor) -> Tensor:
        """Return the probability (K,) to sample a pseudo-label of each class at step t (): 1 - progress * (1 - b)."""
        return 1 - at(self.progress, t) * (1 - self.rarity)
