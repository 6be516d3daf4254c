"""Fit weight decay and logit adjustment to a split, by out-of-fold predictions of its labeled images on features.

The heads of all folds and all points of the grid are trained at once, each as a run of the configuration is.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from daso.aliases import FloatArray, IntArray
from daso.data.folds import draw_folds
from daso.engine.feature_pool import FeaturePool
from daso.engine.loader import Loader
from daso.engine.optimizer import make_optimizer, rate_table
from daso.engine.resident import Resident
from daso.methods.addons.logit_adjustment import log_shares
from daso.methods.learners.supervised import Supervised
from daso.models.network import initialise, initialise_classifier
from daso.ops.calibration import balanced_log_loss, balanced_weights, fit_temperature
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
    def predict(self, part: int, features: Tensor) -> Tensor:
        """Return the unadjusted logits (G, K, n) of features (n, D) by the evaluated heads of one set."""
        weight, bias = self.ema.values() if self.evaluates_ema else (self.weight, self.bias)
        return _logits(features[None], weight[part, None], bias[part, None])[0]


def _logits(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return logits (F, G, K, n) of features (F, n, D) by heads (F, G, K, D) and (F, G, K)."""
    products: Tensor = torch.bmm(weight.flatten(1, 2), features.transpose(1, 2))
    return products.view(*bias.shape, -1) + bias[..., None]


def fit_labels(
    config: Mapping[str, Any], pool: FeaturePool, groups: IntArray
) -> tuple[dict[str, Any], dict[str, FloatArray | IntArray]]:
    """Choose a point of the grid by the class-balanced log loss of calibrated predictions: `choose_point`.

    `groups` (N,) are those of the images of the pool, of which no two folds share one. Returns the record of the fit,
    and arrays: `folds` (N,), -1 for images that only train, and `logits` (N, K), NaN for these. With too few labels or
    groups the chosen values are None and the temperature is 1.
    """
    options, labels, classes = config["fit"], pool.labels, config["dataset"]["num_classes"]
    folds = draw_folds(labels.numpy(), groups, options["folds"], config["seed"])
    scored = torch.from_numpy(folds >= 0)
    record = {
        "labels": len(labels),
        "groups": len(np.unique(groups)),
        "folds": int(folds.max()) + 1,
        "scored": int(scored.sum()),
        "unscored_classes": sorted(set(range(classes)) - set(labels[scored].tolist())),
    }
    logits = torch.full((len(labels), classes), torch.nan)
    if note := _too_few(record, options["least_labels"]):
        logging.warning("%s: %s", config["run"], note)
        defaults: dict[str, Any] = {"weight_decay": None, "tau": None, "temperature": 1.0, "grid": []}
        return {**record, **defaults, "note": note}, {"folds": np.full_like(folds, -1), "logits": logits.numpy()}
    grid = [Point(*values) for values in product(options["weight_decay"], options["tau"])]
    predictions = out_of_fold_logits(config, pool, folds, grid)[scored]
    scores = [score(predictions[:, i], labels[scored], folds[folds >= 0]) for i in range(len(grid))]
    default = next((each["tau"] for each in config["method"]["addons"] if each["name"] == "logit_adjustment"), 1.0)
    points = [{**point._asdict(), **each} for point, each in zip(grid, scores, strict=True)]
    chosen = choose_point(points, default)
    logits[scored] = predictions[:, chosen]
    fitted = {name: points[chosen][name] for name in ("weight_decay", "tau", "temperature")}
    fitted |= {"grid": points, "note": ""}
    return {**record, **fitted}, {"folds": folds, "logits": logits.numpy()}


def choose_point(points: Sequence[Mapping[str, float]], tau: float) -> int:
    """Return the position of the chosen point, by the rule of one standard error (Hastie et al. 2009, section 7.10).

    Of all points whose loss is at most one standard error above the least one, those with the tau nearest to the given
    one are preferred, of these the one with the largest weight decay.
    """
    least = min(points, key=lambda point: point["loss"])
    near = [i for i, point in enumerate(points) if point["loss"] <= least["loss"] + least["error"]]
    return min(near, key=lambda i: (abs(points[i]["tau"] - tau), -points[i]["weight_decay"]))


def _too_few(record: Mapping[str, Any], least: int) -> str:
    """Return the reason why nothing is fitted; empty if values are fitted."""
    if record["labels"] < least:
        reason = f"{record['labels']} labels, fewer than fit.least_labels ({least})"
    elif not record["folds"]:
        reason = f"{record['labels']} labels in {record['groups']} groups, too few for two classes in two folds"
    else:
        return ""
    return f"{reason}: weight decay and tau keep their defaults"


def out_of_fold_logits(config: Mapping[str, Any], pool: FeaturePool, folds: IntArray, grid: Sequence[Point]) -> Tensor:
    """Return the logits (N, G, K) of the plain view of each image by heads that were not trained on its fold.

    They are NaN for images that only train (fold -1).
    """
    number = int(folds.max()) + 1
    heads = Heads(config, [part_of(pool, folds != fold) for fold in range(number)], grid)
    heads.train()
    result = torch.full((len(pool), len(grid), config["dataset"]["num_classes"]), torch.nan)
    for fold in range(number):
        rows = torch.from_numpy(np.flatnonzero(folds == fold))
        result[rows] = heads.predict(fold, pool.gather(rows)).permute(2, 0, 1)
    return result


def part_of(pool: FeaturePool, mask: IntArray) -> FeaturePool:
    """Return the pool of the images of a mask (N,) bool."""
    rows = torch.from_numpy(np.flatnonzero(mask))
    return FeaturePool(pool.images, pool.labels[rows], rows if pool.rows is None else pool.rows[rows])


def score(logits: Tensor, labels: Tensor, folds: IntArray) -> dict[str, float]:
    """Return the class-balanced log loss of logits (n, K) at their best temperature.

    It comes with this temperature and with its standard error over the folds (n,). Without a temperature, the scale of
    the logits would choose the weight decay.
    """
    temperature = fit_temperature(logits, labels)
    logits = logits / temperature
    weights, losses = balanced_weights(labels), cross_entropy(logits.double(), labels)
    rows = [torch.from_numpy(folds == fold) for fold in np.unique(folds)]
    means = torch.stack([weights[each] @ losses[each] / weights[each].sum() for each in rows])
    error = float(means.std() / len(rows) ** 0.5)
    return {"loss": balanced_log_loss(logits, labels), "error": error, "temperature": temperature}
