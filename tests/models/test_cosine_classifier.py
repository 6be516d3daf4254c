"""The classifier of cosines, alone and in a run on features."""

import pytest
import torch
from torch import nn

from daso.config.build import build
from daso.config.validate import config_error
from daso.errors import ParamsError
from daso.models.features import CosineClassifier
from daso.planning.synthetic import random_data
from tests.configs import CPU, config

FROZEN = {"name": "timm", "train": "head"}


def test_logits_are_cosines_times_16():
    """(3, 4) has the cosines .6 with (2, 0) and .8 with (0, 5): 9.6 and 12.8; lengths do not matter."""
    classifier = CosineClassifier(2, 2)
    classifier.weight.data = torch.tensor([[2.0, 0.0], [0.0, 5.0]])
    logits = classifier(torch.tensor([[3.0, 4.0], [30.0, 40.0]]))
    assert logits.tolist() == [pytest.approx([9.6, 12.8])] * 2
    assert [name for name, _ in classifier.named_parameters()] == ["weight"]


def test_head_of_the_network_decides_the_classifier():
    """Both begin with the same weights; a step changes those of the cosines too."""
    runs = {}
    for head in ("linear", "cosine"):
        tree = config(network={**FROZEN, "head": head})
        runs[head] = build(tree, random_data(tree, CPU, unlabeled=40, test=8), CPU)
    linear, cosine = (runs[head].models.student.classifier for head in ("linear", "cosine"))
    assert (type(linear), type(cosine)) == (nn.Linear, CosineClassifier)
    assert torch.equal(linear.weight, cosine.weight)
    runs["cosine"].advance(2)
    assert cosine.weight.isfinite().all()
    assert not torch.equal(linear.weight, cosine.weight)
    assert runs["cosine"].predict(runs["cosine"].data.test)[0].abs().max() <= 16


def test_unknown_heads_and_other_networks_are_refused():
    assert "head" in config_error({**config(network={**FROZEN, "head": "euclid"})})
    assert "head" in config_error(config(network={"name": "wide_resnet", "depth": 10, "width": 1, "head": "cosine"}))


def test_zeros_have_no_direction():
    tree = config(network={**FROZEN, "head": "cosine"})
    tree["protocol"]["classifier_init"] = "zeros"
    with pytest.raises(ParamsError, match="classifier_init: zeros: not allowed with head: cosine"):
        build(tree, random_data(tree, CPU, unlabeled=40, test=8), CPU)
