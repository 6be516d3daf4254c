"""Class names, and the numbers of a panel as the rows of a table, one for each class."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from daso.report.collect import Cell, plus_minus
from daso.report.curves import Curve, FloatArray

NAMED = 20  # classes whose names fit on an axis
WIDTH = 14  # columns of a name on an axis
FREQUENT = 4  # predictions that are listed of a class where there are more than NAMED classes
RANK = "rank by number of labels (names: table)"


class Classes(NamedTuple):
    """The names of a setting's classes by rank, the class with the most labels first."""

    names: list[str]  # of every seed where ranks differ between seeds: "seed 0: cat, seed 1: dog"
    shared: bool  # True if every run ranks the classes alike

    @property
    def labels(self) -> list[str]:
        """Return the names of classes for running text."""
        return self.names if self.shared else [f"rank {rank}" for rank in range(1, len(self.names) + 1)]


class ByClass(NamedTuple):
    """The numbers of a panel for each class, as text: the rows of a table, which its tooltips repeat."""

    title: str  # distinguishes the panel from others of the same setting and note
    columns: list[str]  # the heads of place and class, then those of the values
    rows: list[list[str]]
    axis: str  # label of the axis of classes
    ticks: list[str]  # short names; empty where the axis has places instead

    @property
    def tips(self) -> list[str]:
        """Return a tooltip for each class: its name in full, its place and its values."""
        place, _, *heads = self.columns
        return [
            f"{name}, {place.lower()} {at}: {'; '.join(map(' '.join, zip(heads, values, strict=True)))}"
            for at, name, *values in self.rows
        ]


def classes_of(cells: Iterable[Cell]) -> Classes:
    """Return the classes of the finished runs of a setting; none where no run is finished."""
    ranked = {
        seed: [metrics["classes"][k] for k in metrics["class_order"]]
        for cell in cells
        for seed, metrics in cell.done.items()
    }
    first, *others = ranked.values() or [[]]
    if all(names == first for names in others):
        return Classes(first, shared=True)
    seeds = sorted(ranked)
    each = zip(*(ranked[seed] for seed in seeds), strict=True)
    return Classes(
        [names[0] if len(set(names)) == 1 else ", ".join(map("seed {}: {}".format, seeds, names)) for names in each],
        shared=False,
    )


def by_class(classes: Classes, values: Mapping[str, Sequence[str]], title: str = "") -> ByClass:
    """Return the rows of a panel over ranks; `values` has a text for each rank, by the head of its column."""
    each = zip(classes.names, *values.values(), strict=True)
    rows = [[str(rank), *row] for rank, row in enumerate(each, 1)]
    named = classes.shared and len(rows) <= NAMED
    axis, ticks = ("class, most labels first", tick_names(classes.names)) if named else (RANK, [])
    return ByClass(title, ["Rank", "Class", *values], rows, axis, ticks)


def percents(curve: Curve) -> list[str]:
    """Return the mean and deviation at each place of a curve; a dash where there is none."""
    return [
        "–" if math.isnan(mean) else plus_minus(mean, None if math.isnan(std) else std, curve.n)
        for mean, std in zip(curve.mean, curve.std, strict=True)
    ]


def predictions(shares: FloatArray, labels: Sequence[str]) -> list[str]:
    """Return what the images of each class are predicted as, in percent, the most frequent class first.

    Of shares (K, K), all that round to 1 or more, but at most FREQUENT where there are more than NAMED classes.
    """
    most = len(labels) if len(labels) <= NAMED else FREQUENT
    found = []
    for row in shares:
        frequent = [k for k in np.argsort(-row, kind="stable")[:most] if row[k] >= 0.005]
        found.append("; ".join(f"{labels[k]}: {100 * row[k]:.0f}" for k in frequent) or "–")
    return found


def merged(lists: Iterable[Sequence[str]]) -> list[str]:
    """Return the names at each place of some lists, one list for each seed; a name that seeds share stands once."""
    return [", ".join(dict.fromkeys(names)) for names in zip(*lists, strict=True)]


def columns(text: str) -> int:
    """Return the columns that a text takes: two for a wide character, none for a combining one."""
    return sum(0 if unicodedata.combining(each) else 1 + wide(each) for each in text)


def wide(text: str) -> int:
    """Return the number of wide characters, as of Chinese, Japanese and Korean."""
    return sum(unicodedata.east_asian_width(each) in "WF" for each in text)


def tick_names(names: Sequence[str]) -> list[str]:
    """Return short names for the places 1, 2, ... of an axis; those that would be cut alike begin with the place."""
    found = [short(name) for name in names]
    return [text if found.count(text) == 1 else short(f"{place} {text}") for place, text in enumerate(found, 1)]


def short(name: str, width: int = WIDTH) -> str:
    """Return a name of at most `width` columns, cut in the middle: long names differ at either end."""
    if columns(name) <= width:
        return name
    head, tail = name, name
    while columns(head) > width // 2:
        head = head[:-1]
    while columns(tail) > (width - 1) // 2 or unicodedata.combining(tail[0]):
        tail = tail[1:]
    return f"{head}…{tail}"
