"""CCL: continuous contrastive learning (Zhou et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from daso.errors import ParamsError
from daso.methods.base import AddOn, Learner, Views, forward_jointly, labeled_copy_mask
from daso.methods.memory import PeriodSum, RunningPrior
from daso.methods.two_heads import BALANCED, STRONG_VIEWS, plain_and_balanced
from daso.models.network import Models, Network, Projection
from daso.ops.contrast import reliable_loss, smoothed_labels, smoothed_loss
from daso.ops.distributions import logit_shift, one_hot, shares, sharpen
from daso.ops.losses import consistency, cross_entropy
from daso.records import Batch, Env, Losses, Output, Role, Step
from daso.schema import NonNegative, NonNegativeSteps, PositiveShare, ShareBelowOne, Steps

PROJECTION, CENTRES = "projection", "centres"  # heads that map features, and class weights of the balanced head
LEAST_WEIGHT = 1.5  # of the unlabeled losses
SHARPENING = 1 / 4  # temperature of pseudo-labels in the contrastive losses


class CCL(Learner):
    """CCL: two heads whose fused predictions are pseudo-labels, and two contrastive losses (Zhou et al. 2024).

    The classifier is the plain head f; the balanced head b is trained with logits plus tau log prior and evaluated: the
    labeled prior pi_l on labeled images, pi, that of all images, on unlabeled ones. The pseudo-label q of both heads is
    the softmax of z, the mean of b and of f - log((1 - rho) pi_l + rho pi) + (1 + tau / 2) log pi_u, where rho is the
    unlabeled share of the batch and pi_u the unlabeled prior. It counts if it reaches the threshold.

    pi starts at pi_l and pi_u uniform. From `warmup` on, both move at the end of each `period`: pi by 1 - `momentum`
    towards the pseudo-labels above the threshold, pi_u by 1 - `unlabeled_momentum` towards those of a free energy
    -logsumexp(z) of at most `energy`, without labeled copies.

    The contrastive losses compare unit vectors of a projection: both SimCLR views of labeled images, all views of
    unlabeled ones, and class centres, projections of the weights of b. In the smoothed loss, labeled views and centres
    give all unlabeled views pseudo-labels by their similarity; those of the weak view, sharpened, are the targets of
    the strong ones. The reliable loss compares labeled views, and the strong views of low energy with the sharpened q,
    with all others of their class. `centre_labels` are the label rows of the centres. `weight` is that of all other
    losses. With both contrastive weights 0 there are neither projections nor SimCLR views.

    Hooks of add-ons change the losses of the plain head and the pseudo-labels of both.
    """

    provides = frozenset({"labeled", "weak", "strong"})
    evaluation_head = "balanced"
    balanced_predictions = True
    labeled_prior: Tensor
    copies: Tensor
    centre_labels: Tensor

    def __init__(
        self,
        env: Env,
        addons: Sequence[AddOn] = (),
        *,
        threshold: PositiveShare,
        energy: float,
        tau: NonNegative,
        momentum: ShareBelowOne,
        unlabeled_momentum: ShareBelowOne,
        period: Steps,
        warmup: NonNegativeSteps,
        weight: NonNegative,
        smoothed_weight: NonNegative,
        reliable_weight: NonNegative,
        centre_labels: Literal["ones", "identity"],
    ) -> None:
        super().__init__(addons)
        if warmup % period:
            raise ParamsError(
                f"learner 'ccl': warmup: {warmup} is not a multiple of period {period}; set it to one, "
                f"such as {6 * period}"
            )
        self.threshold, self.energy, self.tau, self.warmup = threshold, energy, tau, warmup  # fidelity: ccl-schedules
        self.assumed_tau = tau
        self.weight, self.smoothed_weight, self.reliable_weight = weight, smoothed_weight, reliable_weight
        # fidelity: ccl-hue
        # fidelity: ccl-blur
        self.views = Views(
            x=("weak", "simclr", "simclr2") if smoothed_weight or reliable_weight else ("weak",),
            u=("weak", "strong", "strong2"),
        )
        self.on_features = "refused" if smoothed_weight or reliable_weight else "supported"
        width = env.feature_dim
        # fidelity: ccl-projections
        projections = {PROJECTION: Projection(width, 2 * width), CENTRES: Projection(width, 2 * width, BALANCED)}
        self.contrastive = smoothed_weight > 0 or reliable_weight > 0  # fidelity: ccl-no-contrast
        self.heads = {BALANCED: env.num_classes, **(projections if self.contrastive else {})}
        self.unlabeled_weight = max(LEAST_WEIGHT, env.unlabeled_ratio)  # fidelity: ccl-weight
        self.unlabeled_share = env.unlabeled_ratio / (env.unlabeled_ratio + 1)  # of the images in a batch
        self.prior = RunningPrior(env.num_classes, momentum, start=env.counts)
        self.unlabeled_prior = RunningPrior(env.num_classes, unlabeled_momentum)  # fidelity: ccl-checkpoint
        self.counts, self.unlabeled_counts = (PeriodSum(env.num_classes, period) for _ in range(2))
        labels = torch.eye(env.num_classes) if centre_labels == "identity" else torch.ones((env.num_classes,) * 2)
        self.register_buffer("centre_labels", labels, persistent=False)  # fidelity: ccl-centres
        # fidelity: ccl-labeled-prior
        self.register_buffer("labeled_prior", shares(env.counts), persistent=False)  # (K,)
        self.register_buffer("copies", labeled_copy_mask(env), persistent=False)  # (M,)

    def step(self, batch: Batch, models: Models) -> tuple[Losses, Step]:
        """Compute the losses of both heads, and those of the projections, with one forward pass of all views."""
        x = {view: batch.x[view] for view in self.views.x[1:]}
        u = {view: batch.u[view] for view in self.views.u}
        out = forward_jointly(models.student, labeled=batch.x["weak"], **x, **u)
        step = self.begin(batch, models, out)
        plain, balanced = plain_and_balanced(out)
        step = self.refine(self.adjust(self.fused(out["weak"]), Role.PSEUDO_LABEL, step).softmax(-1), step)
        weights = self.weigh((step.targets.amax(-1) >= self.threshold).float(), Role.CONSISTENCY, step)
        step, label = step._replace(mask=weights > 0), step.targets.argmax(-1)
        shift = logit_shift(self.prior.shares, self.tau)
        plain_strong = [self.adjust(plain[view], Role.CONSISTENCY, step) for view in STRONG_VIEWS]
        balanced_strong = [balanced[view] + shift for view in STRONG_VIEWS]
        labeled = balanced["labeled"] + logit_shift(self.labeled_prior, self.tau)
        unlabeled_weight = self.weight * self.unlabeled_weight
        losses = {
            "supervised": self.weight * self.supervised(plain["labeled"], step),
            "supervised_balanced": self.weight * cross_entropy(labeled, batch.y).mean(),
            "consistency": unlabeled_weight * consistency(plain_strong, label, weights),
            "consistency_balanced": unlabeled_weight * consistency(balanced_strong, label, weights),
        }
        if self.contrastive:
            losses |= self.contrastive_losses(step, models.student)
        return losses | self.addon_losses(step), step

    def fused(self, weak: Output) -> Tensor:
        """Return the fused logits z (U, K) of both heads without gradient, adjusted to the unlabeled prior."""
        mixed = torch.lerp(self.labeled_prior, self.prior.shares, self.unlabeled_share)
        shift = logit_shift(self.unlabeled_prior.shares, 1 + self.tau / 2) - logit_shift(mixed, 1.0)
        return (weak.logits + shift + weak.heads[BALANCED]).detach() / 2

    def reliable(self, weak: Output) -> Tensor:
        """Return which unlabeled images (U,) have a low energy."""
        return -self.fused(weak).logsumexp(-1) <= self.energy

    def contrastive_losses(self, step: Step, network: Network) -> Losses:
        """Return the smoothed and the reliable loss of the projections."""
        projected = {view: out.heads[PROJECTION] for view, out in step.out.items()}
        views = {view: F.normalize(projected[view], dim=-1) for view in (*self.views.x[1:], *self.views.u)}
        centres = F.normalize(network.project_classes(CENTRES), dim=-1)
        y = one_hot(step.batch.y, len(centres))
        support = torch.cat([centres, views["simclr"], views["simclr2"]])
        labels = torch.cat([self.centre_labels, y, y])
        weak, *strong = (smoothed_labels(views[view], support, labels) for view in self.views.u)
        smoothed = smoothed_loss(sharpen(weak.detach(), SHARPENING), *strong)

        q, reliable = sharpen(step.targets, SHARPENING), self.reliable(step.out["weak"]).float()
        features = torch.cat([support, *(views[view] for view in STRONG_VIEWS)])
        included = torch.cat([torch.ones_like(support[:, 0]), reliable, reliable])
        comparison = reliable_loss(features, torch.cat([labels, q, q]), included, len(centres))
        return {"smoothed": self.smoothed_weight * smoothed, "reliable": self.reliable_weight * comparison}

    def blank_output(self, models: Models, mode: str) -> Output:
        """Return the outputs for the blank image; its logits are the mean of both heads, as in pseudo-labels."""
        out = super().blank_output(models, mode)
        return out._replace(logits=(out.logits + out.heads[BALANCED]) / 2)

    @torch.no_grad()
    def commit(self, step: Step) -> None:
        """Count this batch's pseudo-labels and, at the end of a period, move both priors; then update the add-ons."""
        t, q = step.batch.t, step.targets
        reliable = self.reliable(step.out["weak"]) & ~self.copies[step.batch.u_index]
        counts, ends = self.counts.add((q * step.mask[:, None]).sum(0), t)
        unlabeled_counts, _ = self.unlabeled_counts.add((q * reliable[:, None]).sum(0), t)
        for prior, total in ((self.prior, counts), (self.unlabeled_prior, unlabeled_counts)):
            moved = prior.updated(1 + total)  # fidelity: ccl-counters
            prior.commit(torch.where(ends & (t >= self.warmup), moved, prior.shares))
        super().commit(step)
