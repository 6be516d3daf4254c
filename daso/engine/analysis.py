"""Where the pseudo-labels of a finished run went, from the counts and features it has left; numpy alone.

The analyses of Oh et al. 2022 (section 1, figure 2) and Wang et al. 2022 (section 3), for every method.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daso.data.run_files import FinishedRun
from daso.errors import DataError
from daso.ops.bias import concentration, divergence, evenness, extremes, imbalance, neighbours, similarity
from daso.ops.confusion import IntArray, groups, precision, recall
from daso.ops.tsne import tsne
from daso.paths import rebuild_hint

POINTS = 20  # of training, at most
EXTREME, NEAREST = 10, 9  # classes over- and under-predicted most, and to how many others each is compared
PLACED = 200  # images of the t-SNE, which takes a tenth of a second
FEWEST = 10  # images that make one
MODEL = "model"  # the final network's guesses of all unlabeled images, beside what steps have counted
Arrays = Mapping[str, NDArray[Any]]


def analysis(run: FinishedRun, class_order: Sequence[int]) -> dict[str, Any] | None:
    """All of it for one run, small enough to be kept; None of a run that left nothing of the kind.

    "steps" (P,): where the windows end that stand together, 20 at most; "sources": `source` of each kind of
    pseudo-label; "of": the kind whose "confusion" (K, K) and "errors", shares that go to the commonest wrong class and
    to the two commonest, follow, None where no true label is known; "similarity": see `likeness`; "tsne".
    """
    names = run.held()
    if "final_counts" not in names:
        return None
    wanted = [name for name in names if name not in ("logits", "labels", "unlabeled")]
    held: Arrays = dict(zip(wanted, run.arrays(*wanted), strict=True))
    if wrong := _misfit(held, len(class_order)):
        path = run.folder / "predictions.npz"
        raise DataError(f"{path}: {wrong}; {rebuild_hint(path)}")
    kinds = [name.removeprefix("last_") for name in names if name.startswith("last_")]
    of = "final" if "final" in kinds else MODEL
    counts = held["last_final" if of == "final" else "final_counts"]
    ends, merged = windows(held, kinds)
    sources = {kind: source(held[f"last_{kind}"], class_order, merged[kind], merged["truth"]) for kind in kinds}
    known = counts[:-1]
    return {
        "steps": ends,
        "sources": sources | {MODEL: source(held["final_counts"], class_order)},
        "of": of,
        "confusion": known.tolist() if known.any() else None,
        "errors": {f"top{n}": _thin(concentration(known, n)) for n in (1, 2)} if known.any() else None,
        "similarity": likeness(held["class_features"], counts),
        "tsne": _placed(held),
    }


def windows(held: Arrays, kinds: Sequence[str]) -> tuple[list[int], dict[str, IntArray]]:
    """Neighbouring windows added up until at most 20 are left: the step at which each ends, and its counts by kind."""
    if not kinds:
        return [], {}
    ends = np.cumsum(held["steps"])
    parts = np.array_split(np.arange(len(ends)), min(POINTS, len(ends)))
    columns = {"truth": held["truth"]} | {kind: held[f"window_{kind}"] for kind in kinds}
    merged = {name: np.stack([column[part].sum(0) for part in parts]) for name, column in columns.items()}
    return [int(ends[part[-1]]) for part in parts], merged


def source(
    table: IntArray, class_order: Sequence[int], course: IntArray | None = None, truth: IntArray | None = None
) -> dict[str, Any]:
    """One kind of pseudo-label at the end, of a table (K + 1, K), and along the `course` (P, 2, K) of training.

    "counts": guesses of each class, and by them three indices; precision and recall of each class, None where no true
    label is known or none is guessed; over training "histogram" (P, K), shares of the guesses, and the recall of many,
    medium and few classes (P,), of the images that were there, `truth` (P, K).
    """
    counts, known = table.sum(0), table[:-1]
    found: dict[str, Any] = {
        "counts": counts.tolist(),
        "indices": {name: _round(measure(counts)) for name, measure in INDICES.items()},
        "recall": _thin(recall(known)) if known.any() else None,
        "precision": _thin(precision(known)) if known.any() else None,
    }
    if course is None or truth is None:
        return found | {"histogram": None, "groups": None}
    shares = course[:, 0] / np.maximum(course[:, 0].sum(1, keepdims=True), 1)
    found["histogram"] = [_thin(row) for row in shares]
    recalls = np.divide(course[:, 1], truth, out=np.full(truth.shape, np.nan), where=truth > 0)
    rows = [groups(row, class_order) for row in recalls]
    found["groups"] = {name: [_round(row[name]) for row in rows] for name in rows[0]} if truth.any() else None
    return found


def likeness(means: NDArray[Any], counts: IntArray) -> dict[str, Any]:
    """How like their nearest classes those are that are predicted most and least: cosines of class means (K, D).

    "by" says what is meant, of counts (K + 1, K): "truth", guesses over true images, or where no class is known
    "guesses" alone.
    """
    cosines, known = similarity(means.astype(np.float64)), counts[:-1]
    found: dict[str, Any] = {"by": "truth" if known.any() else "guesses"}
    few = min(EXTREME, max(1, len(known) // 2))  # so that no class is among both
    ends = extremes(_lean(known) if known.any() else counts.sum(0), few)
    for name, classes in zip(("most", "least"), ends, strict=True):
        nearest, alike = neighbours(cosines, classes, NEAREST)
        found[name] = {
            "classes": classes.tolist(),
            "nearest": nearest.tolist(),
            "cosine": [_thin(row) for row in alike],
        }
    return found


def _lean(counts: IntArray) -> IntArray:
    """Place of each class (K,), alike where equal, by guesses over true images; a class without images by guesses."""
    return np.unique(counts.sum(0) / np.maximum(counts.sum(1), 1), return_inverse=True)[1]


def _placed(held: Arrays) -> dict[str, Any] | None:
    """t-SNE of some unlabeled images, with true classes, -1 where unknown, and the final network's guesses."""
    features = held["sample_features"].astype(np.float64)[:PLACED]
    if len(features) < FEWEST or not np.isfinite(features).all():
        return None
    places = tsne(features)
    labels = {name: held[f"sample_{name}"][:PLACED].tolist() for name in ("labels", "guesses")}
    return {"x": np.round(places[:, 0], 1).tolist(), "y": np.round(places[:, 1], 1).tolist(), **labels}


def _misfit(held: Arrays, classes: int) -> str | None:
    """The first array that does not have the shape that a run of so many classes leaves."""
    number, points = len(held["sample_labels"]), len(held.get("steps", ()))
    forms = {"final_counts": (classes + 1, classes), "steps": (points,), "truth": (points, classes)}
    forms |= {"sample_labels": (number,), "sample_guesses": (number,)}
    forms |= {name: (classes + 1, classes) for name in held if name.startswith("last_")}
    forms |= {name: (points, 2, classes) for name in held if name.startswith("window_")}
    wrong = (name for name, form in forms.items() if name in held and held[name].shape != form)
    return next((f"{name} has the shape {held[name].shape}, not {forms[name]}" for name in wrong), None)


def _never(counts: IntArray) -> float:
    return float((counts == 0).sum())


INDICES = {"imbalance": imbalance, "never": _never, "divergence": divergence, "evenness": evenness}


def _round(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), 4)


def _thin(values: NDArray[Any]) -> list[float | None]:
    return [_round(value) for value in values.tolist()]
