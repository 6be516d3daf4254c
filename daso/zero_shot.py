"""A classifier's saved logits without its own mean prediction, whatever made them (Wang et al. 2022).

A zero-shot classifier leans towards some classes even where images are balanced. What it says of a set of images is
enough to see it and to take it out: no weights, no images and no training.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from daso.data.files import atomic_write, pretty
from daso.errors import DataError, ParamsError
from daso.ops import bias
from daso.ops.confusion import FloatArray, IntArray, confusion, precision, recall, top1
from daso.ops.distributions import debiased

LARGEST = 1000  # strength; far beyond, nothing is left of the logits
BATCH = 256  # images of which the running mean takes one mean


class Debiased(NamedTuple):
    """What debiasing made of a set of images."""

    mean: FloatArray  # (K,)
    before: FloatArray  # (n, K) probabilities
    after: FloatArray


def debias(logits: FloatArray, strength: float, momentum: float | None = None, seed: int = 0) -> Debiased:
    """Logits (n, K) -> softmax(logits - strength * log mean) and what it was made of.

    The mean is that of all predictions; with a `momentum`, the running one over batches of 256 images in an order drawn
    by the seed, from an even start: what a training sees that goes through the set once. Raises ParamsError where
    strength is not from 0 to 1,000 or momentum not from 0 to below 1.
    """
    if not 0 <= strength <= LARGEST:
        raise ParamsError(f"debias: strength is from 0 to {LARGEST}, not {strength}")
    if momentum is not None and not 0 <= momentum < 1:
        raise ParamsError(f"debias: momentum is from 0 to below 1, not {momentum}")
    scores = torch.from_numpy(logits)
    before = scores.softmax(1).numpy()
    if momentum is None:
        mean = before.mean(0)
    else:
        mean = np.full(logits.shape[1], 1 / logits.shape[1])
        order = np.random.default_rng(seed).permutation(len(logits))
        for start in range(0, len(order), BATCH):
            mean = momentum * mean + (1 - momentum) * before[order[start : start + BATCH]].mean(0)
    return Debiased(mean, before, debiased(scores, torch.from_numpy(mean), strength).softmax(1).numpy())


def analysis(found: Debiased, labels: IntArray | None = None) -> dict[str, Any]:
    """How far the guesses before and after are from even, and with labels (n,) how right they are, class by class."""
    return {
        "images": len(found.before),
        "mean": [round(float(share), 6) for share in found.mean],
        "before": _told(found.before, labels),
        "after": _told(found.after, labels),
        "changed": int((found.before.argmax(1) != found.after.argmax(1)).sum()),
    }


def debias_file(
    logits: Path, labels: Path | None, out: Path, strength: float, momentum: float | None, seed: int
) -> dict[str, Any]:
    """Write `probs.npy`, (n, K) float32, and `analysis.json` to a folder; returns the analysis.

    Raises DataError where a file holds no logits (n, K), or no labels (n,) of these classes.
    """
    scores = _array(logits, "fiu", 2, "logits, an array (images, classes) of numbers")
    if min(scores.shape) < 1 or scores.shape[1] < 2 or not np.isfinite(scores).all():
        raise DataError(f"{logits}: logits are finite, of at least one image and two classes; export them again")
    truth = None if labels is None else _array(labels, "iu", 1, "labels, an array (images,) of whole numbers")
    if truth is not None:
        known = set(range(scores.shape[1]))
        if len(truth) != len(scores) or not (found := set(truth.tolist())) <= known:
            told = f"from {min(found)} to {max(found)} " if len(truth) == len(scores) else ""
            raise DataError(
                f"{labels}: {len(truth)} labels {told}do not suit {len(scores)} images of {len(known)} classes; export "
                "both in one order, classes from 0"
            )
        truth = truth.astype(np.int64)
    made = debias(scores.astype(np.float64), strength, momentum, seed)
    result = {"strength": strength, "momentum": momentum, "seed": seed, **analysis(made, truth)}
    with atomic_write(out / "probs.npy") as file:
        np.save(file, made.after.astype(np.float32))
    with atomic_write(out / "analysis.json") as file:
        file.write(pretty(result))
    return result


def summary(result: dict[str, Any]) -> str:
    """The numbers of an analysis that say the most, before and after, as lines of text."""
    names = {
        "imbalance": "most over least guessed class",
        "divergence": "KL to even shares, nats",
        "evenness": "entropy over its largest",
        "accuracy": "accuracy",
        "balanced_accuracy": "mean recall of classes",
    }
    moved = f"{result['images']:,} images, {result['changed']:,} of another class now"
    lines = [moved, f"{'':31}{'before':>9}{'after':>9}"]
    for name, title in names.items():
        pair = [result[when].get(name) for when in ("before", "after")]
        if name in result["before"]:
            lines.append(f"{title:31}" + "".join(f"{'-' if value is None else f'{value:.3f}':>9}" for value in pair))
    return "\n".join(lines)


def _told(probs: FloatArray, labels: IntArray | None) -> dict[str, Any]:
    guesses, classes = probs.argmax(1), probs.shape[1]
    counts = bias.histogram(guesses, classes)
    told = {
        "histogram": counts.tolist(),
        "imbalance": _rounded(bias.imbalance(counts)),
        "divergence": _rounded(bias.divergence(counts)),
        "evenness": _rounded(bias.evenness(counts)),
    }
    if labels is None:
        return told
    matrix = confusion(labels, guesses, classes)
    return told | {
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
        raise DataError(f"{path}: not readable as {what} ({error}); write it with numpy.save") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in kinds or array.ndim != dimensions:
        raise DataError(f"{path}: does not hold {what}; write it with numpy.save")
    return array
