"""Fit of weight decay, tau and temperature by out-of-fold predictions of the labeled images."""

import math
from functools import partial

import numpy as np
import pytest
import torch

from daso.config.build import build
from daso.data.features import VIEW_KINDS
from daso.engine.feature_pool import FeaturePool
from daso.engine.fit import choose_point, fit_labels, part_of, score
from daso.engine.heads import Heads, Point, out_of_fold_logits
from daso.engine.resident import Resident
from tests.engine.world import CONFIG, CPU

LABELS = [0] * 12 + [1] * 6
ADJUSTED = {"name": "logit_adjustment", "tau": 1.5, "roles": ["supervised"]}
METHOD = {"name": "m", "unlabeled_ratio": 0, "learner": {"name": "supervised"}, "addons": [ADJUSTED]}
NETWORK = {"name": "timm", "train": "head"}
GRID = {"weight_decay": [1e-3, 1e-1], "tau": [0.5, 1.5], "folds": 3, "least_labels": 10}


def config(**protocol):
    return {
        **CONFIG,
        "protocol": CONFIG["protocol"] | {"network": NETWORK, "steps": 30} | protocol,
        "method": METHOD,
        "fit": GRID,
    }


def pool(labels=LABELS, dim=16):
    """Return random features, shifted by class."""
    features = torch.randn(len(labels), len(VIEW_KINDS), dim, generator=torch.Generator().manual_seed(1))
    features[..., 0] += 2 * torch.tensor(labels)[:, None]
    return FeaturePool(features.half(), torch.tensor(labels))


def fit_labeled(tree, data, groups):
    """Fit to labeled images without unlabeled ones."""
    return fit_labels(tree, data, groups, 0, partial(FeaturePool, data.images))


@pytest.mark.parametrize(
    ("protocol", "optimizer", "evaluated"),
    [
        ({}, {}, "student"),
        ({"evaluation": {"every": 2, "median_of": 2, "model": "ema"}}, {"classifier_rate": 3.0}, "teacher"),
        ({"classifier_init": "torch"}, {"nesterov": False, "milestones": [2, 20], "decay_biases": False}, "student"),
    ],
)
def test_head_equals_a_run_of_the_engine(protocol, optimizer, evaluated):
    tree = config(**protocol)
    tree["optimizer"] = tree["optimizer"] | optimizer
    data = pool()
    run = build(tree, Resident(data, data, pool([]), data), CPU)
    run.advance(30)
    head = getattr(run.models, evaluated).classifier
    heads = Heads(tree, [data], [Point(0.5, 3.0), Point(tree["optimizer"]["weight_decay"], 1.5)])
    heads.train()
    with torch.no_grad():
        expected = head(data.gather(torch.arange(18)))
    assert torch.allclose(heads.predict(0, data.gather(torch.arange(18)))[1].T, expected, rtol=0, atol=1e-5)
    assert torch.allclose(heads.weight[0, 1], run.models.student.classifier.weight, rtol=0, atol=1e-5)


def test_image_is_predicted_by_the_head_of_its_fold():
    """The heads of a fold are those of a training on all other images."""
    data, folds, grid = pool(), np.arange(18) % 3, [Point(0.01, 1.0)]
    heads = Heads(config(), [part_of(data, folds != fold) for fold in range(3)], grid)
    heads.train()
    logits = out_of_fold_logits(heads, data, folds)
    alone = Heads(config(), [part_of(data, folds != 2)], grid)
    alone.train()
    rows = torch.arange(2, 18, 3)
    assert torch.allclose(logits[rows, 0], alone.predict(0, data.gather(rows))[0].T, atol=1e-6)


def test_score_weighs_classes_equally_and_has_its_error_over_folds():
    """Of class 0, both images have log 2 at any temperature; of class 1, one has 0, the other is wrong by log 3.

    The temperature is then the largest one, 5, at which its loss x is log(1 + 3^(1/5)). Each weight is 1/4, so the loss
    is (2 log 2 + x) / 4; the folds (first and third image, second and fourth) have the means log(2) / 2 and
    (log 2 + x) / 2, whose standard deviation is x / sqrt(8), divided by sqrt(2) for two folds.
    """
    logits = torch.tensor([[0.0, 0.0], [0.0, 0.0], [-90.0, 90.0], [math.log(3), 0.0]])
    result = score(logits, torch.tensor([0, 0, 1, 1]), np.array([0, 1, 0, 1]))
    wrong = math.log(1 + 3**0.2)
    assert result["temperature"] == pytest.approx(5, abs=1e-3)
    assert result["loss"] == pytest.approx((2 * math.log(2) + wrong) / 4, abs=1e-4)
    assert result["error"] == pytest.approx(wrong / 4, abs=1e-4)


def test_point_within_one_standard_error_with_the_nearest_tau_and_the_largest_decay_is_chosen():
    """The least loss is .80 with the error .05: .84 and .85 are within it, .86 is not."""
    losses = {(0.1, 1.5): 0.80, (0.1, 1.0): 0.84, (0.5, 1.0): 0.85, (0.9, 1.0): 0.86, (0.9, 1.5): 0.82}
    points = [{"weight_decay": decay, "tau": tau, "loss": loss, "error": 0.05} for (decay, tau), loss in losses.items()]
    assert choose_point(points, 1.0) == 2
    assert choose_point(points, 2.0) == 4
    assert choose_point(points[:1], 1.0) == 0


def test_values_and_logits_of_the_record_are_those_of_the_chosen_point():
    record, arrays = fit_labeled(config(), pool(), np.arange(18))
    best = record["grid"][choose_point(record["grid"], 1.5)]
    assert len(record["grid"]) == 4
    names = ("weight_decay", "tau", "temperature")
    assert {name: record[name] for name in names} == {name: best[name] for name in names}
    assert (record["labels"], record["scored"], record["folds"], record["note"]) == (18, 18, 3, "")
    logits = torch.from_numpy(arrays["logits"])
    assert score(logits, torch.tensor(LABELS), arrays["folds"])["loss"] == pytest.approx(best["loss"], abs=1e-6)


def test_tau_keeps_its_default_if_classes_have_equally_many_labels():
    record, _ = fit_labeled(config() | {"fit": GRID | {"tau": [0.5, 1.5, 3.0]}}, pool([0] * 9 + [1] * 9), np.arange(18))
    losses = {point["weight_decay"]: set() for point in record["grid"]}
    for point in record["grid"]:
        losses[point["weight_decay"]].add(round(point["loss"], 5))
    assert all(len(each) == 1 for each in losses.values())
    assert record["tau"] == ADJUSTED["tau"] == 1.5


def test_class_of_one_label_only_trains():
    """It has no out-of-fold prediction, and each head has seen it: the prior of none of them is zero."""
    record, arrays = fit_labeled(
        config() | {"dataset": CONFIG["dataset"] | {"num_classes": 3}}, pool([*LABELS, 2]), np.arange(19)
    )
    assert (record["scored"], record["unscored_classes"]) == (18, [2])
    assert arrays["folds"][18] == -1
    assert np.isnan(arrays["logits"][18]).all()
    assert np.isfinite(arrays["logits"][:18]).all()


@pytest.mark.parametrize(
    ("labels", "groups", "note"),
    [
        ([0] * 5 + [1] * 4, range(9), "9 labels, fewer than fit.least_labels (10)"),
        (LABELS, [0] * 18, "18 labels in 1 groups, too few for two classes in two folds"),
    ],
)
def test_defaults_stay_with_too_few_labels_or_groups(labels, groups, note):
    record, arrays = fit_labeled(config(), pool(labels), np.array(groups))
    assert record["note"] == f"{note}: weight decay and tau keep their defaults"
    assert (record["weight_decay"], record["tau"], record["temperature"], record["grid"]) == (None, None, 1.0, [])
    assert np.isnan(arrays["logits"]).all()
