"""Class names on axes, in tooltips and in the tables of figures, one row for each class."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from daso.aliases import FloatArray
from daso.report.results.collect import Cell, format_mean_std
from daso.report.results.curves import Curve
from daso.report.tables.table import Column

MAX_NAMED = 20  # an axis with more classes shows ranks
MAX_WIDTH = 14  # columns of a class name on an axis
MAX_PREDICTIONS = 4  # predictions listed for each class if there are more than MAX_NAMED classes
NO_CLASS = "no class"
RANK_AXIS = "rank by number of labels (names: table)"


class ClassNames(NamedTuple):
    """Names of a setting's classes by rank, the class with the most labels first."""

    names: list[str]  # if seeds rank classes differently, the name for each seed: "seed 0: cat, seed 1: dog"
    shared: bool  # True if all runs rank the classes in the same order

    @property
    def labels(self) -> list[str]:
        """Return names for running text; ranks if the names differ between seeds."""
        return self.names if self.shared else [f"rank {rank}" for rank in range(1, len(self.names) + 1)]

    def with_outside(self, rows: int) -> ClassNames:
        """Return the names of the rows of a matrix, which may have a row more than classes, for images of no class."""
        return self._replace(names=[*self.names, *[NO_CLASS] * (rows - len(self.names))])


class ClassTable(NamedTuple):
    """Numbers of a panel for each class, as text: the rows of a table and the panel's tooltips."""

    title: str  # distinguishes the panel from other panels of the same setting and note
    columns: list[str]  # headers of rank (or place) and class, then of the values
    rows: list[list[str]]
    axis_label: str
    ticks: list[str]  # short names; empty if the axis shows ranks

    @property
    def as_columns(self) -> list[Column]:
        """Return the columns of the table."""
        rank, *headers = self.columns
        return [Column(rank), *(Column(header, "text") for header in headers)]

    @property
    def tooltips(self) -> list[str]:
        """Return a tooltip for each class: its full name, its rank and, unless there are many, its values."""
        rank, _, *headers = self.columns
        if len(self.rows) > MAX_NAMED:  # the table has the values; as tooltips, too, they would be half of a large page
            return [f"{name}, {rank.lower()} {number}" for number, name, *_ in self.rows]
        return [
            f"{name}, {rank.lower()} {number}: {'; '.join(map(' '.join, zip(headers, values, strict=True)))}"
            for number, name, *values in self.rows
        ]


def class_names(cells: Iterable[Cell]) -> ClassNames:
    """Return the class names of the done runs of a setting; empty without a done run."""
    ranked = {
        seed: [metrics["classes"][k] for k in metrics["class_order"]]
        for cell in cells
        for seed, metrics in cell.done.items()
    }
    first, *others = ranked.values() or [[]]
    if all(names == first for names in others):
        return ClassNames(first, shared=True)
    seeds = sorted(ranked)
    by_rank = zip(*(ranked[seed] for seed in seeds), strict=True)
    return ClassNames(
        [names[0] if len(set(names)) == 1 else ", ".join(map("seed {}: {}".format, seeds, names)) for names in by_rank],
        shared=False,
    )


def class_table(classes: ClassNames, values: Mapping[str, Sequence[str]], title: str = "") -> ClassTable:
    """Return the table of a panel over class ranks; `values` maps a column's header to a text for each rank."""
    by_rank = zip(classes.names, *values.values(), strict=True)
    rows = [[str(rank), *row] for rank, row in enumerate(by_rank, 1)]
    has_names = classes.shared and len(rows) <= MAX_NAMED
    axis_label, ticks = ("class, most labels first", tick_names(classes.names)) if has_names else (RANK_AXIS, [])
    return ClassTable(title, ["Rank", "Class", *values], rows, axis_label, ticks)


def format_curve(curve: Curve) -> list[str]:
    """Return mean ± standard deviation at each point of a curve as text; a dash for NaN."""
    return [
        "–" if math.isnan(mean) else format_mean_std(mean, None if math.isnan(std) else std, curve.n)
        for mean, std in zip(curve.mean, curve.std, strict=True)
    ]


def format_predictions(shares: FloatArray, labels: Sequence[str]) -> list[str]:
    """Return the predicted classes of each true class with their percentages, the most frequent first.

    Classes whose `shares` (K, K) round to 1 % or more are listed, at most MAX_PREDICTIONS if K > MAX_NAMED.
    """
    limit = len(labels) if len(labels) <= MAX_NAMED else MAX_PREDICTIONS
    texts = []
    for row in shares:
        percents = [(k, f"{100 * row[k]:.0f}") for k in np.argsort(-row, kind="stable")[:limit]]
        texts.append("; ".join(f"{labels[k]}: {percent}" for k, percent in percents if percent != "0") or "–")
    return texts


def display_width(text: str) -> int:
    """Return the columns of a text: two for a wide character, such as a Chinese one, zero for a combining one."""
    return sum(1 + (unicodedata.east_asian_width(char) in "WF") for char in text if not unicodedata.combining(char))


def tick_names(names: Sequence[str]) -> list[str]:
    """Return short names for positions 1, 2, ... of an axis; names with the same short form begin with the position."""
    short = [shorten_name(name) for name in names]
    return [text if short.count(text) == 1 else shorten_name(f"{i} {text}") for i, text in enumerate(short, 1)]


def shorten_name(name: str, width: int = MAX_WIDTH) -> str:
    """Return the name cut in the middle to at most `width` columns: long names differ at either end."""
    if display_width(name) <= width:
        return name
    head, tail = name, name
    while display_width(head) > width // 2:
        head = head[:-1]
    while display_width(tail) > (width - 1) // 2 or unicodedata.combining(tail[0]):
        tail = tail[1:]
    return f"{head}…{tail}"
