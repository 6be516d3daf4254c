"""Accuracy of head, middle and tail, and the remarks on the recommended model."""

import pytest

from daso.report.results.collect import Cell
from daso.report.tables.class_results import class_groups_table
from daso.report.tables.remarks import setting_remarks
from tests.report.photo_suite import TITLES, photo_metrics, verdict_on


def cell(*runs, method="supervised_la", labels=(50, 20, 10, 5), fit=None):
    """Return a cell of these pairs of labels and predictions, one for each seed."""
    done = {}
    for seed, run in enumerate(runs):
        metrics = photo_metrics(method, seed, *run, fit=fit or {})
        counts = {**metrics["counts"], "labeled": list(labels)}
        recalls = metrics["recall"]
        groups = {"many": recalls[0], "medium": sum(recalls[1:3]) / 2, "few": recalls[3]}
        done[seed] = {**metrics, "counts": counts, "groups": groups}
    return Cell("birds", "all", method, f"birds/all/photos/{method}", tuple(done), done=done)


EVEN = [0, 0, 1, 1, 2, 2, 3, 3]


def test_groups_have_their_classes_labels_and_mean_recall():
    """Recalls of seed 0: 1, .5, 1, 0; of seed 1: 1, 1, 1, .5. The middle has .75 and 1, the tail 0 and .5."""
    model = cell((EVEN, [0, 0, 1, 0, 2, 2, 0, 0]), (EVEN, [0, 0, 1, 1, 2, 2, 3, 0]))
    table = class_groups_table([model], [verdict_on("supervised_la")], TITLES)
    assert table.rows == [
        ["all", "Supervised + LA", "Head", "1", "50", "100.0 ± 0.00"],
        ["all", "Supervised + LA", "Middle", "2", "10 to 20", "87.5 ± 17.68"],
        ["all", "Supervised + LA", "Tail", "1", "5", "25.0 ± 35.36"],
    ]
    assert "the 30 % of classes with the most labels" in dict(table.definitions)["Head, Middle, Tail"]


def test_control_has_its_own_rows():
    model, control = cell((EVEN, EVEN), method="self_training_la"), cell((EVEN, EVEN))
    verdict = verdict_on("self_training_la")._replace(control="supervised_la")
    rows = class_groups_table([model, control], [verdict], TITLES).rows
    assert [row[1] for row in rows] == ["Self-training + LA"] * 3 + ["Supervised + LA"] * 3


def test_classes_of_equally_many_labels_have_no_groups():
    model = cell((EVEN, EVEN), labels=(5, 5, 5, 5))
    assert class_groups_table([model], [verdict_on("supervised_la")], TITLES).rows == []


def test_class_with_the_lowest_recall_is_named_with_its_labels():
    """Wren: 0 and .5, mean 25, std .5 / sqrt(2). Of its four test images, three are taken for owls."""
    model = cell((EVEN, [0, 0, 1, 0, 2, 2, 0, 0]), (EVEN, [0, 0, 1, 1, 2, 2, 3, 0]))
    remarks = dict(setting_remarks("birds", [model], verdict_on("supervised_la")))
    assert remarks == {"Lowest recall": "wren, 25.0 ± 35.36 % with 5 labels; taken for barn owl (75 %)"}
    remarks = dict(setting_remarks("birds", [model], verdict_on("supervised_la", not_measured=["wren"])))
    assert remarks["Lowest recall"].startswith("dunnock, 75.0")
    assert not dict(setting_remarks("birds", [cell((EVEN, EVEN))], verdict_on("supervised_la")))


@pytest.mark.parametrize(
    ("counts", "start"),
    [
        ((6, 6), "5.0 ± 0.00 % of the unlabeled images (6 of 120) are farther "),
        ((6, 12), "7.5 ± 3.54 % of the unlabeled images (6 to 12 of 120) are farther "),
    ],
)
def test_share_of_unlabeled_images_like_no_class(counts, start):
    """6 of 120 are 5 %, 12 are 10 %; their standard deviation is 5 / sqrt(2)."""
    model = cell((EVEN, EVEN), (EVEN, EVEN))
    for run, count in zip(model.done.values(), counts, strict=True):
        run["fit"] = {"unlike_threshold": 0.4, "unlabeled": 120, "unlabeled_unlike": count}
    remark = dict(setting_remarks("birds", [model], verdict_on("supervised_la")))["Like no class"]
    assert remark.startswith(start)
    assert remark.endswith(". `daso outliers birds` lists them")
    assert "about 5 % are; an image of another kind may resemble a class" in remark


@pytest.mark.parametrize(
    "fit",
    [
        {"unlike_threshold": None, "unlabeled": 120, "unlabeled_unlike": None},
        {"unlike_threshold": 0.4, "unlabeled": 0, "unlabeled_unlike": 0},
        {},
    ],
    ids=["no threshold", "no unlabeled images", "no fit"],
)
def test_share_is_left_out_if_it_is_unknown(fit):
    assert not dict(setting_remarks("birds", [cell((EVEN, EVEN), fit=fit)], verdict_on("supervised_la")))
