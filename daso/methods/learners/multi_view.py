"""FixMatch on two weak and two strong views (Wang et al. 2022, in the authors' code)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from daso.errors import ParamsError
from daso.methods.base import AddOn, Learner, Views, forward_jointly
from daso.models.network import Models
from daso.ops.losses import cross_entropy, masked_mean
from daso.records import Batch, Env, Losses, Output, Role, Step


class MultiView(Learner):
    """Guess on two weak views and on their mean, learn each guess on two strong views (Wang et al. 2022).

    Each of the three pseudo-labels has to reach the threshold by itself; the loss is the mean of the six terms. Add-ons
    read the mean of both weak views as the weak view, and the mean of both strong views as the strong view.
    """

    views = Views(x=("weak",), u=("weak", "weak2", "strong", "strong2"))
    makes = frozenset({"labeled", "weak", "strong"})

    def __init__(self, env: Env, addons: Sequence[AddOn] = (), *, threshold: float, weight: float) -> None:
        super().__init__(addons)
        if not 0 < threshold <= 1:
            raise ParamsError(f"learner 'multi_view': threshold is a probability above 0, not {threshold}")
        if weight < 0:
            raise ParamsError(f"learner 'multi_view': weight is at least 0, not {weight}")
        self.threshold, self.weight = threshold, weight

    def step(self, batch: Batch, models: Models) -> tuple[Losses, Step]:
        """One labeled batch and four views of an unlabeled one in one forward."""
        out = forward_jointly(models.student, labeled=batch.x["weak"], **{view: batch.u[view] for view in self.views.u})
        first, second, strong = out["weak"], out["weak2"], (out["strong"], out["strong2"])
        means = {"weak": mean(first, second), "strong": mean(*strong)}
        step = self.begin(batch, models, {"labeled": out["labeled"]} | means)
        losses = {"supervised": self.supervised(out["labeled"].logits, step)}
        terms = []
        for pseudo_label in (first, second, step.out["weak"]):  # the mean last, as the step's own pseudo-label
            p = self.adjust(pseudo_label.logits.detach(), Role.GUESS, step).softmax(-1)
            step = self.refine(p, step)
            weights = self.weigh((step.targets.amax(-1) >= self.threshold).float(), Role.CONSISTENCY, step)
            step = step._replace(mask=weights > 0)
            for view in strong:
                z = self.adjust(view.logits, Role.CONSISTENCY, step)
                terms.append(masked_mean(cross_entropy(z, step.targets.argmax(-1)), weights))
        losses["consistency"] = self.weight * torch.stack(terms).mean()
        return losses | self.addon_losses(step), step


def mean(first: Output, second: Output) -> Output:
    """Average the features, logits and heads of two views."""
    heads = {name: (head + second.heads[name]) / 2 for name, head in first.heads.items()}
    return Output((first.features + second.features) / 2, (first.logits + second.logits) / 2, heads)
