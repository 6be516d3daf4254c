"""USADTM: unsupervised semantic aggregation and deformable template matching (Han et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Annotated

import torch

from daso.constraints import Interval
from daso.methods.base import AddOn, Learner, Views, forward_jointly
from daso.methods.memory import ClassQueue, QueueState
from daso.models.network import Models
from daso.ops.distributions import one_hot
from daso.ops.losses import cross_entropy, masked_mean, mutual_information
from daso.ops.similarity import cosine, nearest
from daso.records import Batch, Env, Losses, Role, Step
from daso.schema import NonNegative, NonNegativeSteps, PositiveInt


class USADTM(Learner):
    """USADTM: pseudo-labels by the nearest prototype, and a clustering loss between all views (Han et al. 2020).

    Prototypes are mean features of queues that hold `queue_factor` features for each labeled image of a class. The
    pseudo-label is the class of the prototype with the largest cosine. It is used if the cosine reaches the threshold
    and this prototype is also the nearest in Euclidean distance, after `warmup` steps in which the queues fill; the
    clustering loss applies from the first step on. Pseudo-labels are never promoted to labels, as in Oh et al. 2022.
    """

    on_features = "neck"
    views = Views(x=("weak",), u=("plain", "weak", "strong"))
    provides = frozenset({"labeled", "weak", "strong"})

    def __init__(
        self,
        env: Env,
        addons: Sequence[AddOn] = (),
        *,
        cosine_threshold: Annotated[float, Interval(ge=-1, le=1)],
        weight: NonNegative,
        clustering_weight: NonNegative,
        queue_factor: PositiveInt,
        warmup: NonNegativeSteps,
    ) -> None:
        super().__init__(addons)
        self.cosine_threshold, self.weight, self.clustering_weight = cosine_threshold, weight, clustering_weight
        self.num_classes, self.warmup = env.num_classes, warmup
        self.queue = ClassQueue([queue_factor * n for n in env.counts], env.feature_dim, env.batch_size)

    def step(self, batch: Batch, models: Models) -> tuple[Losses, Step]:
        """Compute the losses with one forward pass of labeled images and all three views."""
        out = forward_jointly(models.student, labeled=batch.x["weak"], **{view: batch.u[view] for view in self.views.u})
        step = self.begin(batch, models, out)
        losses = {"supervised": self.supervised(out["labeled"].logits, step)}
        probs = [out[view].logits.softmax(-1) for view in self.views.u]
        information = torch.stack([mutual_information(one, other) for one, other in combinations(probs, 2)])
        losses["clustering"] = -self.clustering_weight * information.mean()  # fidelity: usadtm
        features, prototypes = out["weak"].features.detach(), self.queue.prototypes(self.after_push(step))
        similarity, pseudo_label = cosine(features, prototypes).max(-1)
        step = self.refine(one_hot(pseudo_label, self.num_classes), step)
        label = step.targets.argmax(-1)
        agreed = (similarity >= self.cosine_threshold) & (label == nearest(features, prototypes))
        weights = self.weigh((agreed & (batch.t >= self.warmup)).float(), Role.CONSISTENCY, step)
        step = step._replace(mask=weights > 0)
        z = self.adjust(out["strong"].logits, Role.CONSISTENCY, step)
        losses["consistency"] = self.weight * masked_mean(cross_entropy(z, label), weights)
        return losses | self.addon_losses(step), step

    @torch.no_grad()
    def after_push(self, step: Step) -> QueueState:
        """Return the state of the queues after pushing this batch; writes no state."""
        return self.queue.after_push(step.out["labeled"].features, step.batch.y)

    @torch.no_grad()
    def commit(self, step: Step) -> None:
        """Push this batch to the queues, then update the state of the add-ons."""
        self.queue.commit(self.after_push(step))
        super().commit(step)
