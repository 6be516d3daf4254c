"""SimPro (Du et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from daso.methods.base import AddOn, Learner, Views, forward_jointly
from daso.methods.memory import PeriodSum, RunningPrior
from daso.models.network import Models
from daso.ops.distributions import count
from daso.ops.losses import masked_mean, soft_cross_entropy
from daso.records import Batch, Env, Losses, Role, Step
from daso.schema import NonNegative, Positive, PositiveShare, ShareBelowOne, Steps

SHARE_FLOOR = 1e-12  # added to prior^tau before the logarithm


class SimPro(Learner):
    """SimPro: expectation maximisation with the class distribution of unlabeled images as a parameter (Du et al. 2024).

    The logits, without any prior, are the model of an image given its class. The E-step adds tau log pi_u to the weak
    view's: the soft pseudo-label q. The M-step adds tau log pi to all logits of the losses, which compare q with both
    strong views, and the labels with a weak and a strong view. pi_u is the class distribution of the unlabeled images
    and starts uniform; pi is that of all images and starts as the labeled one. At the end of each `period` both move by
    1 - `momentum` towards the pseudo-labels above the threshold, in pi with the labels of the same steps.

    With `labeled_weight: passes` the labeled loss is divided by the passes through the labeled images in one pass
    through the unlabeled ones; a number multiplies it instead.
    """

    views = Views(x=("weak", "strong"), u=("weak", "strong", "strong2"))
    provides = frozenset({"labeled", "weak", "strong"})
    balanced_predictions = True

    def __init__(
        self,
        env: Env,
        addons: Sequence[AddOn] = (),
        *,
        threshold: PositiveShare,
        tau: NonNegative,
        momentum: ShareBelowOne,
        period: Steps,
        labeled_weight: Literal["passes"] | Positive,
    ) -> None:
        super().__init__(addons)
        self.threshold, self.tau, self.num_classes = threshold, tau, env.num_classes
        unlabeled_batches = whole_batches(env.unlabeled, env.batch_size * env.unlabeled_ratio)
        passes = unlabeled_batches / whole_batches(env.labeled, env.batch_size)
        self.labeled_weight = 1 / passes if isinstance(labeled_weight, str) else labeled_weight
        self.prior = RunningPrior(env.num_classes, momentum, start=env.counts)
        self.unlabeled_prior = RunningPrior(env.num_classes, momentum, offset=1.0)  # fidelity: simpro-sum
        self.labels, self.accepted = PeriodSum(env.num_classes, period), PeriodSum(env.num_classes, period)

    def step(self, batch: Batch, models: Models) -> tuple[Losses, Step]:
        """Compute the losses with one forward pass of all views, and the priors as the last period left them."""
        x, u = batch.x, {view: batch.u[view] for view in self.views.u}
        out = forward_jointly(models.student, labeled=x["weak"], labeled_strong=x["strong"], **u)
        step, shift = self.begin(batch, models, out), self.shift(self.prior)
        labeled = [self.supervised(out[view].logits + shift, step) for view in ("labeled", "labeled_strong")]
        losses = {"supervised": self.labeled_weight * torch.stack(labeled).mean()}
        weak = self.adjust(out["weak"].logits.detach(), Role.PSEUDO_LABEL, step)
        step = self.refine((weak + self.shift(self.unlabeled_prior)).softmax(-1), step)
        weights = self.weigh((step.targets.amax(-1) >= self.threshold).float(), Role.CONSISTENCY, step)
        step = step._replace(mask=weights > 0)
        strong = [self.adjust(out[view].logits, Role.CONSISTENCY, step) + shift for view in ("strong", "strong2")]
        unmasked = torch.stack([soft_cross_entropy(z, step.targets) for z in strong]).mean(0)
        losses["consistency"] = masked_mean(unmasked, weights)
        return losses | self.addon_losses(step), step

    def shift(self, prior: RunningPrior) -> Tensor:
        """Return the adjustment (K,) of logits to a prior, tau log prior with a lower bound."""
        return (prior.shares**self.tau + SHARE_FLOOR).log()  # fidelity: simpro-floor

    @torch.no_grad()
    def commit(self, step: Step) -> None:
        """Add this batch's labels and pseudo-labels to the period's, and at its end move both priors."""
        pseudo_labels = (step.targets * step.mask[:, None]).sum(0)  # fidelity: simpro-copies
        accepted, ends = self.accepted.add(pseudo_labels, step.batch.t)
        labels, _ = self.labels.add(count(step.batch.y, self.num_classes), step.batch.t)
        for prior, counts in ((self.unlabeled_prior, accepted), (self.prior, labels + accepted)):
            prior.commit(torch.where(ends, prior.updated(counts), prior.shares))
        super().commit(step)


def whole_batches(images: int, batch_size: int) -> int:
    """Return the number of whole batches in a pass through images, at least one."""
    return max(1, images // batch_size)
