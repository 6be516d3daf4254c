import numpy as np
import torch

from daso.engine.analysis_arrays import analysis_arrays, window_arrays
from tests.engine.world import SUPERVISED, trainer

PREDICTED = np.array([0] * 10 + [1] * 6)  # for 16 unlabeled images of classes 0, 1, 0, 1, ...


def test_counts_means_and_a_sample():
    """Of eight images of each class, five are predicted as class 0 and three as class 1."""
    run = trainer()
    run.advance(2)
    run.monitor.drain()
    arrays = analysis_arrays(run, PREDICTED)
    assert arrays["final_counts"].tolist() == [[5, 3], [5, 3], [0, 0]]
    features = run.embed(run.data.unlabeled).numpy()
    assert np.allclose(arrays["class_features"], [features[::2].mean(0), features[1::2].mean(0)], atol=1e-6)
    assert arrays["sample_features"].dtype == np.float16
    rows = [int(np.abs(features - row).sum(1).argmin()) for row in arrays["sample_features"].astype(np.float32)]
    assert arrays["sample_labels"].tolist() == [row % 2 for row in rows]
    assert sorted(arrays["sample_pseudo_labels"].tolist()) == sorted(PREDICTED.tolist())
    assert arrays["sample_labels"].tolist() != [0, 1] * 8  # in the order drawn
    assert arrays["steps"].tolist() == [2]
    assert arrays["truth"].sum() == arrays["window_final"][0, 0].sum() == 2 * 8
    assert {"window_linear", "last_linear", "last_above_threshold"} <= arrays.keys()
    assert arrays["last_final"].shape == (3, 2)


def test_without_true_labels_class_means_are_by_prediction():
    run = trainer()
    run.data.unlabeled.labels.fill_(-1)
    arrays = analysis_arrays(run, PREDICTED)
    assert arrays["final_counts"].tolist() == [[0, 0], [0, 0], [10, 6]]
    features = run.embed(run.data.unlabeled).numpy()
    assert np.allclose(arrays["class_features"], [features[:10].mean(0), features[10:].mean(0)], atol=1e-6)
    assert set(arrays["sample_labels"].tolist()) == {-1}


def test_pseudo_labels_are_counted_before_the_method_updates_its_state(monkeypatch):
    """A pseudo-label made with an estimate is counted with this estimate, not with the next one."""
    run, order = trainer(), []
    for name in ("pseudo_labels", "commit"):
        method = getattr(run.learner, name)
        monkeypatch.setattr(
            run.learner, name, lambda step, name=name, method=method: (order.append(name), method(step))[1]
        )
    run.advance(1)
    assert order == ["pseudo_labels", "commit"]


def test_supervised_run_has_no_windows():
    run = trainer(method=SUPERVISED)
    run.advance(2)
    run.monitor.drain()
    assert not {"steps", "truth"} & analysis_arrays(run, PREDICTED).keys()


def test_features_are_of_the_evaluation_model():
    """The evaluation model is FixMatch's EMA model, and the student of a supervised run."""
    fixmatch, supervised = trainer(), trainer(method=SUPERVISED)
    for run in (fixmatch, supervised):
        run.advance(3)
    for run, network in ((fixmatch, fixmatch.models.teacher), (supervised, supervised.models.student)):
        network.eval()
        with torch.no_grad():
            expected = network(run.loader.prepare_for_evaluation(run.data.test.images)).features
        network.train()
        assert torch.allclose(run.embed(run.data.test), expected, atol=1e-6)


def test_resumed_run_has_the_windows_of_a_whole_run(tmp_path):
    """Three windows of two steps each; stopped after a window and a half."""
    whole, first, second = trainer(), trainer(), trainer()
    options = {"scratch": tmp_path / "end.pt", "on_step": lambda t: None, "on_evaluation": lambda row: None}
    list(whole.fit(**options))
    first.advance(2)
    first.history.append(first.evaluate())
    first.advance(3)
    first.save(tmp_path / "state.pt")
    second.restore(tmp_path / "state.pt")
    list(second.fit(**options))
    resumed, expected = window_arrays(second.monitor), window_arrays(whole.monitor)
    assert expected["steps"].tolist() == [2, 2, 2]
    assert resumed.keys() == expected.keys()
    assert all(np.array_equal(resumed[name], expected[name]) for name in expected)
