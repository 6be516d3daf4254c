"""Table and figure of the calibration of each method."""

import numpy as np
import pytest

from daso.report.figures.calibration import _curve, calibration_figures
from daso.report.figures.figure_groups import TableData
from daso.report.results.collect import Cell
from daso.report.tables.calibration import calibration_table
from tests.report.photo_suite import TITLES, photo_metrics, photo_suite, verdict_on

LABELS = [0, 0, 1, 2, 3]


def cell(method, *temperatures):
    """Return a cell with a run for each temperature, whose predictions are right for 4 of 5 images."""
    done = {
        seed: photo_metrics(method, seed, LABELS, [0, 1, 1, 2, 3], temperature=temperature)
        for seed, temperature in enumerate(temperatures)
    }
    return Cell("birds", "all", method, f"birds/all/photos/{method}", tuple(done), done=done)


def test_error_is_in_points_before_and_after_the_temperature():
    """Accuracy .8, confidence .8 before and .6 after: 0 and 20 points. Temperatures 1.5 and 2.5: 2 ± sqrt(.5)."""
    table = calibration_table([cell("supervised_la", 1.5, 2.5), cell("fixmatch_la", None)], TITLES)
    assert table.rows == [
        [
            *("all", "Supervised + LA", "2.00 ± 0.71", "0.0 ± 0.00", "20.0 ± 0.00", "1.0 ± 0.00"),
            *("0.50 ± 0.00", "0.50 ± 0.00"),
        ],
        ["all", "FixMatch + LA", "not calibrated", "0.0", "–", "1.0", "0.50", "–"],
    ]
    assert "never on test images" in dict(table.definitions)["Temperature"]


def test_methods_without_predictions_have_no_row():
    model = cell("supervised_la", None)
    del model.done[0]["calibration"]
    assert calibration_table([model], TITLES).rows == []


def test_curve_joins_the_bins_of_seeds_with_similar_confidence():
    """16 bins of two seeds: the two with the lowest confidence are joined, (10 * .2 + 30 * .4) / 40 = .35."""
    one = {"images": [10] * 8, "confidence": [0.2, *np.linspace(0.5, 0.9, 7)], "accuracy": [0.1] + [1.0] * 7}
    other = {"images": [30] * 8, "confidence": [0.4, *np.linspace(0.55, 0.95, 7)], "accuracy": [0.5] + [1.0] * 7}
    curve = _curve([one, other])
    assert len(curve.x) == 15
    assert (curve.x[0], curve.mean[0]) == (pytest.approx(35), pytest.approx((10 * 10 + 30 * 50) / 40))
    assert (curve.x[1], curve.mean[-1]) == (pytest.approx(50), pytest.approx(100))


def test_figure_has_the_recommended_model_and_its_control():
    suite = photo_suite(("supervised_la", "self_training_la"), {"self_training_la": "supervised_la"})
    cells = {
        ("all", "supervised_la"): cell("supervised_la", 1.5),
        ("all", "self_training_la"): cell("self_training_la", None),
    }
    data, verdict = TableData(suite["tables"][0], cells, {}, {}), verdict_on("self_training_la")
    (figure,) = calibration_figures(data, [verdict._replace(control="supervised_la")])
    assert [panel.note for panel in figure.panels] == ["Self-training + LA", "Supervised + LA"]
    assert figure.panels[0].table.rows == [["1", "80.0", "80.0"]]
    assert figure.panels[1].table.columns == [
        *("Bin", "Confidence before, %", "Accuracy before, %", "Confidence after, %", "Accuracy after, %")
    ]
    assert figure.panels[1].table.rows == [["1", "80.0", "80.0", "60.0", "80.0"]]
    assert [entry.label for entry in figure.legend] == ["before the temperature", "after the temperature"]
    (alone,) = calibration_figures(data, [verdict])
    assert [entry.label for entry in alone.legend] == ["before the temperature"]
