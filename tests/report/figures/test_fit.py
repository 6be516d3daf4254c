"""Figure of the out-of-fold losses over the grid of fitted values."""

import numpy as np
import pytest

from daso.report.figures.figure_groups import TableData
from daso.report.figures.fit import _lines, fit_figures
from daso.report.results.collect import Cell


def grid(*losses):
    """Return the points of two weight decays and two values of tau, with these losses."""
    points = [(0.1, 1.0), (0.1, 2.0), (0.5, 1.0), (0.5, 2.0)]
    return [
        {"weight_decay": decay, "tau": tau, "loss": loss, "error": 0.1}
        for (decay, tau), loss in zip(points, losses, strict=True)
    ]


def test_line_of_a_weight_decay_is_the_mean_over_seeds_at_each_tau():
    """Losses 1 and 3 have the mean 2 and the deviation sqrt(2)."""
    first, second = _lines({0: grid(1, 2, 5, 6), 1: grid(3, 2, 7, 6)})
    assert (first.label, first.name, second.label) == ("0.1", "weight decay 0.1", "0.5")
    assert first.curve.x.tolist() == [1, 2]
    assert first.curve.mean.tolist() == [2, 2]
    assert first.curve.std.tolist() == pytest.approx([2**0.5, 0])
    assert (second.curve.mean.tolist(), second.curve.n) == ([6, 6], 2)
    (single, _) = _lines({0: grid(1, 2, 5, 6)})
    assert np.isnan(single.curve.std).all()


def test_settings_without_a_fit_of_several_tau_have_no_panel():
    tree = {"methods": [{"name": "m", "title": "M"}], "settings": [{"name": "few"}, {"name": "all"}]}
    cells = {(name, "m"): Cell("t", name, "m", "r", (0,)) for name in ("few", "all")}
    cells["few", "m"].done[0] = {"fit": {"weight_decay": 0.5, "tau": 1.0, "temperature": 1.0, "grid": []}}
    assert fit_figures(TableData(tree, cells, {}, {})) == []
    cells["all", "m"].done[0] = {"fit": {"weight_decay": 0.1, "tau": 1.0, "grid": grid(1, 2, 5, 6)}}
    cells["few", "m"].done[0] = {"fit": {"grid": [point for point in grid(1, 2, 5, 6) if point["tau"] == 1]}}
    (figure,) = fit_figures(TableData(tree, cells, {}, {}))
    (panel,) = figure.panels
    assert panel.setting == 1
    assert "weight decay 0.1: 2.000, tau 2" in panel.svg
