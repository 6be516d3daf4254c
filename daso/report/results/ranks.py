"""Best methods of a setting, and ranks of its methods, ours beside the published ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from daso.aliases import Tree
from daso.report.results.collect import MeanStd
from daso.report.results.judged import JudgedCell
from daso.report.results.verdicts import NOT_COMPARABLE, NOT_RUN

MIN_METHODS = 3  # with fewer methods a rank is only the sign of a gain
_ROUNDING = 1e-9


class Ranks(NamedTuple):
    """Ranks of the methods of a setting that have our number and a published one, by method; 1 is the best."""

    ours: Mapping[str, int]
    published: Mapping[str, int]
    tau: float | None  # Kendall's tau-b of both; None if one side ranks all methods equal


def best(means: Mapping[str, MeanStd]) -> set[str]:
    """Return the methods to print in bold: the best mean, and means at most its standard deviation below it.

    Means are compared as printed, with one digit, so that of two equal numbers both are bold. The best mean of a single
    run has no deviation; then only means equal to it are bold.
    """
    if not means:
        return set()
    top = max(means.values(), key=lambda value: value.mean)
    limit = round(top.mean, 1) - (top.std or 0.0) - _ROUNDING
    return {method for method, value in means.items() if round(value.mean, 1) >= limit}


def rank(values: Mapping[str, float]) -> dict[str, int]:
    """Return the rank of each value, 1 for the largest; equal values share the better rank."""
    return {name: 1 + sum(other > value for other in values.values()) for name, value in values.items()}


def table_ranks(table: Tree, judged_cells: Sequence[JudgedCell]) -> dict[str, Ranks]:
    """Return the ranks of each setting of a table that has some."""
    cells = [judged for judged in judged_cells if judged.cell.table == table["name"]]
    ranked = {
        str(setting["name"]): setting_ranks([one for one in cells if one.cell.setting == setting["name"]])
        for setting in table["settings"]
    }
    return {setting: ranks for setting, ranks in ranked.items() if ranks}


def setting_ranks(judged_cells: Sequence[JudgedCell]) -> Ranks | None:
    """Return the ranks of a setting's methods, given its cells; None with fewer than MIN_METHODS comparable cells."""
    cells = [cell for cell in judged_cells if cell.verdict.text not in (NOT_COMPARABLE, NOT_RUN)]
    ours = {cell.cell.method: cell.ours.mean for cell in cells if cell.ours and cell.published}
    published = {cell.cell.method: cell.published.mean for cell in cells if cell.ours and cell.published}
    if len(ours) < MIN_METHODS:
        return None
    return Ranks(rank(ours), rank(published), kendall(list(ours.values()), list(published.values())))


def kendall(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Return Kendall's tau-b of two sequences in the same order (Kendall 1945); None if all values of one are equal.

    It is the cosine of the two vectors of signs over all pairs. `scipy.stats` takes two seconds to import.
    """
    a, b = (np.sign(np.subtract.outer(values, values)).ravel() for values in (one, other))
    norm = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / norm if norm else None
