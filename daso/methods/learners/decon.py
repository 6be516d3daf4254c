"""DeCon: decoupled consistency of two heads, named BOAT in its first version (Gan et al. 2024)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from daso.methods.base import AddOn, Learner, Trained, Views, forward_jointly
from daso.methods.memory import RunningPrior
from daso.methods.two_heads import BALANCED, STRONG_VIEWS, plain_and_balanced
from daso.models.network import Models
from daso.ops.distributions import debiased, logit_shift, running_mean, shares
from daso.ops.losses import consistency, cross_entropy
from daso.records import Batch, Env, Losses, Role, Step
from daso.schema import NonNegative, PositiveShare, ShareBelowOne

MEAN_MOMENTUM = 0.9  # of the mean confidence and the mean weight
MEAN_START = 0.1


class Estimates(NamedTuple):
    """Running means after a batch."""

    plain: Tensor  # (K,) mean prediction of the plain head
    balanced: Tensor  # (K,) of the balanced head
    confidence: Tensor  # () mean confidence of the balanced pseudo-labels
    weight: Tensor  # () mean weight before scaling


class DeCon(Learner):
    """DeCon: a plain and a balanced head, debiased by their mean predictions without anchors (Gan et al. 2024).

    With pi the labeled prior, q_f and q_b the running mean predictions of the plain and of the balanced head, updated
    by the batch before they are used: the labeled losses have logits plus tau (log pi - log q_b) and plus tau log pi.
    Pseudo-labels of the plain head are its predictions f on the weak view above the threshold. Those of the balanced
    head are f - `pseudo_label_tau` log q_f, all of which count, with a weight: the largest product over the classes of
    the probabilities of f and of f - `weight_tau` log q_f, times the mean confidence of these pseudo-labels over the
    mean of these products. The balanced head minus tau log q_b is evaluated.

    All running means are in the checkpoint. Hooks of add-ons change the losses of the plain head and the pseudo-labels
    of the balanced head.
    """

    views = Views(x=("weak",), u=("weak", "strong", "strong2"))
    provides = frozenset({"labeled", "weak", "strong"})
    evaluation_head = "balanced"
    balanced_predictions = True
    prior: Tensor
    confidence: Tensor
    weight: Tensor

    def __init__(
        self,
        env: Env,
        addons: Sequence[AddOn] = (),
        *,
        threshold: PositiveShare,
        momentum: ShareBelowOne,
        tau: NonNegative,
        pseudo_label_tau: NonNegative,
        weight_tau: NonNegative,
    ) -> None:
        super().__init__(addons)
        self.threshold, self.tau = threshold, tau
        self.pseudo_label_tau, self.weight_tau = pseudo_label_tau, weight_tau
        self.heads = {BALANCED: env.num_classes}
        self.plain_prior, self.balanced_prior = (RunningPrior(env.num_classes, momentum) for _ in range(2))
        self.register_buffer("prior", shares(env.counts), persistent=False)  # (K,)
        self.register_buffer("confidence", torch.tensor(MEAN_START))  # fidelity: decon-checkpoint
        self.register_buffer("weight", torch.tensor(MEAN_START))

    @classmethod
    def evaluation_shift(cls, options: Mapping[str, Any], trained: Trained) -> Tensor | None:
        """Return - tau log q_b (K,)."""
        return -logit_shift(trained.state["balanced_prior.shares"], options["tau"])

    def step(self, batch: Batch, models: Models) -> tuple[Losses, Step]:
        """Compute the losses of both heads with one forward pass of labeled images and all three views."""
        out = forward_jointly(models.student, labeled=batch.x["weak"], **{view: batch.u[view] for view in self.views.u})
        step = self.begin(batch, models, out)
        plain, balanced = plain_and_balanced(out)
        updated = self.updated(step)
        shift = logit_shift(self.prior, self.tau)
        f = plain["weak"].detach()
        z = self.adjust(debiased(f, updated.plain, self.pseudo_label_tau), Role.PSEUDO_LABEL, step)
        step = self.refine(z.softmax(-1), step)
        weights = self.products(f, updated.plain) * updated.confidence / updated.weight
        step = step._replace(mask=weights > 0)
        confident = self.weigh((f.softmax(-1).amax(-1) >= self.threshold).float(), Role.CONSISTENCY, step)
        plain_strong = [self.adjust(plain[view], Role.CONSISTENCY, step) for view in STRONG_VIEWS]
        balanced_strong = [balanced[view] for view in STRONG_VIEWS]
        labeled = plain["labeled"] + shift - logit_shift(updated.balanced, self.tau)
        losses = {
            "supervised": self.supervised(labeled, step),
            "supervised_balanced": cross_entropy(balanced["labeled"] + shift, batch.y).mean(),
            "consistency": consistency(plain_strong, f.argmax(-1), confident),
            "consistency_balanced": consistency(balanced_strong, step.targets.argmax(-1), weights),
        }
        return losses | self.addon_losses(step), step

    @torch.no_grad()
    def updated(self, step: Step) -> Estimates:
        """Return the running means after this batch; writes no state."""
        weak = step.out["weak"]
        plain = self.plain_prior.updated(weak.logits.softmax(-1).sum(0))
        confidence = debiased(weak.logits, plain, self.pseudo_label_tau).softmax(-1).amax(-1).mean()
        return Estimates(
            plain,
            self.balanced_prior.updated(weak.heads[BALANCED].softmax(-1).sum(0)),
            running_mean(self.confidence, confidence, MEAN_MOMENTUM),
            running_mean(self.weight, self.products(weak.logits, plain).mean(), MEAN_MOMENTUM),
        )

    def products(self, logits: Tensor, mean: Tensor) -> Tensor:
        """Return the largest product (n,) over the classes of the probabilities with and without the mean's bias."""
        return (logits.softmax(-1) * debiased(logits, mean, self.weight_tau).softmax(-1)).amax(-1)

    @torch.no_grad()
    def commit(self, step: Step) -> None:
        """Write the running means, then update the state of the add-ons."""
        updated = self.updated(step)
        self.plain_prior.commit(updated.plain)
        self.balanced_prior.commit(updated.balanced)
        self.confidence.copy_(updated.confidence)
        self.weight.copy_(updated.weight)
        super().commit(step)

    def predict(self, images: Tensor, models: Models) -> tuple[Tensor, Tensor]:
        """Return the logits (n, K) of the balanced head, before and after the removal of its mean prediction."""
        logits, adjusted = super().predict(images, models)
        return logits, debiased(adjusted, self.balanced_prior.shares, self.tau)
