import io

import numpy as np
import pytest
import torch

from daso.config.build import build
from daso.data.split_rows import Split
from daso.data.store import write_store
from daso.engine.resident import Resident
from daso.engine.results import _predictions
from tests.engine.world import CONFIG, CPU, SUPERVISED, pool, trainer


def split_of(run, unlabeled=None):
    """Return a split with these rows of unlabeled images, by default the first rows."""
    none = np.empty(0, np.int64)
    return Split(none, np.arange(len(run.data.unlabeled)) if unlabeled is None else unlabeled, none)


@pytest.mark.parametrize(("plan", "names"), [({}, []), ({"predictions": True}, ["unlabeled"])])
def test_logits_of_unlabeled_images_are_saved_if_another_run_needs_them(plan, names):
    """Add-ons adjust the logits of test images, not the logits of unlabeled images."""
    run = trainer(plan=plan)
    unlabeled = torch.arange(32.0).view(16, 2)
    unadjusted = {run.data.test: torch.tensor([[1.0, 2], [3, 4], [5, 6]]), run.data.unlabeled: unlabeled}
    run.predict = lambda pool: (unadjusted[pool], unadjusted[pool] + 100)
    with np.load(io.BytesIO(_predictions(run, split_of(run), None))) as saved:
        assert {name for name in saved if name in ("labels", "logits", "unlabeled")} == {"labels", "logits", *names}
        assert saved["logits"].tolist() == [[101, 102], [103, 104], [105, 106]]
        assert saved["labels"].tolist() == [0, 0, 1]
        assert [saved[name].tolist() for name in names] == [unlabeled.tolist()] * len(names)


def test_predictions_are_saved_if_an_unlabeled_image_is_of_no_or_unknown_class():
    """Logits 0 and 3 give the confidence 1 / (1 + e^-3); runs with known classes save none of these arrays."""
    run = trainer()
    rows = np.arange(100, 116)
    logits = torch.zeros(16, 2)
    logits[3, 1] = 3
    run.predict = lambda pool: (logits[: len(pool)], logits[: len(pool)])
    with np.load(io.BytesIO(_predictions(run, split_of(run, rows), None))) as saved:
        assert not [name for name in saved if name.startswith("unlabeled")]
    for label in (-1, 2):
        run.data.unlabeled.labels[5] = label
        with np.load(io.BytesIO(_predictions(run, split_of(run, rows), None))) as saved:
            assert saved["unlabeled_rows"].tolist() == rows.tolist()
            assert saved["unlabeled_labels"].tolist() == [0, 1, 0, 1, 0, label, *[0, 1] * 5]
            assert saved["unlabeled_predictions"].tolist() == [0, 0, 0, 1, *[0] * 12]
            assert saved["unlabeled_confidence"][:4].tolist() == pytest.approx([0.5, 0.5, 0.5, 0.952574127])


def test_run_without_unlabeled_images_saves_empty_arrays():
    """Two classes, four features; the test images are predicted."""
    data = Resident(pool([0] * 6 + [1] * 3, 0), pool([], 100), pool([0, 1], 200), pool([0, 0, 1], 210))
    run = build({**CONFIG, "method": SUPERVISED, "plan": {"predictions": True}}, data, CPU)
    with np.load(io.BytesIO(_predictions(run, split_of(run), None))) as saved:
        assert saved["logits"].shape == (3, 2)
        assert saved["unlabeled"].shape == (0, 2)
        assert saved["sample_features"].shape == (0, 4)
        assert saved["final_counts"].tolist() == [[0, 0], [0, 0], [0, 0]]


def test_analysis_arrays_use_unadjusted_predictions():
    """All predictions are class 0; the adjustment, in evaluation only, changes test predictions to class 1."""
    rare = {"name": "logit_adjustment", "tau": 100.0, "roles": ["eval"]}
    run = trainer(method={**CONFIG["method"], "addons": [rare]})
    for network in (run.models.student, run.models.teacher):
        torch.nn.init.zeros_(network.classifier.weight)
        network.classifier.bias.data = torch.tensor([1.0, 0.0])
    with np.load(io.BytesIO(_predictions(run, split_of(run), None))) as saved:
        assert saved["final_counts"].tolist() == [[8, 0], [8, 0], [0, 0]]
        assert set(saved["sample_pseudo_labels"].tolist()) == {0}
        assert saved["logits"].argmax(1).tolist() == [1, 1, 1]


def test_images_and_groups_of_test_images_are_saved_if_the_protocol_keeps_predictions(tmp_path):
    """The store has three test images without groups, so each is its own group."""
    evaluation = {**CONFIG["protocol"]["evaluation"], "predictions": True}
    run = trainer(protocol={**CONFIG["protocol"], "evaluation": evaluation})
    part = (np.zeros((3, 3, 4, 4), np.uint8), np.array([0, 0, 1]))
    store = write_store(tmp_path / "store", "tiny", ["a", "b"], {"train": part, "test": part}, {})
    with np.load(io.BytesIO(_predictions(run, split_of(run), store))) as saved:
        assert saved["test_images"].tolist() == saved["test_groups"].tolist() == [0, 1, 2]
