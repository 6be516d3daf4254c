import numpy as np
import torch

from daso.engine.analysis_arrays import window_arrays, analysis_arrays
from tests.engine.world import SUPERVISED, trainer

GUESSES = np.array([0] * 10 + [1] * 6)  # of 16 unlabeled images, whose classes are 0, 1, 0, 1, ...


def test_counts_means_and_a_sample():
    """Of eight images of each class, class 0 is guessed for five of either; class 1 for the rest."""
    run = trainer()
    run.advance(2)
    run.monitor.drain()
    found = analysis_arrays(run, GUESSES)
    assert found["final_counts"].tolist() == [[5, 3], [5, 3], [0, 0]]
    features = run.embed(run.data.unlabeled).numpy()
    assert np.allclose(found["class_features"], [features[::2].mean(0), features[1::2].mean(0)], atol=1e-6)
    assert found["sample_features"].dtype == np.float16
    rows = [int(np.abs(features - row).sum(1).argmin()) for row in found["sample_features"].astype(np.float32)]
    assert found["sample_labels"].tolist() == [row % 2 for row in rows]
    assert sorted(found["sample_guesses"].tolist()) == sorted(GUESSES.tolist())
    assert found["sample_labels"].tolist() != [0, 1] * 8  # in the order drawn
    assert found["steps"].tolist() == [2]
    assert found["truth"].sum() == found["window_final"][0, 0].sum() == 2 * 8
    assert {"window_linear", "last_linear", "last_taken"} <= found.keys()
    assert found["last_final"].shape == (3, 2)


def test_where_classes_are_unknown_means_follow_the_guesses():
    run = trainer()
    run.data.unlabeled.labels.fill_(-1)
    found = analysis_arrays(run, GUESSES)
    assert found["final_counts"].tolist() == [[0, 0], [0, 0], [10, 6]]
    features = run.embed(run.data.unlabeled).numpy()
    assert np.allclose(found["class_features"], [features[:10].mean(0), features[10:].mean(0)], atol=1e-6)
    assert set(found["sample_labels"].tolist()) == {-1}


def test_guesses_are_asked_for_before_anything_is_kept(monkeypatch):
    """A pseudo-label made with an estimate is told with the estimate that made it, not with the next one."""
    run, order = trainer(), []
    for verb in ("pseudo_labels", "commit"):
        bound = getattr(run.learner, verb)
        monkeypatch.setattr(
            run.learner, verb, lambda step, verb=verb, bound=bound: (order.append(verb), bound(step))[1]
        )
    run.advance(1)
    assert order == ["pseudo_labels", "commit"]


def test_labels_alone_leave_no_windows():
    run = trainer(method=SUPERVISED)
    run.advance(2)
    run.monitor.drain()
    assert not {"steps", "truth"} & analysis_arrays(run, GUESSES).keys()


def test_features_are_those_of_the_network_that_answers():
    """Of the teacher, unless a method says otherwise."""
    run, alone = trainer(), trainer(method=SUPERVISED)
    for one in (run, alone):
        one.advance(3)
    for one, network in ((run, run.models.teacher), (alone, alone.models.student)):
        network.eval()
        with torch.no_grad():
            there = network(one.loader.plain(one.data.test.images)).features
        network.train()
        assert torch.allclose(one.embed(one.data.test), there, atol=1e-6)


def test_windows_are_those_of_a_run_that_was_never_stopped(tmp_path):
    """Stopped after a window and a half; two steps end each of the three windows."""
    whole, first, second = trainer(), trainer(), trainer()
    nothing = {"scratch": tmp_path / "end.pt", "on_step": lambda t: None, "on_evaluation": lambda row: None}
    list(whole.fit(**nothing))
    first.advance(2)
    first.history.append(first.evaluate())
    first.advance(3)
    first.save(tmp_path / "state.pt")
    second.restore(tmp_path / "state.pt")
    list(second.fit(**nothing))
    ours, theirs = window_arrays(second.monitor), window_arrays(whole.monitor)
    assert theirs["steps"].tolist() == [2, 2, 2]
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)
