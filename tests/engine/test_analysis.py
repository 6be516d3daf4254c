import io
import json

import numpy as np
import pytest

from daso.data.run_files import load_finished_run
from daso.engine.analysis import analysis, likeness
from daso.errors import DataError
from tests.finished import finish

# Six, four, four and two images of four classes, guessed 9, 4, 2 and 1 times; no image of unknown class.
COUNTS = [[5, 1, 0, 0], [2, 2, 0, 0], [1, 1, 2, 0], [1, 0, 0, 1], [0, 0, 0, 0]]
ORDER = [3, 2, 1, 0]


def arrays(windows=2, **changes):
    """What a run leaves after windows of 10 steps; in window i class 0 is guessed 6 + i times, 5 times rightly."""
    course = np.array([[[6 + i, 6, 4, 0], [5, 2, 2, 0]] for i in range(windows)])
    return {
        "logits": np.zeros((1, 4), np.float32),
        "labels": np.zeros(1, np.int64),
        "steps": np.full(windows, 10),
        "truth": np.array([[6, 4, 4, 2]] * windows),
        "window_final": course,
        "window_taken": course // 2,
        "last_final": np.array(COUNTS),
        "last_taken": np.array(COUNTS) // 2,
        "final_counts": np.array(COUNTS),
        "class_features": np.array([[0.9, 0.3], [0.3, 0.9], [0, 1], [np.nan, np.nan]], np.float32),
        "sample_features": np.random.default_rng(0).standard_normal((12, 3)).astype(np.float16),
        "sample_labels": np.arange(12) % 4,
        "sample_guesses": np.zeros(12, np.int64),
        **changes,
    }


def run(folder, kept):
    buffer = io.BytesIO()
    np.savez(buffer, **kept)
    return load_finished_run(finish(folder, {"predictions.npz": buffer.getvalue()}, key="k"))


def test_one_kind_of_pseudo_label(tmp_path):
    """The numbers of tests/ops/test_bias.py; first is class 3, the only one of the many of four, recall 1 of 2."""
    found = analysis(run(tmp_path, arrays()), ORDER)
    final = found["sources"]["final"]
    assert found["of"] == "final"
    assert final["counts"] == [9, 4, 2, 1]
    assert final["indices"] == {"imbalance": 9.0, "never": 0.0, "divergence": 0.2829, "evenness": 0.796}
    assert final["recall"] == [0.8333, 0.5, 0.5, 0.5]
    assert final["precision"] == [0.5556, 0.5, 1.0, 1.0]
    assert found["confusion"] == COUNTS[:4]
    assert found["errors"] == {"top1": [1, 1, 0.5, 1], "top2": [1, 1, 1, 1]}


def test_the_course_of_training(tmp_path):
    """Shares 6/16 and 7/17 of the first class; recall 2 of 4 in the middle, 5 of 6 of the class with fewest labels."""
    found = analysis(run(tmp_path, arrays()), ORDER)
    assert found["steps"] == [10, 20]
    final = found["sources"]["final"]
    assert final["histogram"] == [[0.375, 0.375, 0.25, 0.0], [0.4118, 0.3529, 0.2353, 0.0]]
    assert final["groups"] == {"many": [0.0, 0.0], "medium": [0.5, 0.5], "few": [0.8333, 0.8333]}
    assert found["sources"]["model"]["histogram"] is None
    assert found["sources"]["model"]["counts"] == [9, 4, 2, 1]


def test_many_windows_are_added_up_to_twenty(tmp_path):
    """Of 41 windows the first point holds three, i = 0, 1, 2: 6 + 7 + 8 guesses of the first class among 51."""
    found = analysis(run(tmp_path, arrays(41)), ORDER)
    assert len(found["steps"]) == 20
    assert (found["steps"][0], found["steps"][1], found["steps"][-1]) == (30, 50, 410)
    assert found["sources"]["final"]["histogram"][0][0] == pytest.approx(21 / 51, abs=1e-4)
    assert found["sources"]["final"]["groups"]["few"][0] == pytest.approx(5 / 6, abs=1e-4)


def test_unknown_classes_leave_histograms_and_no_recall(tmp_path):
    """Sixteen images of unknown class: how often is known, how rightly is not."""
    table = np.array([[0] * 4] * 4 + [[9, 4, 2, 1]])
    unknown = {"last_final": table, "last_taken": table, "final_counts": table, "truth": np.zeros((2, 4), int)}
    unknown["sample_labels"] = np.full(12, -1)
    found = analysis(run(tmp_path, arrays(**unknown)), ORDER)
    final = found["sources"]["final"]
    assert final["indices"]["imbalance"] == 9
    assert final["histogram"][0] == [0.375, 0.375, 0.25, 0.0]
    assert (final["recall"], final["precision"], final["groups"]) == (None, None, None)
    assert (found["confusion"], found["errors"]) == (None, None)
    assert found["tsne"]["labels"] == [-1] * 12


def test_a_run_that_guesses_nothing_has_its_final_network_alone(tmp_path):
    kept = {name: array for name, array in arrays().items() if "window" not in name and "last" not in name}
    del kept["steps"], kept["truth"]
    found = analysis(run(tmp_path, kept), ORDER)
    assert (found["of"], found["steps"], list(found["sources"])) == ("model", [], ["model"])
    assert found["confusion"] == COUNTS[:4]


def test_a_class_that_is_never_guessed_has_no_ratio(tmp_path):
    table = np.array([[3, 1, 0, 0]] * 5)
    found = analysis(run(tmp_path, arrays(last_final=table)), ORDER)
    assert found["sources"]["final"]["indices"]["imbalance"] is None
    assert found["sources"]["final"]["indices"]["never"] == 2
    assert "NaN" not in json.dumps(found)


def test_likeness_of_those_guessed_most_and_least():
    """Cosine .6 of (.9, .3) and (.3, .9), .3 and .9 over the root of .9 of these with (0, 1); the last has none."""
    found = likeness(arrays()["class_features"], np.array([[0] * 4] * 4 + [[9, 4, 2, 1]]))
    assert found["by"] == "guesses"
    assert found["most"]["classes"] == [0, 1]
    assert found["most"]["nearest"] == [[1, 2, 3], [2, 0, 3]]
    assert found["most"]["cosine"] == [[0.6, 0.3162, None], [0.9487, 0.6, None]]
    assert found["least"]["classes"] == [3, 2]
    assert found["least"]["cosine"][1] == [0.9487, 0.3162, None]


def test_likeness_of_those_over_and_under_predicted():
    """Guessed 8, 6 and 6 times where 16, 2 and 3 are true, and once where none is; the unknown ones have no say."""
    counts = np.array([[8, 4, 3, 1], [0, 2, 0, 0], [0, 0, 3, 0], [0, 0, 0, 0], [0, 0, 0, 90]])
    found = likeness(arrays()["class_features"], counts)
    assert found["by"] == "truth"
    assert (found["most"]["classes"], found["least"]["classes"]) == ([1, 2], [0, 3])


def test_what_does_not_fit_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"predictions.npz: window_final has the shape \(3, 2, 4\), not \(2, 2, 4\)"):
        analysis(run(tmp_path, arrays(window_final=np.zeros((3, 2, 4), int))), ORDER)


def test_the_first_of_a_large_sample_are_placed(tmp_path):
    """Of 250 images drawn, 200, each at its place with its own class and guess."""
    features = np.random.default_rng(0).standard_normal((250, 3)).astype(np.float16)
    kept = {"sample_features": features, "sample_labels": np.arange(250) // 63, "sample_guesses": np.arange(250) % 4}
    first = {name: array[:200] for name, array in kept.items()}
    found = analysis(run(tmp_path / "all", arrays(**kept)), ORDER)["tsne"]
    assert found["labels"] == [0] * 63 + [1] * 63 + [2] * 63 + [3] * 11
    assert found["guesses"] == [0, 1, 2, 3] * 50
    assert len(found["x"]) == 200
    assert found == analysis(run(tmp_path / "first", arrays(**first)), ORDER)["tsne"]


def test_a_run_that_left_nothing_has_no_analysis(tmp_path):
    assert analysis(run(tmp_path, {"logits": np.zeros((1, 4)), "labels": np.zeros(1, int)}), ORDER) is None


def test_a_file_of_something_else_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"predictions.npz: not a readable archive of arrays \("):
        analysis(load_finished_run(finish(tmp_path, {"predictions.npz": "words"}, key="k")), ORDER)
