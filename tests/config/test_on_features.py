"""Training on features of a frozen network: every method is trained, or refused in one line."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from daso.config.checks import check, check_run
from daso.config.fit import fit_errors, fitted_options
from daso.config.keys import Keys
from daso.config.params_schemas import FitGrid
from daso.config.resolve import Run, resolve
from daso.data.features import VIEW_KINDS
from daso.engine.feature_pool import FeaturePool
from daso.engine.resident import Resident
from daso.errors import ParamsError
from daso.paths import input_files
from daso.planning.synthetic import random_blanks, trainer
from daso.schema import mismatches
from tests.configs import CPU
from tests.repository import PARAMS
from tests.resumed import assert_resumed_equals_whole

NETWORK = {
    "name": "timm",
    "model": "tf_efficientnet_lite0",
    "weights": "package",
    "sha256": "5" * 64,
    "image_size": 32,
    "train": "head",
}
OWN_NECK, OWN_HEAD = (
    sorted(name for name, tree in PARAMS.methods.items() if option in tree.get("change", {}))
    for option in ("network.neck", "network.head")
)
REFUSED = {"mixmatch", "remixmatch", "ccl", "crt"}  # they need images, or a second stage from the same features
ON_FEATURES = {"ccl_no_contrast"}  # without the views of images that its learner otherwise needs
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
    return FeaturePool(features.half(), torch.arange(images) % 10, blanks=random_blanks(16, CPU))


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


@pytest.mark.parametrize("method", OWN_HEAD)
def test_methods_with_a_cosine_classifier_start_at_the_class_means(method):
    assert errors(BARE, method) == []
    config = resolve(BARE, Run("digits", "n20-m80-l20-u10r", "features", method, 0))
    run = trainer({**config, "key": "k"}, CPU, "eager", Resident(*map(pool, (40, 80, 0, 20))))
    features = run.data.labeled.gather(torch.arange(40))
    units = torch.nn.functional.normalize(features, dim=1)
    means = torch.stack([units[k::10].mean(0) for k in range(10)])  # classes in turn
    for network in run.models:
        assert torch.allclose(network.classifier.weight, means / means.norm(dim=1, keepdim=True), atol=1e-6)
    assert run.config["optimizer"]["lr"] == 0.01
    run.advance(2)
    assert not torch.allclose(run.models.student.classifier.weight, means / means.norm(dim=1, keepdim=True))


@pytest.mark.parametrize("method", [*OWN_NECK, *OWN_HEAD, "alpha_tim"])
def test_resumed_run_on_features_equals_whole_run(method, tmp_path):
    config = {**resolve(BARE, Run("digits", "n20-m80-l20-u10r", "features", method, 0)), "key": "k"}
    data = Resident(*map(pool, (40, 80, 0, 20)))
    assert_resumed_equals_whole(lambda: trainer(config, CPU, "eager", data), tmp_path / "state.pt")


@pytest.mark.parametrize("method", sorted(PARAMS.methods.keys() - {*OWN_NECK, *OWN_HEAD}))
def test_every_method_is_trained_or_refused_on_features(method):
    parts = components_of(method)
    refused, needs_neck = set() if method in ON_FEATURES else parts & REFUSED, parts & NEEDS_NECK
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


@pytest.mark.parametrize(("option", "value"), [("image_size", 64), ("train", "all")])
def test_method_cannot_change_the_network_of_shared_features(option, value):
    """It may change neck and head, which are trained."""
    tree = {"title": "T", "of": "supervised_la", "change": {f"network.{option}": value}}
    own = {**PARAMS.methods["supervised_la"], **tree}
    changed = replace(BARE, methods={**PARAMS.methods, "own": own})
    assert errors(changed, "own") == [
        f"params/methods/own.yaml: network.{option}: {value} is not allowed with the features of params/protocols/"
        "features.yaml, which all its methods share; set it in the network of a different protocol"
    ]
    own["change"] = {"network.neck": 8, "network.head": "cosine"}
    assert errors(changed, "own") == []


FIT = {"weight_decay": [1e-4, 5e-4], "tau": [0.5, 1.0], "folds": 5, "least_labels": 40}


@pytest.mark.parametrize(
    ("network", "line"),
    [
        (
            {"train": "all"},
            "fits a classifier on features, and the network is trained; remove fit, or set network.train: head",
        ),
        (
            {"neck": 8},
            "fits a classifier on features without a neck; remove fit, or set the neck in the methods' files",
        ),
        (
            {"head": "cosine"},
            "fits a linear classifier, got network.head: cosine; remove fit or network.head",
        ),
    ],
)
def test_fit_requires_a_linear_classifier_on_features(network, line):
    params = with_network(**network)
    params.protocols["features"]["fit"] = FIT
    assert check(params) == [f"params/protocols/features.yaml: fit: {line}"]


def test_fit_requires_the_method_whose_recipe_it_uses():
    methods = {name: tree for name, tree in PARAMS.methods.items() if name != "supervised_la"}
    assert list(fit_errors({"network": NETWORK, "fit": FIT, "optimizer": SMOKE["optimizer"]}, methods)) == [
        "fit: missing method 'supervised_la', whose recipe it uses; restore the method's file, or remove fit"
    ]


@pytest.mark.parametrize(
    ("option", "value", "line"),
    [
        ("weight_decay", [], "empty; fill it in"),
        ("tau", [1.0, 0.5], "[1.0, 0.5] is not in ascending order; sort the numbers, and list each once"),
        ("tau", [1.0, 1.0], "[1.0, 1.0] is not in ascending order; sort the numbers, and list each once"),
        ("tau", [0.0, 1.0], "0.0 is too small; set it above 0"),
        ("folds", 1, "1 is below the minimum 2; set it to 2 or more"),
    ],
)
def test_grid_of_a_fit_is_checked(option, value, line):
    (mismatch,) = mismatches(FIT | {option: value}, FitGrid, "fit")
    assert str(mismatch).partition(": ")[2] == line


def keys_with_fit(**changes):
    params = with_network()
    return Keys(
        replace(
            params, protocols={**params.protocols, "features": params.protocols["features"] | {"fit": FIT | changes}}
        )
    )


@pytest.mark.parametrize(
    ("method", "into"),
    [
        ("supervised", {"weight_decay": "optimizer.weight_decay"}),
        ("fixmatch_la", {"weight_decay": "optimizer.weight_decay", "tau": "logit_adjustment.tau"}),
        ("fixmatch_la_inf", {"weight_decay": "optimizer.weight_decay"}),
        ("fixmatch_crest.g2", {"weight_decay": "optimizer.weight_decay"}),
    ],
)
def test_plan_passes_fitted_values_to_the_options_of_a_method(method, into):
    run = Run("digits", "n20-m80-l20-u10r", "features", method, 3)
    plan = keys_with_fit().resolved(run)["plan"]
    assert plan["fit"] == {"key": keys_with_fit().fit(run), "into": into}
    path = Path("data/fits/digits/n20-m80-l20-u10r/features/s3.json")
    assert input_files(run.id, plan)["fit"] == path
    assert input_files(run.id, resolve(keys_with_fit().params, run)["plan"])["fit"] == path


def test_ablation_keeps_its_own_value():
    method = {"addons": [{"name": "logit_adjustment", "tau": 2.0, "roles": ["supervised"]}]}
    assert fitted_options(method, {"logit_adjustment.tau": 2.0}) == {"weight_decay": "optimizer.weight_decay"}


def test_protocol_without_a_fit_has_no_key_of_one():
    with pytest.raises(ParamsError) as raised:
        Keys(with_network()).fit(Run("digits", "n20-m80-l20-u10r", "features", "supervised", 0))
    assert str(raised.value) == "params/protocols/features.yaml: missing fit; add it, or request no fit"


def test_keys_of_fits_and_runs_depend_on_the_grid():
    run = Run("digits", "n20-m80-l20-u10r", "features", "supervised", 0)
    first, other = keys_with_fit(), keys_with_fit(folds=3)
    assert first.fit(run) != other.fit(run)
    assert first.train(run) != other.train(run)
    assert first.fit(run) == first.fit(run._replace(method="fixmatch_la"))
    assert first.fit(run) != first.fit(run._replace(seed=1))
    assert first.encode(*run[:1], run.protocol) == other.encode(*run[:1], run.protocol)
