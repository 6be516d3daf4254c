import io

import numpy as np
import pytest
import torch

from daso.config.build import build
from daso.engine.resident import Resident
from daso.engine.results import _predictions
from tests.engine.world import CONFIG, CPU, SUPERVISED, pool, trainer


@pytest.mark.parametrize(("plan", "names"), [({}, []), ({"answers": True}, ["unlabeled"])])
def test_answers_to_unlabeled_images_are_kept_where_another_run_waits_for_them(plan, names):
    """Of the test images as the add-ons want them read, of the unlabeled ones as they are, for they are guesses."""
    run = trainer(plan=plan)
    pseudo_labels = torch.arange(32.0).view(16, 2)
    plain = {run.data.test: torch.tensor([[1.0, 2], [3, 4], [5, 6]]), run.data.unlabeled: pseudo_labels}
    run.predict = lambda pool: (plain[pool], plain[pool] + 100)
    with np.load(io.BytesIO(_predictions(run))) as kept:
        assert {name for name in kept if name in ("labels", "logits", "unlabeled")} == {"labels", "logits", *names}
        assert kept["logits"].tolist() == [[101, 102], [103, 104], [105, 106]]
        assert kept["labels"].tolist() == [0, 0, 1]
        assert [kept[name].tolist() for name in names] == [pseudo_labels.tolist()] * len(names)


def test_a_run_without_unlabeled_images_leaves_empty_arrays_of_them():
    """Two classes, four features: nothing is observed of no image, and the test images are predicted as ever."""
    data = Resident(pool([0] * 6 + [1] * 3, 0), pool([], 100), pool([0, 1], 200), pool([0, 0, 1], 210))
    run = build({**CONFIG, "method": SUPERVISED, "plan": {"answers": True}}, data, CPU)
    with np.load(io.BytesIO(_predictions(run))) as kept:
        assert kept["logits"].shape == (3, 2)
        assert kept["unlabeled"].shape == (0, 2)
        assert kept["sample_features"].shape == (0, 4)
        assert kept["final_counts"].tolist() == [[0, 0], [0, 0], [0, 0]]


def test_what_is_observed_are_the_guesses_as_they_are():
    """All are of class 0; the adjustment, for the answers at test time alone, makes the rarer class 1 of them."""
    rare = {"name": "logit_adjustment", "tau": 100.0, "roles": ["eval"]}
    run = trainer(method={**CONFIG["method"], "addons": [rare]})
    for network in (run.models.student, run.models.teacher):
        torch.nn.init.zeros_(network.classifier.weight)
        network.classifier.bias.data = torch.tensor([1.0, 0.0])
    with np.load(io.BytesIO(_predictions(run))) as kept:
        assert kept["final_counts"].tolist() == [[8, 0], [8, 0], [0, 0]]
        assert set(kept["sample_guesses"].tolist()) == {0}
        assert kept["logits"].argmax(1).tolist() == [1, 1, 1]
