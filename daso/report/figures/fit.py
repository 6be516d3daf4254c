"""Out-of-fold loss of the values that are fitted to the labeled images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from daso.aliases import Tree
from daso.report.figures.figure_groups import BAND, Figure, Panel, TableData
from daso.report.figures.palette import Style, rank_colours
from daso.report.figures.plots import Line, plot_grid
from daso.report.results.curves import Curve

CAPTION = (
    "Loss of supervised + LA on labeled images that it was not trained on, over the strength tau of logit adjustment, "
    "for each weight decay: cross-entropy of calibrated predictions, mean over classes. Of the points within one "
    "standard error of the lowest one, that with the tau nearest to 1 and the largest weight decay is used."
)


def fit_figures(data: TableData) -> list[Figure]:
    """Return the figure of the losses over a grid of several tau, a panel for each setting whose runs have a fit."""
    panels = [
        Panel(i, "", plot_grid(lines, str(setting["name"]), "tau", "out-of-fold loss", tag=data.tag))
        for i, setting in enumerate(data.table["settings"])
        if (lines := list(_lines(_grids(data, setting))))
    ]
    return [Figure("fit", f"{CAPTION} {BAND}", panels)] if panels else []


def _grids(data: TableData, setting: Tree) -> dict[int, list[Tree]]:
    """Return the points of the grid by seed, if it has several tau; all methods of a setting have the same."""
    done = [item for cell in data.cells_of(setting) for item in cell.done.items()]
    grids = {seed: run.get("fit", {}).get("grid", []) for seed, run in done}
    return {seed: grid for seed, grid in grids.items() if len({point["tau"] for point in grid}) > 1}


def _lines(grids: Mapping[int, list[Tree]]) -> Iterator[Line]:
    """Yield the mean loss over seeds, with its deviation, for each weight decay."""
    points = [point for grid in grids.values() for point in grid]
    decays = sorted({point["weight_decay"] for point in points})
    taus = np.array(sorted({point["tau"] for point in points}))
    for decay, colour in zip(decays, rank_colours(len(decays)), strict=True):
        losses = np.array(
            [
                [p["loss"] for tau in taus for p in grid if (p["weight_decay"], p["tau"]) == (decay, tau)]
                for grid in grids.values()
            ]
        )
        std = losses.std(0, ddof=1) if len(losses) > 1 else np.full(len(taus), np.nan)
        curve = Curve(taus, losses.mean(0), std, len(losses))
        yield Line(curve, Style(colour, 1.4), f"{decay:g}", f"weight decay {decay:g}")
