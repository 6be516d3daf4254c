"""SimMatch (Zheng et al. 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from daso.errors import ParamsError
from daso.methods.base import AddOn, Learner, Views, forward_jointly
from daso.methods.memory import MemoryBank
from daso.models.network import Models
from daso.ops.distributions import one_hot
from daso.ops.losses import masked_mean, soft_cross_entropy
from daso.ops.similarity import cosine
from daso.records import Batch, Env, Losses, Output, Role, Step
from daso.schema import (
    NonNegative,
    NonNegativeSteps,
    Positive,
    PositiveInt,
    PositiveShare,
    Probability,
    ShareBelowOne,
)

NEVER = -1e4  # replaces log 0, so that no row is minus infinity in every entry


class SimMatch(Learner):
    """SimMatch: class predictions and similarities to labeled images, calibrated by each other (Zheng et al. 2022).

    A memory bank holds an embedding of every labeled image: `dim` outputs of a head of two layers. The pseudo-label is
    `alpha` times the class prediction plus 1 - `alpha` times the similarities, summed by class; the target of the
    similarities is their softmax times the predicted probability of each image's class. The strong view is trained on
    both. Before step `instance_start` the bank fills, the pseudo-label is the class prediction alone and the instance
    loss is zero. Distribution alignment is the add-on of this name.

    `keys` selects the network that makes pseudo-labels and fills the bank, `confidence` the probabilities compared with
    the threshold. With `buffer_balance: logit` all classes have equal weight, independent of their number of labeled
    images.
    """

    views = Views(x=("weak",), u=("weak", "strong"))
    provides = frozenset({"labeled", "weak", "strong"})
    labels: Tensor
    log_sizes: Tensor

    def __init__(
        self,
        env: Env,
        addons: Sequence[AddOn] = (),
        *,
        threshold: PositiveShare,
        weight: NonNegative,
        instance_weight: NonNegative,
        temperature: Positive,
        alpha: Probability,
        momentum: ShareBelowOne,
        dim: PositiveInt,
        instance_start: NonNegativeSteps,
        keys: Literal["student", "teacher"],
        confidence: Literal["smoothed", "refined"],
        buffer_balance: Literal["none", "logit"],
    ) -> None:
        super().__init__(addons)
        if instance_start * env.batch_size < env.labeled:
            raise ParamsError(
                f"learner 'simmatch': instance_start: step {instance_start} comes before the memory bank is full "
                f"({env.labeled} labeled images, {env.batch_size} per step); raise instance_start"
            )
        self.threshold, self.confidence, self.keys = threshold, confidence, keys
        self.weight, self.instance_weight, self.instance_start = weight, instance_weight, instance_start
        self.temperature, self.alpha, self.num_classes = temperature, alpha, env.num_classes
        self.heads = {"projection": (env.feature_dim, dim)}
        self.bank = MemoryBank(len(env.labels), dim, momentum, env.seed)
        sizes = [float(env.counts[label]) if buffer_balance == "logit" else 1.0 for label in env.labels]
        self.register_buffer("labels", torch.tensor(env.labels), persistent=False)  # (N,)
        self.register_buffer("log_sizes", torch.tensor(sizes).log(), persistent=False)  # (N,)

    def step(self, batch: Batch, models: Models) -> tuple[Losses, Step]:
        """Compute the losses with the memory bank as the previous step left it."""
        out = self.outputs(batch, models)
        step = self.begin(batch, models, out)
        losses = {"supervised": self.supervised(out["labeled"].logits, step)}
        p = self.adjust(out["weak"].logits.detach(), Role.PSEUDO_LABEL, step).softmax(-1)
        step = self.refine(p, step)
        p, started = step.targets, batch.t >= self.instance_start
        similarities = self.similarity(out["weak"]).detach()  # (U, N)
        smoothed = torch.lerp(self.aggregated(similarities), p, self.alpha)  # (U, K)
        step = step._replace(targets=torch.where(started, smoothed, p))
        thresholded = step.targets if self.confidence == "smoothed" else p  # fidelity: simmatch-confidence
        weights = self.weigh((thresholded.amax(-1) >= self.threshold).float(), Role.CONSISTENCY, step)
        step = step._replace(mask=weights > 0)
        z = self.adjust(out["strong"].logits, Role.CONSISTENCY, step)
        losses["consistency"] = self.weight * masked_mean(soft_cross_entropy(z, step.targets), weights)
        instance = soft_cross_entropy(self.similarity(out["strong"]), self.calibrated(similarities, p)).mean()
        losses["instance"] = self.instance_weight * started * instance
        return losses | self.addon_losses(step), step

    def outputs(self, batch: Batch, models: Models) -> dict[str, Output]:
        """Return the outputs by view, from one pass of the student and, with `keys: teacher`, one of the teacher."""
        x, u = batch.x["weak"], batch.u
        if self.keys == "student":  # fidelity: simmatch-keys
            return forward_jointly(models.student, labeled=x, weak=u["weak"], strong=u["strong"])
        with torch.no_grad():
            teacher = forward_jointly(models.teacher, labeled_teacher=x, weak=u["weak"])
        return forward_jointly(models.student, labeled=x, strong=u["strong"]) | teacher

    def similarity(self, out: Output) -> Tensor:
        """Return logits (n, N): cosine similarity to every labeled image over the temperature, minus the log size."""
        return cosine(out.heads["projection"], self.bank.rows) / self.temperature - self.log_sizes

    def aggregated(self, similarities: Tensor) -> Tensor:
        """Return the similarity to each class (U, K), rows sum to one, from the logits of similarity (U, N)."""
        return similarities.softmax(-1) @ one_hot(self.labels, self.num_classes)

    def calibrated(self, similarities: Tensor, p: Tensor) -> Tensor:
        """Return the softmax of logits (U, N) times the predicted probability p (U, K) of each image's class, scaled.

        Rows (U, N) sum to one.
        """
        return (similarities + p.log().clamp(min=NEVER)[:, self.labels]).softmax(-1)

    @torch.no_grad()
    def pseudo_labels(self, step: Step) -> dict[str, Tensor]:
        """Return the pseudo-labels of `Learner.pseudo_labels` and "instance", the similarities summed by class."""
        return super().pseudo_labels(step) | {"instance": self.aggregated(self.similarity(step.out["weak"]))}

    @torch.no_grad()
    def commit(self, step: Step) -> None:
        """Write this batch's keys to the memory bank, then update the state of the add-ons."""
        key = step.out["labeled_teacher" if self.keys == "teacher" else "labeled"]
        self.bank.write(step.batch.x_index, key.heads["projection"])
        super().commit(step)
