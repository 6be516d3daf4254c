"""Training on features of a frozen network: every method is trained, or refused in one line."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from daso.config.checks import check, check_run
from daso.config.resolve import Run, resolve
from daso.data.features import VIEW_KINDS
from daso.engine.feature_pool import FeaturePool
from daso.engine.resident import Resident
from daso.errors import ParamsError
from daso.planning.synthetic import trainer
from tests.configs import CPU
from tests.repository import PARAMS

NETWORK = {
    "name": "timm",
    "model": "tf_efficientnet_lite0",
    "weights": "package",
    "sha256": "5" * 64,
    "image_size": 32,
    "train": "head",
}
OWN_NECK = sorted(name for name, tree in PARAMS.methods.items() if "network.neck" in tree.get("change", {}))
REFUSED = {"mixmatch", "remixmatch", "crt"}  # they need images, or a second stage from the same features
NEEDS_NECK = {"daso", "usadtm"}  # they train the features themselves
SMOKE = PARAMS.protocols["smoke"]


def with_network(**options):
    """Return params/ with a protocol `features` of few steps, whose network is frozen."""
    evaluation = {**SMOKE["evaluation"], "predictions": True}
    protocol = {**SMOKE, "network": NETWORK | options, "evaluation": evaluation}
    return replace(PARAMS, root=Path("params"), protocols={**PARAMS.protocols, "features": protocol})


BARE, WITH_NECK = with_network(), with_network(neck=8)


def pool(images):
    """Return random features of 16 numbers, of classes in turn."""
    features = torch.randn(images, len(VIEW_KINDS), 16, generator=torch.Generator().manual_seed(images))
    return FeaturePool(features.half(), torch.arange(images) % 10)


def components_of(method):
    tree = PARAMS.methods[method]
    plan = [tree["plan"]["name"]] if "plan" in tree else []
    return {tree["learner"]["name"], *plan, *(addon["name"] for addon in tree.get("addons", ()))}


def errors(params, method):
    try:
        check_run(params, Run("digits", "n20-m80-l20-u10r", "features", method, 0))
    except ParamsError as error:
        return str(error).splitlines()
    return []


@pytest.mark.parametrize("method", OWN_NECK)
def test_methods_with_a_neck_of_their_own_are_trained_whatever_the_protocol(method):
    assert errors(BARE, method) == []
    for params in (BARE, WITH_NECK):
        config = resolve(params, Run("digits", "n20-m80-l20-u10r", "features", method, 0))
        run = trainer({**config, "key": "k"}, CPU, "eager", Resident(*map(pool, (40, 80, 0, 20))))
        run.advance(2)
        assert run.models.student.encoder.feature_dim == 256
        assert run.models.student.classifier.weight.isfinite().all()


@pytest.mark.parametrize("method", sorted(PARAMS.methods.keys() - OWN_NECK))
def test_every_method_is_trained_or_refused_on_features(method):
    parts = components_of(method)
    refused, needs_neck = parts & REFUSED, parts & NEEDS_NECK
    assert len(errors(BARE, method)) == len(refused) + len(needs_neck)
    assert len(errors(WITH_NECK, method)) == len(refused)
    if refused:
        return
    config = resolve(WITH_NECK if needs_neck else BARE, Run("digits", "n20-m80-l20-u10r", "features", method, 0))
    run = trainer({**config, "key": "k"}, CPU, "eager", Resident(*map(pool, (40, 80, 0, 20))))
    before = run.models.student.classifier.weight.detach().clone()
    run.advance(2)
    assert run.models.student.classifier.weight.isfinite().all()
    assert not run.models.student.classifier.weight.equal(before)
    assert run.models.student.encoder.feature_dim == (8 if needs_neck else 16)


def test_refusals_name_file_component_and_fix():
    assert errors(BARE, "mixmatch") == [
        "params/methods/mixmatch.yaml: learner 'mixmatch': not allowed with train: head of params/protocols/features."
        "yaml, which trains on features; leave the method out, or train more than the head"
    ]
    assert errors(BARE, "fixmatch_daso") == [
        "params/methods/fixmatch_daso.yaml: add-on 'daso': trains features, of which a network with train: head has "
        "none without a neck; set neck of the network in params/protocols/features.yaml, or leave the method out"
    ]


@pytest.mark.parametrize("train", ["norm", "last:2"])
def test_other_parts_of_a_network_cannot_be_trained_yet(train):
    (error,) = (line for line in check(with_network(train=train)) if "train" in line)
    assert error.startswith("params/protocols/features.yaml: network 'timm': train: expected")
