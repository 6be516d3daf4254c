"""Models of runs whose evaluated logits a super-class head adjusts."""

import pytest
import torch
from torch import nn

from daso.deploy.model import classifier_of
from daso.deploy.super_class_head import SuperClassAdjusted, super_class_tensors
from daso.methods.addons.scad import SCAD
from daso.methods.base import Trained
from daso.records import Output, Role, Step
from tests.deploy.models import CONVNET, trained_model
from tests.methods.test_scad import FIXMATCH, RELEASED, make_env

COUNTS = (100, 50, 25, 10, 5)  # as drawn
TRAINED = Trained(COUNTS, {}, lambda colour: torch.zeros(5), super_classes=(0, 1, 1, 0, 1))


@pytest.mark.parametrize("counts", [COUNTS, (100, 80, 60, 40, 30)])  # as drawn, and enlarged by a plan
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [1.641854, 2.135001, 2.162619, 4.102392, 3.379633]),
        (  # posterior (.589789, .410211), times Delta: (1, 1, .794894, .469190, .630810), twice; no log pi
            {"tau": 0.0, "super_tau": 2.0, "strength": 2.0},
            [0.0, -0.2, -0.589789, 0.561621, -0.761621],
        ),
    ],
)
def test_logits_are_those_of_the_add_on(options, expected, counts):
    """Features are the logits (2, 1.8, 1, 1.5, .5) of the classes and (1, 0) of the super-classes."""
    options = RELEASED | options
    tensors = {"heads.super_class.weight": torch.eye(7)[5:], "heads.super_class.bias": torch.zeros(2)}
    tensors = super_class_tensors(SCAD.evaluation_super_classes(options, TRAINED), tensors)
    classifier = nn.Linear(7, 5)
    classifier.load_state_dict({"weight": torch.eye(7)[:5], "bias": SCAD.evaluation_shift(options, TRAINED)})
    head = SuperClassAdjusted(classifier, {name.removeprefix("super_class."): each for name, each in tensors.items()})
    features = torch.tensor([[2.0, 1.8, 1, 1.5, 0.5, 1, 0]])
    assert head(features)[0].tolist() == pytest.approx(expected, abs=1e-5)
    logits, super_logits = features.split([5, 2], 1)
    step = Step(None, {"eval": Output(features, logits, {"super_class": super_logits})})
    addon = SCAD(make_env(FIXMATCH, counts=counts, drawn_counts=COUNTS), **options)
    assert addon.adjust(logits, Role.EVAL, step)[0].tolist() == pytest.approx(expected, abs=1e-5)


def test_method_that_adjusts_pseudo_labels_alone_has_no_such_head():
    options = RELEASED | {"roles": ["pseudo_label"]}
    assert super_class_tensors(SCAD.evaluation_super_classes(options, TRAINED), {}) == {}
    assert SCAD.evaluation_shift(options, TRAINED) is None


def test_model_has_the_head_of_each_member():
    """Delta is 0 for the first class and 1000 for the others, whatever the super-class: the first class is certain."""
    model = trained_model(CONVNET)
    for run in model.record["runs"]:
        prefix = f"member.{run['seed']}.super_class."
        model.tensors[f"{prefix}weight"] = torch.zeros(2, 4)
        model.tensors[f"{prefix}bias"] = torch.zeros(2)
        model.tensors[f"{prefix}delta"] = torch.tensor([[0.0, 1000, 1000]] * 2)
    probabilities, _ = classifier_of(model)(torch.zeros(2, 3, 48, 48, dtype=torch.uint8))
    assert probabilities.tolist() == [[1, 0, 0]] * 2
