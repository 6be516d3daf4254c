"""Out-of-fold predictions of self-training, and distances of images to the labeled ones."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from daso.config.build import build
from daso.data.features import Features
from daso.engine.feature_pool import FeaturePool
from daso.engine.fit import fit_labels, part_of
from daso.engine.heads import Heads, Point
from daso.engine.resident import Resident
from daso.engine.self_training import MappedFeaturePool, predicted_classes, self_training_logits
from daso.engine.unlike import measure_unlike
from daso.models.features import standardise
from daso.ops.calibration import fit_temperature
from tests.engine.test_fit import LABELS, config, pool
from tests.engine.world import CPU

UNLABELED = 40  # images after the labeled ones, of class 0 and 1 in turn
FOLDS = np.arange(18) % 3
POINTS = [Point(0.3, 0.5), Point(0.01, 1.5)]


@pytest.fixture
def every():
    """Return the pool of labeled and unlabeled images."""
    return pool([*LABELS, *([0, 1] * (UNLABELED // 2))])


def trained(tree, data, grid=POINTS):
    heads = Heads(tree, [part_of(data, fold != FOLDS) for fold in range(3)], grid)
    heads.train()
    return heads


def test_image_is_predicted_by_a_run_on_other_labels_and_on_pseudo_labels(every):
    """The engine trains the run of fold 2: 12 labels, and all pseudo-labels by the run on these labels alone.

    The prior of logit adjustment has the counts of both.
    """
    tree = config()
    labeled = part_of(every, np.arange(58) < 18)
    tree["optimizer"] = tree["optimizer"] | {"weight_decay": POINTS[1].weight_decay}
    pool_of = partial(FeaturePool, every.images)
    logits = self_training_logits(tree, trained(tree, labeled), 1, labeled.labels, FOLDS, UNLABELED, pool_of)

    def engine_run(data):
        run = build(tree, Resident(data, data, pool([]), data), CPU)
        run.advance(30)
        return run.models.student.classifier

    kept, rows = torch.from_numpy(np.flatnonzero(FOLDS != 2)), 18 + torch.arange(UNLABELED)
    control = engine_run(part_of(labeled, FOLDS != 2))
    classes = control(every.gather(rows)).argmax(1)
    assert 5 < classes.sum() < 35
    joined = pool_of(torch.cat([labeled.labels[kept], classes]), torch.cat([kept, rows]))
    expected = engine_run(joined)(every.gather(torch.arange(2, 18, 3)))
    assert torch.allclose(logits[2::3], expected, rtol=0, atol=1e-5)


def test_pseudo_labels_are_those_of_each_set_at_the_point(every, monkeypatch):
    heads = trained(config(), part_of(every, np.arange(58) < 18))
    monkeypatch.setattr("daso.engine.self_training.IMAGES_AT_ONCE", 7)
    logits = [heads.predict(part, every.gather(torch.arange(58)))[1] for part in range(3)]
    assert torch.equal(predicted_classes(heads, 1, every), torch.stack([each.argmax(0) for each in logits]))


def test_record_has_the_temperature_of_self_training(every):
    labeled = part_of(every, np.arange(58) < 18)
    record, arrays = fit_labels(config(), labeled, np.arange(18), UNLABELED, partial(FeaturePool, every.images))
    logits, plain = (torch.from_numpy(arrays[name]) for name in ("self_training_logits", "logits"))
    assert record["self_training_temperature"] == fit_temperature(logits, labeled.labels)
    assert record["temperature"] == fit_temperature(plain, labeled.labels)
    assert not torch.allclose(logits, plain, atol=0.01)


@pytest.mark.parametrize(("unlabeled", "temperature"), [(UNLABELED, 1.0), (0, None)])
def test_temperature_of_self_training_with_few_labels(every, unlabeled, temperature):
    tree = config()
    tree["fit"] = tree["fit"] | {"least_labels": 19}
    labeled = part_of(every, np.arange(58) < 18)
    record, arrays = fit_labels(tree, labeled, np.arange(18), unlabeled, partial(FeaturePool, every.images))
    assert record["self_training_temperature"] == temperature
    assert np.isnan(arrays["self_training_logits"]).all()


def test_features_on_disk_are_those_of_a_pool_in_memory():
    """Image 2 of the split is row 4 of the train part, whose view 3 is row 11 of the features."""
    stored = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float16)
    numbers = {"train": np.array([[0, 1], [2, 3], [4, 5], [6, 7], [8, 11]])}
    mean, std = np.full(5, 0.5, np.float32), np.full(5, 2.0, np.float32)
    rows, blanks = SimpleNamespace(dim=5, read=lambda rows: stored[rows]), np.zeros((0, 5), np.float16)
    features = Features(rows, numbers, mean, std, blanks, "")
    mapped = MappedFeaturePool(features, np.array([3, 0, 4]), torch.tensor([1, -1]), torch.tensor([2, 0]))
    expected = standardise(torch.from_numpy(stored), torch.from_numpy(mean), torch.from_numpy(std)).half().float()
    assert (len(mapped), mapped.dim, mapped.counts(2)) == (2, 5, (0, 1))
    views = mapped.select(torch.tensor([[0, 1], [0, 0]]), torch.tensor([[1, 0], [0, 1]]))
    assert torch.equal(views, expected[torch.tensor([[11, 6], [8, 11]])])
    assert torch.equal(mapped.gather(torch.tensor([1])), expected[[6]])


def test_distances_and_their_threshold():
    """The labeled images are (1, 0) twice, in one group, and (.6, .8), of class 0, and (0, 1), alone in class 1.

    Their distances to other groups are .4, .4, .2 and .2; the quantile of the first three is .4. The unlabeled images
    (1, 0), (-1, 0) and (0, -1) have the distances 0, 1 + 0 and 1 - 0, as their largest cosines are 1, 0 and 0.
    """
    plain = np.array([[1, 0], [2, 0], [3, 4], [0, 1], [1, 0], [-1, 0], [0, -1]], np.float16)
    rows, labels, groups = np.arange(4), np.array([0, 0, 0, 1]), np.array([7, 7, 2, 3])
    record, arrays = measure_unlike(stored_features(plain), rows, labels, groups, np.arange(4, 7))
    assert record == {"unlike_threshold": pytest.approx(0.4, abs=1e-3), "unlabeled": 3, "unlabeled_unlike": 2}
    assert arrays["labeled_unlike"].tolist() == pytest.approx([0.4, 0.4, 0.2, 0.2], abs=1e-3)
    assert arrays["unlabeled_unlike"].tolist() == pytest.approx([0, 1, 1], abs=1e-6)


def stored_features(plain):
    """Return features whose plain views are these, as a store has them."""
    numbers = {"train": np.arange(len(plain))[:, None]}
    return SimpleNamespace(rows=SimpleNamespace(read=lambda rows: plain[rows]), numbers=numbers)


def test_distances_of_labels_in_one_group():
    """There is no threshold, and without unlabeled images no distance of one."""
    features, rows = stored_features(np.eye(3, dtype=np.float16)), np.arange(3)
    record, arrays = measure_unlike(features, rows, np.array([0, 0, 1]), np.array([5, 5, 5]), np.empty(0, np.int64))
    assert record == {"unlike_threshold": None, "unlabeled": 0, "unlabeled_unlike": None}
    assert np.isnan(arrays["labeled_unlike"]).all()
    assert arrays["unlabeled_unlike"].shape == (0,)
