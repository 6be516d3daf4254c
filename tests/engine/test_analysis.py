import io
import json

import numpy as np
import pytest

from daso.data.run_files import load_finished_run
from daso.engine.analysis import analyse, class_similarity
from tests.finished import finish

# Six, four, four and two images of four classes, which are predicted 9, 4, 2 and 1 times; no image of unknown class.
COUNTS = [[5, 1, 0, 0], [2, 2, 0, 0], [1, 1, 2, 0], [1, 0, 0, 1], [0, 0, 0, 0]]
ORDER = [3, 2, 1, 0]


def arrays(windows=2, **changes):
    """Return saved arrays with windows of 10 steps; in window i class 0 is predicted 6 + i times, 5 of them correct."""
    counts = np.array([[[6 + i, 6, 4, 0], [5, 2, 2, 0]] for i in range(windows)])
    return {
        "logits": np.zeros((1, 4), np.float32),
        "labels": np.zeros(1, np.int64),
        "steps": np.full(windows, 10),
        "truth": np.array([[6, 4, 4, 2]] * windows),
        "window_final": counts,
        "window_taken": counts // 2,
        "last_final": np.array(COUNTS),
        "last_taken": np.array(COUNTS) // 2,
        "final_counts": np.array(COUNTS),
        "class_features": np.array([[0.9, 0.3], [0.3, 0.9], [0, 1], [np.nan, np.nan]], np.float32),
        "sample_features": np.random.default_rng(0).standard_normal((12, 3)).astype(np.float16),
        "sample_labels": np.arange(12) % 4,
        "sample_pseudo_labels": np.zeros(12, np.int64),
        **changes,
    }


def run(folder, saved):
    buffer = io.BytesIO()
    np.savez(buffer, **saved)
    return load_finished_run(finish(folder, {"predictions.npz": buffer.getvalue()}, key="k"))


def test_counts_indices_recall_precision_and_errors_at_the_end_of_training(tmp_path):
    """The expected numbers are from tests/ops/test_bias.py."""
    result = analyse(run(tmp_path, arrays()), ORDER)
    final = result["sources"]["final"]
    assert result["of"] == "final"
    assert final["counts"] == [9, 4, 2, 1]
    assert final["indices"] == {"imbalance": 9.0, "unpredicted": 0.0, "divergence": 0.2829, "evenness": 0.796}
    assert final["recall"] == [0.8333, 0.5, 0.5, 0.5]
    assert final["precision"] == [0.5556, 0.5, 1.0, 1.0]
    assert result["confusion"] == COUNTS[:4]
    assert result["errors"] == {"top1": [1, 1, 0.5, 1], "top2": [1, 1, 1, 1]}


def test_histograms_and_recall_of_groups_over_training(tmp_path):
    """Shares 6/16 and 7/17 of class 0. Recall of many (class 3) 0 of 2, of medium 2 of 4, of few (class 0) 5 of 6."""
    result = analyse(run(tmp_path, arrays()), ORDER)
    assert result["steps"] == [10, 20]
    final = result["sources"]["final"]
    assert final["histogram"] == [[0.375, 0.375, 0.25, 0.0], [0.4118, 0.3529, 0.2353, 0.0]]
    assert final["groups"] == {"many": [0.0, 0.0], "medium": [0.5, 0.5], "few": [0.8333, 0.8333]}
    assert result["sources"]["model"]["histogram"] is None
    assert result["sources"]["model"]["counts"] == [9, 4, 2, 1]


def test_windows_are_merged_to_twenty(tmp_path):
    """Of 41 windows the first point sums three, i = 0, 1, 2: 6 + 7 + 8 predictions of class 0 among 51."""
    result = analyse(run(tmp_path, arrays(41)), ORDER)
    assert len(result["steps"]) == 20
    assert (result["steps"][0], result["steps"][1], result["steps"][-1]) == (30, 50, 410)
    assert result["sources"]["final"]["histogram"][0][0] == pytest.approx(21 / 51, abs=1e-4)
    assert result["sources"]["final"]["groups"]["few"][0] == pytest.approx(5 / 6, abs=1e-4)


def test_without_true_labels_there_are_histograms_and_no_recall(tmp_path):
    """All sixteen images are of unknown class."""
    table = np.array([[0] * 4] * 4 + [[9, 4, 2, 1]])
    unknown = {"last_final": table, "last_taken": table, "final_counts": table, "truth": np.zeros((2, 4), int)}
    result = analyse(run(tmp_path, arrays(**unknown)), ORDER)
    final = result["sources"]["final"]
    assert final["indices"]["imbalance"] == 9
    assert final["histogram"][0] == [0.375, 0.375, 0.25, 0.0]
    assert (final["recall"], final["precision"], final["groups"]) == (None, None, None)
    assert (result["confusion"], result["errors"]) == (None, None)


def test_run_without_pseudo_labels_is_analysed_by_its_final_network_alone(tmp_path):
    saved = {name: array for name, array in arrays().items() if "window" not in name and "last" not in name}
    del saved["steps"], saved["truth"]
    result = analyse(run(tmp_path, saved), ORDER)
    assert (result["of"], result["steps"], list(result["sources"])) == ("model", [], ["model"])
    assert result["confusion"] == COUNTS[:4]


def test_class_that_is_never_predicted_makes_the_imbalance_undefined(tmp_path):
    table = np.array([[3, 1, 0, 0]] * 5)
    result = analyse(run(tmp_path, arrays(last_final=table)), ORDER)
    assert result["sources"]["final"]["indices"]["imbalance"] is None
    assert result["sources"]["final"]["indices"]["unpredicted"] == 2
    assert "NaN" not in json.dumps(result)


def test_similarity_of_the_most_and_least_predicted_classes():
    """Cosines: .6 of (.9, .3) and (.3, .9); .3 and .9 over the root of .9 of these with (0, 1); none for class 3."""
    result = class_similarity(arrays()["class_features"], np.array([[0] * 4] * 4 + [[9, 4, 2, 1]]))
    assert result["by"] == "pseudo_labels"
    assert result["most"]["classes"] == [0, 1]
    assert result["most"]["nearest"] == [[1, 2, 3], [2, 0, 3]]
    assert result["most"]["cosine"] == [[0.6, 0.3162, None], [0.9487, 0.6, None]]
    assert result["least"]["classes"] == [3, 2]
    assert result["least"]["cosine"][1] == [0.9487, 0.3162, None]


def test_similarity_of_the_most_over_and_under_predicted_classes():
    """Predicted 8, 6, 6 and 1 times, true 16, 2, 3 and 0 times; images of unknown class do not count."""
    counts = np.array([[8, 4, 3, 1], [0, 2, 0, 0], [0, 0, 3, 0], [0, 0, 0, 0], [0, 0, 0, 90]])
    result = class_similarity(arrays()["class_features"], counts)
    assert result["by"] == "truth"
    assert (result["most"]["classes"], result["least"]["classes"]) == ([1, 2], [0, 3])


def test_run_without_saved_counts_has_no_analysis(tmp_path):
    assert analyse(run(tmp_path, {"logits": np.zeros((1, 4)), "labels": np.zeros(1, int)}), ORDER) is None
