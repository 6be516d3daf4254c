"""DASO: distribution-aware semantics-oriented pseudo-labels (Oh et al. 2022)."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from daso.errors import ParamsError
from daso.methods.base import AddOn, Refine
from daso.methods.memory import ClassQueue, Histogram
from daso.ops.distributions import temper
from daso.ops.losses import soft_cross_entropy
from daso.ops.similarity import cosine
from daso.records import Env, Losses, Step
from daso.schema import NonNegative, NonNegativeSteps, Positive, PositiveInt, Probability, Steps


class DASO(AddOn):
    """DASO: blend of linear and semantic pseudo-labels; semantic alignment loss (Oh et al. 2022, section 3).

    The alignment loss compares weak and strong features. The semantic pseudo-label is the softmax of similarities to
    class prototypes, the mean features of balanced queues that the teacher fills. The share of the semantic
    pseudo-label in the blend grows with the recent frequency of the linear pseudo-label's class; a number as `blend`
    fixes the share. During the first `warmup` steps the queues fill, and pseudo-labels and losses are unchanged. With
    `weight` 0 there is no alignment loss, and the learner need not have a strong view.
    """

    on_features = "neck"

    def __init__(
        self,
        env: Env,
        *,
        proto_temperature: Positive,
        dist_temperature: Positive,
        queue_length: PositiveInt,
        period: Steps,
        warmup: NonNegativeSteps,
        weight: NonNegative,
        blend: Literal["distribution"] | Probability,
        queue_encoder: Literal["teacher", "student"],
        queue_capacity: Literal["equal", "proportional"],
    ) -> None:
        super().__init__()
        if warmup < period:
            raise ParamsError(
                f"add-on 'daso': warmup {warmup} is shorter than period {period}, so no pseudo-labels are counted when "
                "blending starts; raise warmup or lower period"
            )
        self.proto_temperature, self.dist_temperature = proto_temperature, dist_temperature
        self.warmup, self.weight, self.blend = warmup, weight, blend
        self.queue_view = "labeled_teacher" if queue_encoder == "teacher" else "labeled"  # fidelity: teacher-bn
        self.needs = frozenset(
            {"labeled_teacher" if queue_encoder == "teacher" else "labeled", "weak", *(("strong",) if weight else ())}
        )
        equal = queue_capacity == "equal"
        capacity = [queue_length if equal else 5 * n for n in env.counts]  # fidelity: proportional-queue
        self.queue = ClassQueue(capacity, env.feature_dim, env.batch_size)
        self.histogram = Histogram(env.num_classes, period, env.steps)

    def refine(self, probs: Tensor, step: Step) -> tuple[Tensor, Any]:
        """Return the blend (1 - v_k') p + v_k' q (Eq. 3 and 4), with k' the class of the linear pseudo-label p.

        v_k' is the tempered share of class k' in the recent pseudo-labels, q the semantic pseudo-label.
        """
        queue = self.queue.after_push(step.out[self.queue_view].features, step.batch.y)  # `commit` writes it
        prototypes = self.queue.prototypes(queue)  # (K, D)
        semantic = self.similarity(step.out["weak"].features, prototypes).softmax(-1)  # q, (U, K)
        blended = torch.lerp(probs, semantic, self.share()[probs.argmax(-1), None])
        return torch.where(step.batch.t < self.warmup, probs, blended), (queue, prototypes, semantic)

    def losses(self, step: Step, memo: Any, refine: Refine) -> Losses:
        """Return the cross-entropy of the strong view's similarities with the weak view's (Eq. 5); all images count."""
        if not self.weight:
            return {}
        _, prototypes, semantic = memo
        loss = soft_cross_entropy(self.similarity(step.out["strong"].features, prototypes), semantic).mean()
        return {"alignment": self.weight * (step.batch.t >= self.warmup) * loss}

    def commit(self, step: Step, memo: Any) -> None:
        """Write the new queue; count the final pseudo-labels, above the threshold or not."""
        self.queue.commit(memo[0])
        self.histogram.add(step.targets.argmax(-1), step.batch.t)

    def pseudo_labels(self, step: Step, memo: Any) -> dict[str, Tensor]:
        """Return the semantic pseudo-labels, available from the first step on."""
        return {"semantic": memo[2]}

    def share(self) -> Tensor:
        """Return v (K,), the share of the semantic pseudo-label in the blend, by the linear pseudo-label's class."""
        if self.blend == "distribution":
            return temper(self.histogram.published, self.dist_temperature)
        return torch.full_like(self.histogram.published, float(self.blend), dtype=torch.float32)

    def similarity(self, features: Tensor, prototypes: Tensor) -> Tensor:
        """Return cosines over the temperature: (n, D), (K, D) -> (n, K)."""
        return cosine(features, prototypes) / self.proto_temperature
