"""Curves over training steps and class ranks, against numbers computed by hand."""

import hashlib
import math

import numpy as np
import pytest

from daso.errors import DataError
from daso.report.results.collect import Cell
from daso.report.results.curves import (
    class_counts,
    confusion_matrix,
    history_rows,
    recall_by_rank,
    tail_size,
    training_curves,
)


def write(runs, run, text):
    path = runs / run / "history.csv"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return text


def cell(*orders, histories=("", "")):
    """Return a cell of runs whose metrics have the checksums of these histories."""
    digests = [{"history.csv": hashlib.sha256(text.encode()).hexdigest()} for text in histories]
    done = {seed: {"class_order": list(order), "files": digests[seed]} for seed, order in enumerate(orders)}
    return Cell("t", "s", "m", "d/s/p/m", tuple(range(len(orders))), done=done)


def test_mean_and_deviation_over_steps_common_to_all_seeds(tmp_path):
    """At step 10: 0.5 and 0.7, mean 60, deviation sqrt(2) * 10; step 20 exists for one seed only."""
    first = write(tmp_path, "d/s/p/m/s0", "step,test_top1\n10,0.5\n20,0.6\n")
    second = write(tmp_path, "d/s/p/m/s1", "step,test_top1\n10,0.7\n")
    curves = training_curves(cell((0,), (0,), histories=(first, second)), tmp_path)
    assert (list(curves.accuracy.x), curves.accuracy.n) == ([10.0], 2)
    assert curves.accuracy.mean[0] == pytest.approx(60.0)
    assert curves.accuracy.std[0] == pytest.approx(math.sqrt(200))
    assert curves.recall is None
    assert curves.tail is None


def test_tail_classes_are_the_last_of_the_class_order(tmp_path):
    """Three classes: the tail is the last class of the order; an empty field is a class without images."""
    text = "step,test_top1,pl_recall_0,pl_recall_1,pl_recall_2\n10,0.5,0.9,0.1,\n20,0.5,,,\n"
    write(tmp_path, "d/s/p/m/s0", text)
    curves = training_curves(cell((2, 0, 1), histories=[text]), tmp_path)
    assert list(curves.recall.x) == [10.0]
    assert curves.recall.mean[0] == pytest.approx(50.0)
    assert curves.tail.mean[0] == pytest.approx(10.0)
    assert math.isnan(curves.tail.std[0])


def test_run_without_history_has_no_curves(tmp_path):
    assert training_curves(cell((0,)), tmp_path) == (None,) * 5


def test_history_of_a_different_training_raises(tmp_path):
    text = write(tmp_path, "d/s/p/m/s0", "step,test_top1\n10,0.5\n")
    with pytest.raises(DataError, match=r"s0/history\.csv: damaged or from a different run"):
        training_curves(cell((0,), histories=[text.replace("5", "6")]), tmp_path)


def test_mask_rates_of_images_of_no_class_are_curves(tmp_path):
    text = write(
        tmp_path, "d/s/p/m/s0", "step,test_top1,mask_rate_inside,mask_rate_outside\n10,0.5,0.25,\n20,0.5,0.5,0.75\n"
    )
    curves = training_curves(cell((0,), histories=[text]), tmp_path)
    assert (curves.inside.mean.tolist(), list(curves.outside.x), curves.outside.mean.tolist()) == ([25, 50], [20], [75])


def test_tail_of_thirds_is_their_last_third():
    assert [tail_size(k, "thirds") for k in (2, 10, 200)] == [1, 3, 66]


def test_tail_has_30_percent_of_the_classes():
    assert [tail_size(k) for k in (1, 2, 3, 10, 100)] == [1, 1, 1, 3, 30]


def cell_with_confusion():
    done = {
        0: {"class_order": [0, 1], "recall": [0.8, 0.5], "confusion": [[8, 2], [5, 5]]},
        1: {"class_order": [1, 0], "recall": [0.3, 1.0], "confusion": [[3, 7], [0, 20]]},
    }
    return Cell("t", "s", "m", "d/s/p/m", (0, 1), done=done)


def test_recall_by_class_rank():
    """Rank 1 is class 0 of the first run and class 1 of the second: 80 and 100; rank 2: 50 and 30."""
    recall = recall_by_rank(cell_with_confusion())
    assert list(recall.mean) == pytest.approx([90.0, 40.0])
    assert list(recall.std) == pytest.approx([math.sqrt(200), math.sqrt(200)])


def test_recall_of_a_class_without_test_images_is_nan():
    recall = recall_by_rank(Cell("t", "s", "m", "r", (0,), done={0: {"class_order": [0, 1], "recall": [0.5, None]}}))
    assert recall.mean[0] == 50.0
    assert math.isnan(recall.mean[1])


def test_confusion_matrix_is_the_mean_of_normalised_rows_by_rank():
    """Run 0: [[.8, .2], [.5, .5]]. Run 1 in rank order: [[20, 0], [7, 3]] -> [[1, 0], [.7, .3]]."""
    assert confusion_matrix(cell_with_confusion()) == pytest.approx(np.array([[0.9, 0.1], [0.6, 0.4]]))
    assert confusion_matrix(Cell("t", "s", "m", "r", (0,))) is None


def test_class_counts_are_of_the_first_done_run_by_rank():
    metrics = {"class_order": [1, 0], "counts": {"labeled": [2, 20], "unlabeled": None}}
    empty, full = Cell("t", "s", "a", "r", (0,)), Cell("t", "s", "b", "r", (0,), done={0: metrics})
    assert class_counts([empty, full]) == {"labeled": [20, 2]}
    assert class_counts([empty]) is None


def test_history_rows_of_a_cell(tmp_path):
    text = write(tmp_path, "d/s/p/m/s0", "step,test_top1\n10,0.5\n")
    accuracy = training_curves(cell((0,), histories=[text]), tmp_path).accuracy
    assert [list(row.values()) for row in history_rows(cell((0,)), accuracy)] == [["t", "s", "m", 10, "50.0000", "", 1]]
