"""The benchmark of few labels on made-up features, at tiny sizes."""

import copy

import numpy as np
import pytest
import torch

from daso.config.build import build
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


RUN = Run("digits", "n20-m80-l20-u10r", "photos", "supervised_la", 0)


@pytest.fixture
def trained(monkeypatch):
    """Return the trainers of all methods of `accuracies`, with their weights at the start; each has 30 steps."""
    trainers = []

    def recorded(*arguments):
        trainer = build(*arguments)
        trainers.append((trainer, copy.deepcopy(trainer.models.student.state_dict())))
        return trainer

    monkeypatch.setattr(few_labels, "resolve", lambda *run: with_changes(resolve(*run), {"protocol.steps": 30}))
    monkeypatch.setattr(few_labels, "build", recorded)
    return trainers


def test_all_methods_are_right_on_separated_classes(images, trained):
    assert accuracies(images, RUN, (3, 1), 0) == dict.fromkeys(METHODS, 100.0)


def test_alpha_tim_starts_as_the_evaluated_control(images, trained):
    accuracies(images, RUN, (3, 1), 0)
    (control, _), *others = trained
    expected = control.models.teacher.state_dict()
    for _, start in others:
        torch.testing.assert_close(start, expected, rtol=0, atol=0)


def test_last_method_has_neither_entropy(images, trained):
    accuracies(images, RUN, (3, 1), 0)
    _, *others = [trainer.learner for trainer, _ in trained]
    assert [(learner.conditional, learner.marginal) for learner in others] == [(1.0, 1.0), (0.0, 0.0)]


def test_page_has_means_and_paired_gains():
    """Of 70 and 72 the mean is 71, the error 1 and t is 12.706; of 72 and 76 the mean is 74, the error 2.

    The gains are 2 and 4 on the control, and 1 and 0 on 71 and 76: 0.5, with an error of 0.5.
    """
    results = [dict(zip(METHODS, values, strict=True)) for values in ((70, 72, 71), (72, 76, 76))]
    control, alpha_tim, without = METHODS
    assert list(markdown({(50, 5): results}, "command"))[-3:] == [
        f"| 50 to 5 | {control} | 71.0 ± 12.7 | - | - |",
        f"| 50 to 5 | {alpha_tim} | 74.0 ± 25.4 | 3.0 ± 12.7 | 0.5 ± 6.4 |",
        f"| 50 to 5 | {without} | 73.5 ± 31.8 | 2.5 ± 19.1 | - |",
    ]
