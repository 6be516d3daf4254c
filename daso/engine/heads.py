"""Linear classifiers on features that are trained at once, each as a run of supervised learning is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from daso.aliases import IntArray
from daso.engine.feature_pool import FeaturePool
from daso.engine.loader import Loader
from daso.engine.optimizer import make_optimizer, rate_table
from daso.engine.resident import Resident
from daso.methods.addons.logit_adjustment import log_shares
from daso.methods.learners.supervised import Supervised
from daso.models.network import initialise, initialise_classifier
from daso.ops.losses import cross_entropy
from daso.ops.schedules import at, teacher_decay


class Point(NamedTuple):
    """Point of the grid."""

    weight_decay: float
    tau: float


class Heads:
    """Linear classifiers (F, G, K, D): one for each of F sets of labeled images and G points of a grid.

    Each is trained as a run of supervised learning with logit adjustment in the supervised loss. The heads of a set
    share its batches.
    """

    def __init__(self, config: Mapping[str, Any], pools: Sequence[FeaturePool], grid: Sequence[Point]) -> None:
        protocol, optimizer, device = config["protocol"], config["optimizer"], pools[0].labels.device
        self.steps, classes = protocol["steps"], config["dataset"]["num_classes"]
        data = [Resident(pool, pool, pool, pool) for pool in pools]  # unlabeled and test images are not used
        self.grid = list(grid)
        self.loaders = [Loader(each, config, Supervised.views, device) for each in data]
        decay, tau = torch.tensor(grid).T
        shares = torch.stack([log_shares(pool.counts(classes)) for pool in pools])
        self.adjustment = (tau[:, None] * shares[:, None])[..., None]  # (F, G, K, 1)
        classifier = nn.Linear(pools[0].dim, classes)
        initialise(classifier, config["draw_seed"])
        if "classifier_init" in protocol:
            initialise_classifier(classifier, config["draw_seed"], protocol["classifier_init"])
        self.weight, self.bias = (
            nn.Parameter(each.detach().expand(len(pools), len(grid), *each.shape).clone())
            for each in (classifier.weight, classifier.bias)
        )
        decayed = {self.weight: decay[:, None, None]}
        self.decays = decayed | ({self.bias: decay[:, None]} if optimizer.get("decay_biases", True) else {})
        self.rates = rate_table(self.steps, optimizer)
        self.ema_decays = teacher_decay(self.steps, protocol["teacher"]["decay"])
        weights = {"classifier.weight": self.weight, "classifier.bias": self.bias}
        undecayed = {**optimizer, "weight_decay": 0.0}  # it differs by head: see `step`
        self.optimizer = make_optimizer(weights, self.rates[0].clone(), undecayed, groups={})
        self.evaluates_ema = protocol["evaluation"].get("model") == "ema"
        self.ema = {each: each.detach().clone() for each in (self.weight, self.bias)}

    def train(self) -> None:
        """Train all heads to the last step."""
        for chunks in zip(*(loader.chunks(0, self.steps) for loader in self.loaders), strict=True):
            features = torch.stack([chunk.x["weak"] for chunk in chunks], 1)
            labels = torch.stack([chunk.y for chunk in chunks], 1)
            for t, x, y in zip(chunks[0].t, features, labels, strict=True):
                self.step(t, x, y)

    def step(self, t: Tensor, features: Tensor, labels: Tensor) -> None:
        """Update all heads by the batches of step t: features (F, B, D), labels (F, B)."""
        logits = _logits(features, self.weight, self.bias) + self.adjustment
        losses = cross_entropy(logits.flatten(0, 1), labels.repeat_interleave(logits.shape[1], 0))
        self.optimizer.zero_grad()
        (losses.sum() / labels.shape[1]).backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            for each, decay in self.decays.items():
                each.grad.addcmul_(decay, each)  # type: ignore[union-attr]
            self.optimizer.rate.copy_(at(self.rates, t))
            self.optimizer.step()
            kept = at(self.ema_decays, t)
            for each, average in self.ema.items() if self.evaluates_ema else ():
                average.mul_(kept).add_(each * (1 - kept))

    @torch.no_grad()
    def predict(self, part: int, features: Tensor, point: int | None = None) -> Tensor:
        """Return the unadjusted logits (G, K, n) of features (n, D) by the evaluated heads of one set.

        With a `point` of the grid, return those of this point alone, (1, K, n).
        """
        weight, bias = self.ema.values() if self.evaluates_ema else (self.weight, self.bias)
        points = slice(None) if point is None else slice(point, point + 1)
        return _logits(features[None], weight[part, points][None], bias[part, points][None])[0]


def _logits(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return logits (F, G, K, n) of features (F, n, D) by heads (F, G, K, D) and (F, G, K)."""
    products: Tensor = torch.bmm(weight.flatten(1, 2), features.transpose(1, 2))
    return products.view(*bias.shape, -1) + bias[..., None]


def out_of_fold_logits(heads: Heads, pool: FeaturePool, folds: IntArray) -> Tensor:
    """Return the logits (N, G, K) of the plain view of each image by the heads that were not trained on its fold.

    They are NaN for images that only train (fold -1).
    """
    result = torch.full((len(pool), *heads.bias.shape[1:]), torch.nan)
    for fold in range(len(heads.bias)):
        rows = torch.from_numpy(np.flatnonzero(folds == fold))
        result[rows] = heads.predict(fold, pool.gather(rows)).permute(2, 0, 1)
    return result
