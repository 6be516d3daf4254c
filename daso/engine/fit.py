"""Fit weight decay and logit adjustment to a split, by out-of-fold predictions of its labeled images on features.

The heads of all folds and all points of the grid are trained at once, each as a run of the configuration is. At the
chosen point, heads of self-training then predict the labeled images in the same way.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from daso.aliases import FloatArray, IntArray
from daso.data.folds import draw_folds
from daso.engine.feature_pool import FeaturePool
from daso.engine.heads import Heads, Point, out_of_fold_logits
from daso.engine.self_training import PoolOf, self_training_logits
from daso.ops.calibration import balanced_log_loss, balanced_weights, fit_temperature
from daso.ops.losses import cross_entropy


def fit_labels(
    config: Mapping[str, Any], pool: FeaturePool, groups: IntArray, unlabeled: int, pool_of: PoolOf
) -> tuple[dict[str, Any], dict[str, FloatArray | IntArray]]:
    """Choose a point of the grid by the class-balanced log loss of calibrated predictions: `choose_point`.

    `groups` (N,) are those of the images of the pool, of which no two folds share one; `pool_of` returns pools of these
    and of the unlabeled images. Returns the record of the fit, and arrays: `folds` (N,), -1 for images that only train,
    and `logits` and `self_training_logits` (N, K), NaN for these. With too few labels or groups the chosen values are
    None and temperatures are 1; without unlabeled images, that of self-training is None.
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
        "self_training_temperature": 1.0 if unlabeled else None,
    }
    unknown = np.full((len(labels), classes), np.nan, np.float32)
    if note := _too_few(record, options["least_labels"]):
        logging.warning("%s: %s", config["run"], note)
        defaults: dict[str, Any] = {"weight_decay": None, "tau": None, "temperature": 1.0, "grid": []}
        arrays = {"folds": np.full_like(folds, -1), "logits": unknown, "self_training_logits": unknown}
        return {**record, **defaults, "note": note}, arrays
    heads, points, predictions = _score_grid(config, pool, folds)
    default = next((each["tau"] for each in config["method"]["addons"] if each["name"] == "logit_adjustment"), 1.0)
    chosen = choose_point(points, default)
    record |= {name: points[chosen][name] for name in ("weight_decay", "tau", "temperature")}
    arrays = {"folds": folds, "logits": predictions[:, chosen].numpy(), "self_training_logits": unknown}
    if unlabeled:
        logits = self_training_logits(config, heads, chosen, labels, folds, unlabeled, pool_of)
        record["self_training_temperature"] = fit_temperature(logits[scored], labels[scored])
        arrays["self_training_logits"] = logits.numpy()
    return {**record, "grid": points, "note": ""}, arrays


def _score_grid(
    config: Mapping[str, Any], pool: FeaturePool, folds: IntArray
) -> tuple[Heads, list[dict[str, float]], Tensor]:
    """Return the trained heads of all folds, the points of the grid with their scores, and logits (N, G, K)."""
    options, scored = config["fit"], torch.from_numpy(folds >= 0)
    grid = [Point(*values) for values in product(options["weight_decay"], options["tau"])]
    heads = Heads(config, [part_of(pool, folds != fold) for fold in range(int(folds.max()) + 1)], grid)
    heads.train()
    logits = out_of_fold_logits(heads, pool, folds)
    scores = [score(logits[scored, i], pool.labels[scored], folds[folds >= 0]) for i in range(len(grid))]
    return heads, [{**point._asdict(), **each} for point, each in zip(grid, scores, strict=True)], logits


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
