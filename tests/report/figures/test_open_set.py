"""Figures of open sets: a row of images of no class, grey rings in the t-SNE, mask rates over training."""

import json

import numpy as np

from daso.report.figures.analyses import analysis_figures
from daso.report.figures.figure_groups import TableData, table_data
from daso.report.figures.open_set import open_set_figures
from daso.report.results.collect import Cell, collect
from daso.report.results.curves import Curve, TrainingCurves, mean_confusion
from tests.report.figures.test_analyses import small_suite, write_analysed_runs


def drawn(project, name, predictions=None, confusion=None):
    """Return the figure of an analysis of one run, whose confusion may be replaced."""
    suite = small_suite(analyses=[name])
    write_analysed_runs(project, suite, predictions=predictions)
    for path in project.metrics.rglob("*.json") if confusion else ():
        tree = json.loads(path.read_text())
        tree.pop("sha256")
        tree["analysis"]["confusion"] = confusion
        project.write_metrics(tree)
    cells = collect(suite, project.metrics, project.scratch)
    (figure,) = analysis_figures(table_data(suite, suite["tables"][0], cells, project.runs), [name])
    return figure


def test_row_of_no_class_stays_last_when_classes_are_ranked():
    """Class order 1, 0: the rows of classes 0 and 1 and of no class are reordered except for the last one."""
    counts = [[3, 1], [0, 4], [1, 3]]
    assert mean_confusion([(counts, [1, 0])]).tolist() == [[1, 0], [0.25, 0.75], [0.75, 0.25]]


def test_run_without_a_row_of_no_class_is_left_out_beside_runs_that_have_it():
    assert mean_confusion([([[1, 0], [0, 1]], [0, 1]), ([[1, 1], [0, 2], [2, 0]], [0, 1])]).tolist() == [
        [0.5, 0.5],
        [0, 1],
        [1, 0],
    ]


def test_confusion_has_a_last_row_of_images_of_no_class(project):
    """All four images of no class have the pseudo-label 9."""
    figure = drawn(project, "confusion", confusion=[*(9 * np.eye(10, dtype=int)).tolist(), [0] * 9 + [4]])
    (panel,) = figure.panels
    assert len(panel.table.rows) == 11
    assert panel.table.rows[-1] == ["11", "no class", "class 9: 100"]
    assert figure.caption.endswith("The last row is for images of no class.")
    assert ">no class<" in panel.svg


def test_caption_of_a_closed_set_names_no_further_row(project):
    assert "no class" not in drawn(project, "confusion").caption


def test_images_of_no_class_are_grey_rings(project):
    """Label 10 of ten classes is an image of no class, whatever is predicted."""
    open_set = drawn(project, "tsne", predictions=[(10, 0)] * 3 + [(k, k) for k in range(9)])
    assert open_set.legend[-1].label == "no class, always a ring"
    assert "no class" not in str(drawn(project, "tsne").legend)


def test_mask_rates_of_images_of_no_class_have_their_own_panel():
    curve = Curve(np.array([10.0, 20]), np.array([10.0, 40]), np.full(2, np.nan), 1)
    tree = {"methods": [{"name": "m", "title": "M"}], "settings": [{"name": "closed"}, {"name": "open"}]}
    cells = {(setting, "m"): Cell("t", setting, "m", "r", (0,)) for setting in ("closed", "open")}
    curves = {
        ("closed", "m"): TrainingCurves(curve, None, None),
        ("open", "m"): TrainingCurves(curve, None, None, curve, curve),
    }
    (figure,) = open_set_figures(TableData(tree, cells, curves, {}))
    assert [(panel.setting, panel.note) for panel in figure.panels] == [
        (1, "images of the classes"),
        (1, "images of no class"),
    ]
    curves.pop(("open", "m"))
    assert open_set_figures(TableData({**tree, "settings": tree["settings"][:1]}, cells, curves, {})) == []
