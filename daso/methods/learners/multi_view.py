"""FixMatch on two weak and two strong views (Wang et al. 2022, in the authors' code)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from daso.methods.base import AddOn, Learner, Views, forward_jointly
from daso.models.network import Models
from daso.ops.losses import cross_entropy, masked_mean
from daso.records import Batch, Env, Losses, Output, Role, Step
from daso.schema import NonNegative, PositiveShare


class MultiView(Learner):
    """FixMatch on two weak and two strong views, as in the code of DebiasPL (Wang et al. 2022).

    Pseudo-labels of both weak views and of their mean are the targets of both strong views. Each of the three is
    compared with the threshold separately; the loss is the mean of the six terms. Add-ons read the mean of both weak
    views as "weak" and the mean of both strong views as "strong".
    """

    views = Views(x=("weak",), u=("weak", "weak2", "strong", "strong2"))
    provides = frozenset({"labeled", "weak", "strong"})

    def __init__(
        self, env: Env, addons: Sequence[AddOn] = (), *, threshold: PositiveShare, weight: NonNegative
    ) -> None:
        super().__init__(addons)
        self.threshold, self.weight = threshold, weight

    def step(self, batch: Batch, models: Models) -> tuple[Losses, Step]:
        """Compute the losses with one forward pass of labeled images and all four views."""
        out = forward_jointly(models.student, labeled=batch.x["weak"], **{view: batch.u[view] for view in self.views.u})
        first, second, strong = out["weak"], out["weak2"], (out["strong"], out["strong2"])
        means = {"weak": mean(first, second), "strong": mean(*strong)}
        step = self.begin(batch, models, {"labeled": out["labeled"]} | means)
        losses = {"supervised": self.supervised(out["labeled"].logits, step)}
        terms = []
        for weak in (first, second, step.out["weak"]):  # the mean comes last, so that `step` keeps its targets and mask
            p = self.adjust(weak.logits.detach(), Role.PSEUDO_LABEL, step).softmax(-1)
            step = self.refine(p, step)
            weights = self.weigh((step.targets.amax(-1) >= self.threshold).float(), Role.CONSISTENCY, step)
            step = step._replace(mask=weights > 0)
            for view in strong:
                z = self.adjust(view.logits, Role.CONSISTENCY, step)
                terms.append(masked_mean(cross_entropy(z, step.targets.argmax(-1)), weights))
        losses["consistency"] = self.weight * torch.stack(terms).mean()
        return losses | self.addon_losses(step), step


def mean(first: Output, second: Output) -> Output:
    """Return the mean features, logits and heads of two views."""
    heads = {name: (head + second.heads[name]) / 2 for name, head in first.heads.items()}
    return Output((first.features + second.features) / 2, (first.logits + second.logits) / 2, heads)
