"""Sentences beside the verdict: the class with the lowest recall, and unlabeled images that are like no class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from daso.aliases import Tree
from daso.report.results.collect import Cell, format_mean_std, mean_std
from daso.report.results.controls import UnlabeledVerdict
from daso.report.tables.class_results import most_confused, span


def setting_remarks(suite: str, cells: Sequence[Cell], verdict: UnlabeledVerdict) -> Iterator[tuple[str, str]]:
    """Yield topic and text of each remark about the recommended model of a setting of a suite."""
    cell = next(c for c in cells if (c.setting, c.method) == (verdict.setting, verdict.recommendation.method))
    runs = list(cell.done.values())
    yield from filter(None, [_lowest_recall(runs, verdict.not_measured), _unlike(suite, runs)])


def _lowest_recall(runs: Sequence[Tree], not_measured: Sequence[str]) -> tuple[str, str] | None:
    """Return the measured class with the lowest recall, with its labels and confusions; None if all are right."""
    names, counts = runs[0]["classes"], np.sum([run["confusion"] for run in runs], axis=0)
    recalls = {
        k: mean_std([100 * run["recall"][k] for run in runs if run["recall"][k] is not None])
        for k, name in enumerate(names)
        if name not in not_measured
    }
    known = {k: recall for k, recall in recalls.items() if recall}
    lowest = min(known, key=lambda k: known[k].mean)
    if known[lowest].mean == 100:
        return None
    labels = span([run["counts"]["labeled"][lowest] for run in runs])
    text = f"{names[lowest]}, {format_mean_std(*known[lowest])} % with {labels} labels; taken for "
    return "Lowest recall", text + most_confused(counts[lowest], lowest, names)


def _unlike(suite: str, runs: Sequence[Mapping[str, Tree]]) -> tuple[str, str] | None:
    """Return the share of unlabeled images beyond the threshold of a fit; None without one or without such images."""
    fits = [run["fit"] for run in runs if run.get("fit", {}).get("unlike_threshold") is not None]
    fits = [fit for fit in fits if fit["unlabeled"]]
    share = mean_std([100 * fit["unlabeled_unlike"] / fit["unlabeled"] for fit in fits])
    if share is None:
        return None
    number, images = (span([fit[name] for fit in fits]) for name in ("unlabeled_unlike", "unlabeled"))
    text = (
        f"{format_mean_std(*share)} % of the unlabeled images ({number} of {images}) are farther from every labeled "
        "image, in the features, than 95 % of the labeled images are from others. Without images of other kinds about "
        "5 % are; an image of another kind may resemble a class, and is then not counted. "
        f"`daso outliers {suite}` lists them"
    )
    return "Like no class", text
