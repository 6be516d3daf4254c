"""Temperatures fitted to few labels: within their limits, or 1 with a note; no probability is 0, 1 or NaN."""

from functools import partial

import numpy as np
import pytest
import torch

from daso.data.features import VIEW_KINDS
from daso.engine.feature_pool import FeaturePool
from daso.engine.fit import fit_labels
from daso.ops.calibration import TEMPERATURES
from daso.ops.reliability import confidences, log_softmax, reliability
from tests.engine.test_fit import GRID, config
from tests.engine.world import CONFIG

UNLABELED = 6  # two of each class, after the labeled images


def fit(kinds, labels, least_labels=10):
    """Fit to labeled images of these kinds, whose features tell the kinds apart without error."""
    every = torch.tensor([*kinds, *[0, 1, 2] * (UNLABELED // 3)])
    features = 4 * torch.nn.functional.one_hot(every, 16)[:, None].expand(-1, len(VIEW_KINDS), -1).float()
    noise = torch.randn(features.shape, generator=torch.Generator().manual_seed(0))
    images = (features + 0.1 * noise).half()
    tree = config(steps=300) | {"dataset": CONFIG["dataset"] | {"num_classes": 3}}
    tree["fit"] = {**GRID, "weight_decay": [1e-3], "folds": 5, "least_labels": least_labels}
    data = FeaturePool(images, torch.tensor(labels), torch.arange(len(labels)))
    return fit_labels(tree, data, np.arange(len(labels)), UNLABELED, partial(FeaturePool, images))


def probabilities(record, arrays, labels):
    """Return the confidence of each image that has an out-of-fold prediction, and its reliability."""
    known = arrays["folds"] >= 0
    predictions = log_softmax(arrays["logits"][known], record["temperature"])
    return confidences(predictions), reliability(predictions, np.array(labels)[known])


KINDS = [0] * 5 + [1] * 5 + [2] * 5


def test_temperature_has_a_lower_limit_if_every_prediction_is_right():
    """Any smaller temperature would have a smaller log loss, down to 0 at T = 0."""
    record, arrays = fit(KINDS, KINDS)
    confidence, result = probabilities(record, arrays, KINDS)
    assert result.accuracy.tolist() == [1.0]
    assert record["temperature"] == pytest.approx(TEMPERATURES[0], abs=1e-3)
    assert record["self_training_temperature"] == pytest.approx(TEMPERATURES[0], abs=1e-3)
    assert ((confidence > 1 / 3) & (confidence < 1)).all()
    assert np.isfinite(result.log_loss)


def test_temperature_has_an_upper_limit_if_nearly_every_prediction_is_wrong():
    """With labels that have no relation to the kinds, any larger temperature would have a smaller log loss."""
    labels = [0, 1, 2] * 5  # of each kind, one or two of each label
    record, arrays = fit(KINDS, labels)
    confidence, result = probabilities(record, arrays, labels)
    assert result.accuracy[0] < 0.4
    assert record["temperature"] == pytest.approx(TEMPERATURES[1], abs=1e-2)
    assert record["self_training_temperature"] <= TEMPERATURES[1]
    assert ((confidence > 1 / 3) & (confidence < 1)).all()


def test_class_of_one_label_has_no_part_in_the_temperature():
    """40, 5 and 1 labels: the last image only trains, and has no prediction."""
    kinds = [0] * 40 + [1] * 5 + [2]
    record, arrays = fit(kinds, kinds)
    confidence, result = probabilities(record, arrays, kinds)
    assert (record["scored"], record["unscored_classes"]) == (45, [2])
    assert np.isnan(arrays["logits"][-1]).all()
    assert TEMPERATURES[0] <= record["temperature"] <= TEMPERATURES[1]
    assert ((confidence > 1 / 3) & (confidence < 1)).all()
    assert sum(result.images) == 45


@pytest.mark.parametrize("labels", [KINDS, [0, 1, 2] * 5], ids=["right", "wrong"])
def test_temperature_is_one_below_the_least_number_of_labels(labels):
    record, arrays = fit(KINDS, labels, least_labels=16)
    assert (record["temperature"], record["self_training_temperature"]) == (1.0, 1.0)
    assert record["note"].startswith("15 labels, fewer than fit.least_labels (16)")
    assert np.isnan(arrays["logits"]).all()
