"""ACR: adaptive consistency regularizer (Wei and Gan 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from daso.errors import ParamsError
from daso.methods.base import AddOn, Learner, Views, forward_jointly, labeled_copy_mask
from daso.methods.memory import RunningPrior
from daso.methods.two_heads import BALANCED, STRONG_VIEWS, plain_and_balanced
from daso.models.network import Models
from daso.ops.distributions import logit_shift, one_hot, reversed_shares, shares, symmetric_divergence
from daso.ops.losses import consistency, cross_entropy
from daso.records import Batch, Env, Losses, Role, Step
from daso.schema import NonNegative, NonNegativeSteps, PositiveShare, ShareBelowOne, Steps


class ACR(Learner):
    """ACR: a plain and a balanced head, whose pseudo-labels depend on the unlabeled prior (Wei and Gan 2023).

    The classifier is the plain head; the balanced head is trained with logits plus tau log pi, pi the labeled prior,
    and evaluated. Pseudo-labels of both are the plain head's predictions on the weak view: minus tau log pi for the
    balanced head, minus `plain_tau` log pi for the plain one. A pseudo-label counts if it or the prediction of its own
    head reaches the threshold.

    `plain_tau` is tau until the estimate starts at `warmup`. At the end of a period it becomes tau times the softmax
    of three distances, taken at the first one: those of the estimated unlabeled prior to the labeled, the uniform and
    the reversed prior, averaged over the period. Reversed exchanges the sizes of classes by rank, whatever the order of
    the classes. The estimate averages the classes that the balanced head predicts above the threshold, without labeled
    copies; a batch without such predictions changes neither estimate nor distances. `counting` is `exact`, or
    `presence` as in the released code: a class counts once in a batch, if the last of its images is above the
    threshold.

    Hooks of add-ons change the losses of the plain head and the pseudo-labels of the balanced head.
    """

    views = Views(x=("weak",), u=("weak", "strong", "strong2"))
    provides = frozenset({"labeled", "weak", "strong"})
    evaluation_head = "balanced"
    balanced_predictions = True
    anchors: Tensor
    copies: Tensor
    distances: Tensor
    plain_tau: Tensor

    def __init__(
        self,
        env: Env,
        addons: Sequence[AddOn] = (),
        *,
        threshold: PositiveShare,
        tau: NonNegative,
        momentum: ShareBelowOne,
        period: Steps,
        warmup: NonNegativeSteps,
        counting: Literal["exact", "presence"],
    ) -> None:
        super().__init__(addons)
        if warmup % period:
            raise ParamsError(
                f"learner 'acr': warmup: {warmup} is not a multiple of period {period}; set it to one, "
                f"such as {6 * period}"
            )
        self.threshold, self.tau, self.counting = threshold, tau, counting
        self.assumed_tau = tau
        self.period, self.warmup = period, warmup
        self.heads = {BALANCED: env.num_classes}
        self.prior = RunningPrior(env.num_classes, momentum)  # of the unlabeled images
        anchors = [shares(env.counts), shares((1,) * env.num_classes), reversed_shares(env.counts)]
        self.register_buffer("anchors", torch.stack(anchors), persistent=False)  # (3, K)
        self.register_buffer("copies", labeled_copy_mask(env), persistent=False)  # (M,)
        self.register_buffer("distances", torch.zeros(3))  # sum over the steps of a period
        self.register_buffer("plain_tau", torch.tensor(float(tau)))  # ()

    def step(self, batch: Batch, models: Models) -> tuple[Losses, Step]:
        """Compute the losses of both heads with one forward pass of labeled images and all three views."""
        out = forward_jointly(models.student, labeled=batch.x["weak"], **{view: batch.u[view] for view in self.views.u})
        step, log_prior = self.begin(batch, models, out), logit_shift(self.anchors[0], 1.0)
        plain, balanced = plain_and_balanced(out)
        weak = plain["weak"].detach()
        p = (weak - self.plain_tau * log_prior).softmax(-1)  # pseudo-labels of the plain head
        q = self.adjust(weak - self.tau * log_prior, Role.PSEUDO_LABEL, step).softmax(-1)  # of the balanced head
        step = self.refine(q, step)
        step = step._replace(mask=self.confident(step.targets) | self.confident(balanced["weak"].softmax(-1)))
        weights = (self.confident(p) | self.confident(weak.softmax(-1))).float()
        weights = self.weigh(weights, Role.CONSISTENCY, step)
        plain_strong = [self.adjust(plain[view], Role.CONSISTENCY, step) for view in STRONG_VIEWS]
        balanced_strong = [balanced[view] for view in STRONG_VIEWS]
        losses = {
            "supervised": self.supervised(plain["labeled"], step),
            "supervised_balanced": cross_entropy(balanced["labeled"] + self.tau * log_prior, batch.y).mean(),
            "consistency": consistency(plain_strong, p.argmax(-1), weights),
            "consistency_balanced": consistency(balanced_strong, step.targets.argmax(-1), step.mask),
        }
        return losses | self.addon_losses(step), step

    def confident(self, probs: Tensor) -> Tensor:
        """Return which rows (n, K) reach the threshold: (n,) bool."""
        return probs.amax(-1) >= self.threshold

    @torch.no_grad()
    def pseudo_labels(self, step: Step) -> dict[str, Tensor]:
        """Return those of `Learner.pseudo_labels`, final for the balanced head, and "plain" for the plain one."""
        log_prior = logit_shift(self.anchors[0], 1.0)
        plain = (step.out["weak"].logits - self.plain_tau * log_prior).softmax(-1)
        return super().pseudo_labels(step) | {"plain": plain}

    @torch.no_grad()
    def commit(self, step: Step) -> None:
        """Update the estimated prior, the distances and, at the end of a period, `plain_tau`; then the add-ons."""
        t, counts = step.batch.t, self.counts(step)
        prior = self.prior.updated(counts)
        distances = self.distances + symmetric_divergence(prior, self.anchors)
        estimated, due = (t >= self.warmup) & (counts.sum() > 0), ((t + 1) % self.period == 0) & (t + 1 >= self.warmup)
        self.prior.commit(torch.where(estimated, prior, self.prior.shares))
        distances = torch.where(estimated, distances, self.distances)
        self.plain_tau.copy_(torch.where(due, self.tau * (distances / self.period).softmax(0)[0], self.plain_tau))
        self.distances.copy_(torch.where(due, 0.0, distances))
        super().commit(step)

    def counts(self, step: Step) -> Tensor:
        """Return the numbers (K,) of unlabeled images that the balanced head predicts above the threshold, by class."""
        probs = step.out["weak"].heads[BALANCED].softmax(-1)
        label, counted = probs.argmax(-1), self.confident(probs) & ~self.copies[step.batch.u_index]
        predicted = one_hot(label, len(self.anchors[0])) > 0  # (U, K)
        if self.counting == "exact":
            return (predicted & counted[:, None]).sum(0).float()
        last = torch.where(predicted, torch.arange(len(label), device=label.device)[:, None], -1).amax(0)
        return ((last >= 0) & counted[last]).float()  # fidelity: acr-counting
