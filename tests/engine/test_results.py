import io

import numpy as np
import pytest
import torch

from daso.config.build import build
from daso.engine.resident import Resident
from daso.engine.results import _predictions
from tests.engine.world import CONFIG, CPU, SUPERVISED, pool, trainer


@pytest.mark.parametrize(("plan", "names"), [({}, []), ({"predictions": True}, ["unlabeled"])])
def test_logits_of_unlabeled_images_are_saved_if_another_run_needs_them(plan, names):
    """Add-ons adjust the logits of test images, not the logits of unlabeled images."""
    run = trainer(plan=plan)
    unlabeled = torch.arange(32.0).view(16, 2)
    unadjusted = {run.data.test: torch.tensor([[1.0, 2], [3, 4], [5, 6]]), run.data.unlabeled: unlabeled}
    run.predict = lambda pool: (unadjusted[pool], unadjusted[pool] + 100)
    with np.load(io.BytesIO(_predictions(run))) as saved:
        assert {name for name in saved if name in ("labels", "logits", "unlabeled")} == {"labels", "logits", *names}
        assert saved["logits"].tolist() == [[101, 102], [103, 104], [105, 106]]
        assert saved["labels"].tolist() == [0, 0, 1]
        assert [saved[name].tolist() for name in names] == [unlabeled.tolist()] * len(names)


def test_run_without_unlabeled_images_saves_empty_arrays():
    """Two classes, four features; the test images are predicted."""
    data = Resident(pool([0] * 6 + [1] * 3, 0), pool([], 100), pool([0, 1], 200), pool([0, 0, 1], 210))
    run = build({**CONFIG, "method": SUPERVISED, "plan": {"predictions": True}}, data, CPU)
    with np.load(io.BytesIO(_predictions(run))) as saved:
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
    with np.load(io.BytesIO(_predictions(run))) as saved:
        assert saved["final_counts"].tolist() == [[8, 0], [8, 0], [0, 0]]
        assert set(saved["sample_pseudo_labels"].tolist()) == {0}
        assert saved["logits"].argmax(1).tolist() == [1, 1, 1]
