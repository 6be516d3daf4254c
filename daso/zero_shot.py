"""Debias saved logits of any classifier by its mean prediction (Wang et al. 2022).

A zero-shot classifier is biased towards some classes even on balanced images. Its predictions on a set of images are
enough to measure and remove the bias; neither weights nor images nor training are needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from daso.aliases import FloatArray, IntArray
from daso.data.files import atomic_write, format_json, write_file
from daso.errors import DataError, ParamsError
from daso.ops import bias
from daso.ops.confusion import confusion, precision, recall, top1
from daso.ops.distributions import debiased, running_mean

MAX_STRENGTH = 1000  # upper bound of the strength; far above it, the logits have no effect
BATCH = 256  # images in one update of the running mean


class Debiased(NamedTuple):
    """Predictions of a set of images before and after debiasing, and the mean prediction."""

    mean: FloatArray  # (K,)
    before: FloatArray  # (n, K) probabilities
    after: FloatArray


def debias_logits(logits: FloatArray, strength: float, momentum: float | None = None, seed: int = 0) -> Debiased:
    """Return softmax(logits - strength * log mean) of logits (n, K), with the mean and the probabilities before.

    The mean is over all predictions. With a `momentum` it is the running mean over batches of 256 images in an order
    drawn by the seed, starting from the uniform distribution, as in a training of one epoch. Raises ParamsError if
    strength is outside [0, 1000] or momentum outside [0, 1).
    """
    if not 0 <= strength <= MAX_STRENGTH:
        raise ParamsError(f"debias: --strength {strength}: expected a number from 0 to {MAX_STRENGTH}; 0.4 is usual")
    if momentum is not None and not 0 <= momentum < 1:
        raise ParamsError(f"debias: --momentum {momentum}: expected a number in [0, 1); omit it for the mean over all")
    scores = torch.from_numpy(logits)
    before = scores.softmax(1)
    if momentum is None:
        mean = before.mean(0)
    else:
        mean = torch.full((logits.shape[1],), 1 / logits.shape[1], dtype=torch.float64)
        order = torch.from_numpy(np.random.default_rng(seed).permutation(len(logits)))
        for batch in torch.split(order, BATCH):
            mean = running_mean(mean, before[batch].mean(0), momentum)
    return Debiased(mean.numpy(), before.numpy(), debiased(scores, mean, strength).softmax(1).numpy())


def analysis(result: Debiased, labels: IntArray | None = None) -> dict[str, Any]:
    """Return the bias of the predictions before and after and, with labels (n,), their accuracy by class."""
    return {
        "images": len(result.before),
        "mean": [round(float(share), 6) for share in result.mean],
        "before": _measures(result.before, labels),
        "after": _measures(result.after, labels),
        "changed": int((result.before.argmax(1) != result.after.argmax(1)).sum()),
    }


def debias_file(
    logits: Path, labels: Path | None, out: Path, strength: float, momentum: float | None, seed: int
) -> dict[str, Any]:
    """Write `probs.npy`, (n, K) float32, and `analysis.json` to a folder, and return the analysis.

    Raises DataError if a file does not hold logits (n, K), or labels (n,) of these classes.
    """
    scores = _array(logits, "fiu", 2, "logits, an array (images, classes) of numbers")
    if min(scores.shape) < 1 or scores.shape[1] < 2 or not np.isfinite(scores).all():
        raise DataError(f"{logits}: expected finite logits of at least one image and two classes; export them again")
    truth = None if labels is None else _array(labels, "iu", 1, "labels, an array (images,) of integers")
    if truth is not None:
        known = set(range(scores.shape[1]))
        if len(truth) != len(scores) or not (values := set(truth.tolist())) <= known:
            span = f"from {min(values)} to {max(values)} " if len(truth) == len(scores) else ""
            raise DataError(
                f"{labels}: {len(truth)} labels {span}do not match {len(scores)} images of {len(known)} classes; "
                "export both in one order, classes from 0"
            )
        truth = truth.astype(np.int64)
    debiased_set = debias_logits(scores.astype(np.float64), strength, momentum, seed)
    result = {"strength": strength, "momentum": momentum, "seed": seed, **analysis(debiased_set, truth)}
    with atomic_write(out / "probs.npy") as file:
        np.save(file, debiased_set.after.astype(np.float32))
    write_file(out / "analysis.json", format_json(result))
    return result


def summary(result: dict[str, Any]) -> str:
    """Return the main numbers of an analysis, before and after, as lines of text."""
    names = {
        "imbalance": "largest over smallest predicted class",
        "divergence": "KL to uniform, nats",
        "evenness": "entropy over its maximum",
        "accuracy": "accuracy",
        "balanced_accuracy": "mean recall of classes",
    }
    changed = f"{result['images']:,} images, {result['changed']:,} with a different predicted class"
    lines = [changed, f"{'':38}{'before':>9}{'after':>9}"]
    for name, title in names.items():
        pair = [result[when].get(name) for when in ("before", "after")]
        if name in result["before"]:
            lines.append(f"{title:38}" + "".join(f"{'-' if value is None else f'{value:.3f}':>9}" for value in pair))
    return "\n".join(lines)


def _measures(probs: FloatArray, labels: IntArray | None) -> dict[str, Any]:
    predictions, classes = probs.argmax(1), probs.shape[1]
    counts = np.bincount(predictions, minlength=classes)
    measures = {
        "histogram": counts.tolist(),
        "imbalance": _rounded(bias.imbalance(counts)),
        "divergence": _rounded(bias.divergence(counts)),
        "evenness": _rounded(bias.evenness(counts)),
    }
    if labels is None:
        return measures
    matrix = confusion(labels, predictions, classes)
    return measures | {
        "accuracy": _rounded(top1(matrix)),
        "balanced_accuracy": _rounded(np.nanmean(recall(matrix))),
        "recall": [_rounded(value) for value in recall(matrix)],
        "precision": [_rounded(value) for value in precision(matrix)],
        "errors_to_first": [_rounded(value) for value in bias.concentration(matrix, 1)],
        "errors_to_two": [_rounded(value) for value in bias.concentration(matrix, 2)],
    }


def _rounded(value: float | np.floating[Any]) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None


def _array(path: Path, kinds: str, dimensions: int, what: str) -> NDArray[Any]:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise DataError(f"{path}: not readable as {what} ({reason}); write it with numpy.save") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in kinds or array.ndim != dimensions:
        raise DataError(f"{path}: expected {what}; write it with numpy.save")
    return array
