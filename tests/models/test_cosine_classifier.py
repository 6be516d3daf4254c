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


def test_logits_are_cosines_times_25():
    """(3, 4) has the cosines .6, .8 and .7 sqrt 2 with (1, 0), (0, 2) and (1, 1); lengths do not matter."""
    classifier = CosineClassifier(2, 3)
    classifier.weight.data = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    logits = classifier(torch.tensor([[3.0, 4.0], [30.0, 40.0]]))
    assert logits.tolist() == [pytest.approx([15.0, 20.0, 24.748737])] * 2
    assert [name for name, _ in classifier.named_parameters()] == ["weight"]


def test_weights_start_at_class_means_of_length_one():
    """Unit features (.6, .8), (.6, -.8) and (0, 1), (1, 0); class 2 has no image and keeps its weights."""
    classifier = CosineClassifier(2, 3)
    own = classifier.weight[2].tolist()
    features = torch.tensor([[3.0, 4.0], [0.0, 4.0], [3.0, -4.0], [3.0, 0.0]])
    classifier.start_at_means(features, torch.tensor([0, 1, 0, 1]))
    assert classifier.weight.tolist() == [pytest.approx([1.0, 0.0]), pytest.approx([0.5**0.5, 0.5**0.5]), own]


def test_head_of_the_network_decides_the_classifier():
    """The cosines begin at class means, in the EMA model too; a step changes them."""
    runs = {}
    for head in ("linear", "cosine"):
        tree = config(network={**FROZEN, "head": head})
        runs[head] = build(tree, random_data(tree, CPU, unlabeled=40, test=8), CPU)
    linear, cosine = (runs[head].models.student.classifier for head in ("linear", "cosine"))
    assert (type(linear), type(cosine)) == (nn.Linear, CosineClassifier)
    start = cosine.weight.clone()
    assert start.norm(dim=1).tolist() == pytest.approx([1.0] * 4)
    assert torch.equal(runs["cosine"].models.teacher.classifier.weight, start)
    runs["cosine"].advance(2)
    assert cosine.weight.isfinite().all()
    assert not torch.equal(start, cosine.weight)
    assert runs["cosine"].predict(runs["cosine"].data.test)[0].abs().max() <= 25


def test_unknown_heads_and_other_networks_are_refused():
    assert "head" in config_error({**config(network={**FROZEN, "head": "euclid"})})
    assert "head" in config_error(config(network={"name": "wide_resnet", "depth": 10, "width": 1, "head": "cosine"}))


def test_other_first_weights_are_refused():
    tree = config(network={**FROZEN, "head": "cosine"})
    tree["protocol"]["classifier_init"] = "zeros"
    with pytest.raises(ParamsError, match="classifier_init: not allowed with head: cosine, which starts at class mea"):
        build(tree, random_data(tree, CPU, unlabeled=40, test=8), CPU)
