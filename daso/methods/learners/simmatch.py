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

NEVER = -1e4  # in place of log 0, so that no row is all minus infinity


class SimMatch(Learner):
    """Guesses of the class and similarities to labeled images correct each other (Zheng et al. 2022).

    A bank keeps an embedding of every labeled image, `dim` outputs of a head of two layers. A pseudo-label is `alpha`
    of the guess, the rest are the classes of similar labeled images; a similarity counts as much as the guess believes
    in the class of its image. The strong view learns both, from step `instance_start` on, before which the bank fills
    and the guess alone is the pseudo-label. Distribution alignment is the add-on of this name.

    `keys` says which network guesses and fills the bank, `confidence` which guess must reach the threshold. With
    `buffer_balance: logit` a class weighs the same however many labeled images it has.
    """

    views = Views(x=("weak",), u=("weak", "strong"))
    makes = frozenset({"labeled", "weak", "strong"})
    labels: Tensor
    log_sizes: Tensor

    def __init__(
        self,
        env: Env,
        addons: Sequence[AddOn] = (),
        *,
        threshold: float,
        weight: float,
        instance_weight: float,
        temperature: float,
        alpha: float,
        momentum: float,
        dim: int,
        instance_start: int,
        keys: Literal["student", "teacher"] = "student",
        confidence: Literal["smoothed", "refined"] = "smoothed",
        buffer_balance: Literal["none", "logit"] = "none",
    ) -> None:
        super().__init__(addons)
        if not 0 < threshold <= 1:
            raise ParamsError(f"learner 'simmatch': threshold is a probability above 0, not {threshold}")
        if not (weight >= 0 and instance_weight >= 0):
            raise ParamsError(
                f"learner 'simmatch': weight and instance_weight are at least 0, not {weight} and {instance_weight}"
            )
        if temperature <= 0:
            raise ParamsError(f"learner 'simmatch': temperature is above 0, not {temperature}")
        if not 0 <= alpha <= 1:
            raise ParamsError(f"learner 'simmatch': alpha is a share from 0 to 1, not {alpha}")
        if not 0 <= momentum < 1:
            raise ParamsError(f"learner 'simmatch': momentum is from 0 to below 1, not {momentum}")
        if dim < 1:
            raise ParamsError(f"learner 'simmatch': dim is at least 1, not {dim}")
        if instance_start * env.batch_size < env.labeled:
            raise ParamsError(
                f"learner 'simmatch': instance_start {instance_start} comes before the bank is full: {env.labeled} "
                f"labeled images, {env.batch_size} a step; raise it"
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
        """One labeled and one unlabeled batch; the bank is the one that the step before has left."""
        out = self.answers(batch, models)
        step = self.begin(batch, models, out)
        losses = {"supervised": self.supervised(out["labeled"].logits, step)}
        p = self.adjust(out["weak"].logits.detach(), Role.GUESS, step).softmax(-1)
        step = self.refine(p, step)
        p, started = step.targets, batch.t >= self.instance_start
        near = self.similarity(out["weak"]).detach()  # (U, N)
        smoothed = torch.lerp(self.aggregated(near), p, self.alpha)  # (U, K)
        step = step._replace(targets=torch.where(started, smoothed, p))
        trusted = step.targets if self.confidence == "smoothed" else p  # fidelity: simmatch-confidence
        weights = self.weigh((trusted.amax(-1) >= self.threshold).float(), Role.CONSISTENCY, step)
        step = step._replace(mask=weights > 0)
        z = self.adjust(out["strong"].logits, Role.CONSISTENCY, step)
        losses["consistency"] = self.weight * masked_mean(soft_cross_entropy(z, step.targets), weights)
        instance = soft_cross_entropy(self.similarity(out["strong"]), self.calibrated(near, p)).mean()
        losses["instance"] = self.instance_weight * started * instance
        return losses | self.addon_losses(step), step

    def answers(self, batch: Batch, models: Models) -> dict[str, Output]:
        """One forward of the student; with the teacher's keys another one, of both weak views."""
        x, u = batch.x["weak"], batch.u
        if self.keys == "student":  # fidelity: simmatch-keys
            return forward_jointly(models.student, labeled=x, weak=u["weak"], strong=u["strong"])
        with torch.no_grad():
            taught = forward_jointly(models.teacher, key=x, weak=u["weak"])
        return forward_jointly(models.student, labeled=x, strong=u["strong"]) | taught

    def similarity(self, out: Output) -> Tensor:
        """Logits (n, N) of similarity to every labeled image."""
        return cosine(out.heads["projection"], self.bank.rows) / self.temperature - self.log_sizes

    def aggregated(self, near: Tensor) -> Tensor:
        """How similar images are to each class, from their logits (U, N): (U, K), rows sum to one."""
        return near.softmax(-1) @ one_hot(self.labels, self.num_classes)

    def calibrated(self, near: Tensor, p: Tensor) -> Tensor:
        """Similarities of logits (U, N), times what the guess p (U, K) gives the class of each, rows sum to one."""
        return (near + p.log().clamp(min=NEVER)[:, self.labels]).softmax(-1)

    @torch.no_grad()
    def pseudo_labels(self, step: Step) -> dict[str, Tensor]:
        """Those of every learner, and "instance": the classes of similar images."""
        return super().pseudo_labels(step) | {"instance": self.aggregated(self.similarity(step.out["weak"]))}

    @torch.no_grad()
    def commit(self, step: Step) -> None:
        """Keep this batch's keys, then whatever add-ons keep."""
        key = step.out["key" if self.keys == "teacher" else "labeled"]
        self.bank.write(step.batch.x_index, key.heads["projection"])
        super().commit(step)
