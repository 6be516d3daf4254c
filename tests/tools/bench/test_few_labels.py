"""The benchmark of few labels on made-up features, at tiny sizes."""

import numpy as np
import pytest
import torch

from daso.config.resolve import Run, resolve
from daso.data.features import VIEW_KINDS, Features
from daso.engine.feature_pool import FeaturePool
from daso.planning.synthetic import with_changes
from tests.engine.test_fit import config
from tools.bench import few_labels
from tools.bench.few_labels import METHODS, accuracies, draw_labels, markdown
from tools.bench.labeling import Images


@pytest.fixture
def images():
    """Return 120 images of ten classes, which are far apart, and 20 test images."""
    classes = np.arange(120) % 10
    features = 0.1 * np.random.default_rng(0).normal(size=(120, 16))
    features[np.arange(120), classes] += 4
    views = torch.from_numpy(features).half()[:, None].expand(-1, len(VIEW_KINDS), -1).contiguous()
    train, test = (FeaturePool(views[:n], torch.from_numpy(classes[:n])) for n in (120, 20))
    stored = Features(None, {}, None, None, None, "")
    return Images(config(), stored, classes, np.arange(120), np.arange(60), train, test)


def test_labels_have_the_sizes_of_their_classes(images):
    """From 8 to 2 by a constant factor, rounded: 8 * 4 ** (-k / 9)."""
    rows = draw_labels(images, (8, 2), 0)
    assert np.bincount(images.classes[rows]).tolist() == [8, 7, 6, 5, 4, 4, 3, 3, 2, 2]
    assert not np.array_equal(rows, draw_labels(images, (8, 2), 1))


def test_all_methods_are_right_on_separated_classes(images, monkeypatch):
    monkeypatch.setattr(few_labels, "resolve", lambda *run: with_changes(resolve(*run), {"protocol.steps": 30}))
    result = accuracies(images, Run("digits", "n20-m80-l20-u10r", "photos", "supervised_la", 0), (3, 1), 0)
    assert result == dict.fromkeys(METHODS, 100.0)


def test_page_has_means_and_paired_gains():
    """Of 70 and 72 the mean is 71, the error 1 and t is 12.706; the gains are 2 and 4."""
    control, *others = METHODS
    rounds = [{control: base, **dict.fromkeys(others, base + gain)} for base, gain in ((70, 2), (72, 4))]
    lines = list(markdown({(50, 5): rounds}, "command"))
    assert f"| 50 to 5 | {control} | 71.0 ± 12.7 | - |" in lines
    assert f"| 50 to 5 | {others[0]} | 74.0 ± 25.4 | 3.0 ± 12.7 |" in lines
