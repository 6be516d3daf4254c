"""The benchmark of lists on made-up features, at tiny sizes."""

import numpy as np
import pytest
import torch

from daso.data.features import VIEW_KINDS, Features
from daso.engine.feature_pool import FeaturePool
from tests.engine.test_fit import config
from tools.bench import labeling
from tools.bench.labeling import Accuracy, Images, Result, markdown, measure


class Rows:
    """Rows of features in memory."""

    dim = 16

    def __init__(self, features):
        self.features = features

    def read(self, numbers):
        return self.features[numbers]


@pytest.fixture
def images():
    """Return 60 labeled and 60 other images of two classes, which are far apart, and 10 test images."""
    rng = np.random.default_rng(0)
    classes = np.arange(120) % 2
    features = rng.normal(size=(120, 16)).astype(np.float16)
    features[:, 0] += 6 * classes - 3
    views = torch.from_numpy(features)[:, None].expand(-1, len(VIEW_KINDS), -1).contiguous()
    train = FeaturePool(views, torch.from_numpy(classes))
    numbers = {"train": np.arange(120)[:, None]}
    mean, std, blanks = np.zeros(16, np.float32), np.ones(16, np.float32), np.zeros((0, 16), np.float16)
    stored = Features(Rows(features), numbers, mean, std, blanks, "")
    test = FeaturePool(views[:10], torch.from_numpy(classes[:10]))
    return Images(config(), stored, classes, np.arange(120), np.arange(60), train, test)


def test_wrong_labels_of_separated_classes_are_suspect(images, monkeypatch):
    monkeypatch.setattr(labeling, "WRONG", 4)
    monkeypatch.setattr(labeling, "LISTED", 6)
    monkeypatch.setattr(labeling, "NEW", 5)
    result = measure(images, 2)
    assert result.wrong_labels == [4, 4]
    assert result.accuracies == [Accuracy(100, 100, 100)] * 2
    assert (images.classes == np.arange(120) % 2).all()


def test_page_has_means_and_intervals():
    """Of 16 and 18 the mean is 17, the error 1 and t is 12.706; the paired gains are 2 and 4."""
    result = Result([16, 18], [Accuracy(70, 72, 74), Accuracy(72, 74, 78)])
    lines = list(markdown(result, 341, "command"))
    assert "| wrong labels among the first 40 of `suspects`, of 20 made wrong at random | 17.0 ± 12.7 |" in lines
    assert "| balanced accuracy of supervised + LA with 341 labels, % | 71.0 ± 12.7 |" in lines
    assert "| with 50 more labels, chosen at random | 73.0 ± 12.7 |" in lines
    assert "| with 50 more labels, the first of `next` | 76.0 ± 25.4 |" in lines
    assert "| `next` - random, points, paired | 3.0 ± 12.7 |" in lines
