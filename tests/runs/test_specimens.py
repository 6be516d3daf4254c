"""Runs on photographs of specimens whose labels are coin tosses: nothing can be learned, chance is 50 %."""

import numpy as np

from daso.config.build import build
from daso.engine.resident import load_resident
from daso.planning.synthetic import with_changes
from tests.configs import CPU
from tests.data.specimens import save_specimens
from tests.data.test_groups import split_of, store_of
from tests.engine.world import CONFIG, SUPERVISED

STEPS = 150
RUN = with_changes(
    CONFIG,
    {
        "dataset.image_size": 16,
        "protocol.steps": STEPS,
        "protocol.batch_size": 48,
        "protocol.network": {"name": "small_convnet", "channels": [16, 32], "strides": [2, 2]},
        "optimizer.lr": 0.05,
        "optimizer.warmup": 0,
        "optimizer.weight_decay": 0.0,
        "method": SUPERVISED,
    },
)


def mean_accuracy(photos, folder, **groups):
    """Train five seeds on all photos that their splits do not hold out; return the mean test accuracy."""
    store, accuracies = store_of(photos, folder, **groups), []
    for seed in range(5):
        split = split_of(store, folder, seed, setting={"name": "all", "labeled": "all", "unlabeled": []}).split
        run = build(RUN, load_resident(store, split, CPU), CPU)
        run.advance(STEPS)
        accuracies.append(run.evaluate()["test_top1"])
    return np.mean(accuracies)


def test_accuracy_is_near_chance_only_if_near_copies_form_groups(tmp_path):
    """With groups it was 60 %, without them 80 %: the network then has seen other shots of the test specimens."""
    photos = tmp_path / "photos"
    save_specimens(photos)
    for name in ("grouped", "single"):
        (tmp_path / name).mkdir()
    assert mean_accuracy(photos, tmp_path / "grouped", near_copies=0.9) < 0.7
    assert mean_accuracy(photos, tmp_path / "single") > 0.75
