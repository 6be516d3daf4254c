"""Mask rates of unlabeled images of the classes and of no class over training."""

from __future__ import annotations

from daso.report.figures.figure_groups import Figure, Measure, TableData, training_figure


def open_set_figures(data: TableData) -> list[Figure]:
    """Return the figure of the mask rates if a setting of the table has images of no class."""
    y_label = "mask rate, %"
    measures: list[Measure] = [
        ("images of the classes", y_label, lambda cell: data.curves[cell.setting, cell.method].inside),
        ("images of no class", y_label, lambda cell: data.curves[cell.setting, cell.method].outside),
    ]
    caption = (
        "Share of the pseudo-labels above the threshold since the previous evaluation, for unlabeled images of the "
        "classes and for those of no class; mean over seeds."
    )
    figure = training_figure(data, "mask-rates", caption, measures)
    return [figure] if figure.panels else []
