"""Reliability of the recommended models and their controls: accuracy over the confidence of their predictions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from daso.aliases import Tree
from daso.ops.reliability import BINS
from daso.report.figures.canvas import SOFT
from daso.report.figures.classes import ClassTable
from daso.report.figures.figure_groups import Figure, LegendEntry, Panel, TableData
from daso.report.figures.palette import Style
from daso.report.figures.plots import Line, plot_reliability
from daso.report.results.controls import UnlabeledVerdict
from daso.report.results.curves import Curve

RELIABILITY_CAPTION = (
    "Reliability on the test images: accuracy of the predictions over their confidence, the probability of the "
    "predicted class, in bins of equally many images of all seeds. On the dotted line, both are equal; below it, the "
    "model is too confident."
)
BEFORE, AFTER = Style(SOFT, 1.3, "4 1.6"), Style("var(--blue-strong)", 1.6)


def calibration_figures(data: TableData, verdicts: Sequence[UnlabeledVerdict]) -> list[Figure]:
    """Return the figure of the recommended model of each setting, and of its control if that is another model."""
    titles = {method["name"]: str(method["title"]) for method in data.table["methods"]}
    places = {setting["name"]: i for i, setting in enumerate(data.table["settings"])}
    panels, calibrated = [], False
    for verdict in verdicts:
        for method in dict.fromkeys([verdict.recommendation.method, verdict.control]):
            runs = [run["calibration"] for run in data.cells[verdict.setting, method].done.values()]
            after = [run["after"] for run in runs if run["after"]]
            lines = [Line(_curve(run["before"] for run in runs), BEFORE, name="before")]
            lines += [Line(_curve(after), AFTER, name="after")] if after else []
            calibrated = calibrated or bool(after)
            svg = plot_reliability(lines, f"Reliability of {titles[method]}, {verdict.setting}", tag=data.tag)
            panels.append(Panel(places[verdict.setting], titles[method], svg, _table(lines)))
    legend = [LegendEntry("before the temperature", BEFORE.colour, "dashed")]
    legend += [LegendEntry("after the temperature", AFTER.colour)] if calibrated else []
    return [Figure("calibration", RELIABILITY_CAPTION, panels, small=True, legend=legend)] if panels else []


def _table(lines: Sequence[Line]) -> ClassTable:
    """Return the points of the curves as a table, a row for each bin."""
    columns = [f"{value} {line.name}, %" for line in lines for value in ("Confidence", "Accuracy")]
    values = [[f"{number:.1f}" for number in part] for line in lines for part in (line.curve.x, line.curve.mean)]
    rows = [[str(i), *row] for i, row in enumerate(zip(*values, strict=True), 1)]
    return ClassTable("", ["Bin", *columns], rows, "", [])


def _curve(runs: Iterable[Tree]) -> Curve:
    """Return the accuracy in percent over the confidence: bins of all seeds, joined to at most BINS of similar ones."""
    columns = [np.concatenate(parts) for parts in zip(*map(_bins, runs), strict=True)]
    images, confidence, accuracy = (column[np.argsort(columns[1], kind="stable")] for column in columns)
    joined = np.array_split(np.arange(len(images)), min(BINS, len(images)))
    x, y = (
        np.array([100 * np.average(values[part], weights=images[part]) for part in joined])
        for values in (confidence, accuracy)
    )
    return Curve(x, y, np.full(len(x), np.nan), len(joined))


def _bins(run: Tree) -> list[np.ndarray]:
    return [np.asarray(run[name], dtype=np.float64) for name in ("images", "confidence", "accuracy")]
