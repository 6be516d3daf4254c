"""Unlabeled images of the classes, of no class and of each subset, worked out by hand."""

import io
import json

import numpy as np
import pytest

from daso.data.run_files import load_finished_run
from daso.engine.analysis import analyse
from daso.engine.open_set import open_set
from tests.engine.test_analysis import COUNTS, ORDER, arrays
from tests.finished import finish

# Rows 10 to 15: images of classes 0 and 1, of no class (2) twice, and of unknown class twice.
LABELS = np.array([0, 1, 2, 2, -1, -1])
SAVED = {
    "unlabeled_rows": np.arange(10, 16),
    "unlabeled_labels": LABELS,
    "unlabeled_predictions": np.array([0, 0, 1, 1, 1, 0]),
    "unlabeled_confidence": np.array([0.96, 0.9, 0.95, 0.2, 0.99, 0.94], np.float32),
}
FIXMATCH = {"name": "fixmatch", "threshold": 0.9}


def run(folder, learner, saved=SAVED, **result):
    buffer = io.BytesIO()
    np.savez(buffer, **saved)
    config = {"dataset": {"num_classes": 2}, "method": {"learner": learner}}
    return load_finished_run(
        finish(folder, {"predictions.npz": buffer.getvalue(), "config.json": json.dumps(config)}, **result)
    )


def test_images_of_no_class_are_reported_apart(tmp_path):
    """Four other images, three of them above 0.9; of the two of known class, one is predicted correctly."""
    result = open_set(run(tmp_path, FIXMATCH), {"mask_rate_inside": 0.5, "mask_rate_outside": float("nan")}, None)
    assert result == {
        "threshold": 0.9,
        "subsets": {
            "inside": {"images": 4, "mask_rate": 0.5, "above_threshold": 1, "accuracy": 0.5},
            "outside": {"images": 2, "mask_rate": None, "above_threshold": 0.5, "accuracy": None},
        },
    }


@pytest.mark.parametrize("learner", [{"name": "supervised"}, {"name": "usadtm", "cosine_threshold": 0.2}])
def test_methods_without_a_threshold_of_the_confidence_are_judged_by_095(tmp_path, learner):
    """Of the four other images 0.96 and 0.99 are confident, of those of no class 0.95."""
    result = open_set(run(tmp_path, learner), {}, None)
    assert result["threshold"] == 0.95
    assert [subset["above_threshold"] for subset in result["subsets"].values()] == [0.5, 0.5]


def test_subsets_are_reported_without_true_labels(tmp_path):
    """Rows 10 to 12 and 13 to 15; a subset that the run does not use is left out."""
    saved = {**SAVED, "unlabeled_labels": np.full(6, -1)}
    subsets = {"in": [10, 13], "out": [13, 16], "more": [16, 20]}
    reported = open_set(run(tmp_path, FIXMATCH, saved, subsets=subsets), {}, None)["subsets"]
    assert {name: (subset["images"], subset["accuracy"]) for name, subset in reported.items()} == {
        "in": (3, None),
        "out": (3, None),
    }
    assert reported["out"]["above_threshold"] == pytest.approx(2 / 3)


def test_oracle_labels_give_accuracies_and_images_of_no_class_within_subsets(tmp_path):
    """With the subset `out` of no class, `outside` would be the same images and is left out, and `inside` is `in`."""
    saved, subsets = {**SAVED, "unlabeled_labels": np.full(6, -1)}, {"in": [10, 13], "out": [13, 16]}
    finished = run(tmp_path, FIXMATCH, saved, subsets=subsets)
    reported = open_set(finished, {}, np.array([0, 1, 1, 2, 2, 2]))["subsets"]
    assert {name: subset["accuracy"] for name, subset in reported.items()} == {"in": pytest.approx(2 / 3), "out": None}
    mixed = open_set(finished, {}, np.array([0, 1, 2, 2, 2, 2]))["subsets"]
    assert {name: subset["images"] for name, subset in mixed.items()} == {"in": 3, "out": 3, "inside": 2, "outside": 4}


def test_run_with_known_classes_has_no_open_set(tmp_path):
    assert open_set(run(tmp_path, FIXMATCH, {"labels": LABELS}), {}, None) is None


def test_analysis_has_a_row_of_images_of_no_class(tmp_path):
    """Three images of no class are predicted as class 0: precision 5 of 12 instead of 9, the same recall."""
    counts = np.array([*COUNTS[:4], [3, 0, 0, 0], [0, 0, 0, 0]])
    buffer = io.BytesIO()
    np.savez(buffer, **arrays(last_final=counts, final_counts=counts))
    result = analyse(load_finished_run(finish(tmp_path, {"predictions.npz": buffer.getvalue()}, key="k")), ORDER)
    final = result["sources"]["final"]
    assert final["counts"] == [12, 4, 2, 1]
    assert final["recall"] == [0.8333, 0.5, 0.5, 0.5]
    assert final["precision"] == [0.4167, 0.5, 1.0, 1.0]
    assert result["confusion"] == [*COUNTS[:4], [3, 0, 0, 0]]
    assert result["errors"] == {"top1": [1, 1, 0.5, 1], "top2": [1, 1, 1, 1]}
    assert result["similarity"]["most"]["classes"] == [0, 1]


def test_oracle_labels_replace_the_counts_of_the_final_network(tmp_path):
    """Images of classes 0, 1, 3 and of no class, predicted 0, 0, 3, 3: recall 1, 0, -, 1; precision 1/2, -, -, 1/2."""
    unknown = np.array([[0] * 4] * 4 + [[2, 0, 0, 2]])
    saved = arrays(last_final=unknown, final_counts=unknown, unlabeled_predictions=np.array([0, 0, 3, 3]))
    saved["truth"] = np.zeros_like(saved["truth"])
    buffer = io.BytesIO()
    np.savez(buffer, **saved)
    finished = load_finished_run(finish(tmp_path, {"predictions.npz": buffer.getvalue()}, key="k"))
    assert analyse(finished, ORDER)["confusion"] is None
    result = analyse(finished, ORDER, truth=np.array([0, 1, 3, 4]))
    assert result["of"] == "model"
    assert result["sources"]["model"]["recall"] == [1, 0, None, 1]
    assert result["sources"]["model"]["precision"] == [0.5, None, None, 0.5]
    assert result["sources"]["final"]["recall"] is None
    assert result["confusion"] == [[1, 0, 0, 0], [1, 0, 0, 0], [0] * 4, [0, 0, 0, 1], [0, 0, 0, 1]]
