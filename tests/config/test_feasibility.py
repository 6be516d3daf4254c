"""Checks of a run before any data exist, compared with the later split and the built components."""

from copy import deepcopy
from functools import partial

import numpy as np
import pytest

from daso.config.feasibility import (
    given_options,
    known_env,
    reasons_infeasible,
    setting_sizes,
    unknown_classes,
    views_of,
)
from daso.config.load import load_params
from daso.config.params import components
from daso.config.registry import ADDONS, LEARNERS
from daso.config.registry import import_component as component
from daso.config.resolve import Run, resolve
from daso.config.signature import attribute
from daso.data.draw_split import draw
from daso.errors import ParamsError
from daso.records import Env
from tests.repository import PARAMS, ROOT

STL = {"n1": 150, "m1": "all", "gamma_l": 10}


@pytest.fixture
def stl():
    """Return the project's params with a dataset `blind` whose unlabeled classes are unknown."""
    params = deepcopy(PARAMS)
    params.datasets["blind"] = {**params.datasets["cifar10-lt"], "settings": {"n150-l10": STL}}
    return params


def infeasible(params, method, dataset="blind", setting="n150-l10", protocol="paper"):
    run = Run(dataset, setting, protocol, method, 0)
    return list(reasons_infeasible(params, run, resolve(params, run)))


@pytest.mark.parametrize("reversed_", [False, True])
def test_sizes_equal_those_of_the_split(reversed_):
    setting = {"n1": 20, "m1": 50, "gamma_l": 20, "gamma_u": 10, "reversed": reversed_}
    ranks = np.repeat(np.arange(10), 80)
    split = draw(ranks, setting, num_classes=10, holdout=0, seed=3)
    images = setting_sizes(setting, 10)
    assert images["counts"] == tuple(np.bincount(ranks[split.labeled], minlength=10))
    assert images["unlabeled_counts"] == tuple(np.bincount(ranks[split.unlabeled], minlength=10))
    assert (images["labeled"], images["unlabeled"]) == (len(split.labeled), len(split.unlabeled))


def test_class_sizes_of_a_setting_are_rounded_down():
    """500 / 100^(r / 9) labeled and 4,000 unlabeled images; STL-10 has only labeled sizes, natural sizes have none."""
    images = setting_sizes({"n1": 500, "m1": 4000, "gamma_l": 100, "gamma_u": 1}, 10)
    assert images["counts"] == (500, 299, 179, 107, 64, 38, 23, 13, 8, 5)
    assert (images["unlabeled_counts"], images["labeled"], images["unlabeled"]) == ((4000,) * 10, 1236, 40_000)
    assert setting_sizes({"n1": 150, "m1": "all", "gamma_l": 10}, 2) == {
        "counts": (150, 15),
        "labeled": 165,
        "unlabeled_counts": (),
    }
    assert setting_sizes({"labeled": 0.2}, 10) == {}
    assert setting_sizes({"n1": 4, "m1": "train", "gamma_l": 1}, 3) == {"counts": (4, 4, 4), "labeled": 12}
    assert setting_sizes({"n": 20, "gamma": 4, "share": 0.3}, 3) == {  # shares of 20, 10 and 5 images
        **{"counts": (6, 3, 2), "labeled": 11},
        **{"unlabeled_counts": (14, 7, 3), "unlabeled": 24},
    }


def test_fields_known_before_training_are_fields_of_env():
    config = resolve(PARAMS, Run("cifar10-lt", "n500-m4000-l100-u100", "paper", "fixmatch", 0))
    known = known_env(config)
    assert known.keys() <= set(Env._fields)
    assert (known["num_classes"], known["batch_size"], known["steps"]) == (10, 64, 250_000)


def test_images_that_a_plan_adds_are_unknown():
    """The first generation of CReST has the labels as drawn, later ones have an unknown number of pseudo-labels too."""

    def known(stage, dataset, setting):
        return known_env(resolve(PARAMS, Run(dataset, setting, "paper", f"fixmatch_crest{stage}", 0)))

    first, last = (known(stage, "cifar10-lt", "n500-m4000-l100-u100") for stage in (".g1", ""))
    assert (
        first["counts"] == first["drawn_counts"] == last["drawn_counts"] == (500, 299, 179, 107, 64, 38, 23, 13, 8, 5)
    )
    assert not {"counts", "labeled", "unlabeled", "unlabeled_counts"} & last.keys()
    assert last["steps"] == 50_000
    assert known("", "stl10-lt", "n150-l10")["unlabeled_counts"] == ()


@pytest.mark.parametrize("method", ["fixmatch_darp", "fixmatch_la_darp"])
def test_unknown_true_counts_are_one_error(stl, method):
    stl.methods[method]["where"]["blind/*"] = {"darp.prior": "true_counts"}
    (line,) = infeasible(stl, method)
    file = f"{ROOT}/params/methods/{method}.yaml"
    assert line.startswith(f"{file}: blind/n150-l10: add-on 'darp': prior 'true_counts' needs the classes of the")
    assert "\n" not in line
    assert "set prior 'given' and estimate: [...]" in line
    assert infeasible(stl, method, "cifar10-lt", "n500-m4000-l100-u100") == []


def test_error_of_an_override_names_the_protocol(stl):
    stl.protocols["paper"]["overrides"] = {"darp.prior": "true_counts"}
    (line,) = infeasible(stl, "fixmatch_darp")
    assert line.startswith(f"{ROOT}/params/protocols/paper.yaml: overrides: method 'fixmatch_darp': blind/n150-l10: ")


def test_estimate_with_the_wrong_number_of_classes(stl):
    where = {"blind/*": {"darp.prior": "given", "darp.estimate": [1, 2, 3]}}
    stl.methods["fixmatch_darp"]["where"].update(where)
    (line,) = infeasible(stl, "fixmatch_darp")
    assert "blind/n150-l10: add-on 'darp': estimate has 3 numbers for 10 classes; give one for each" in line


def test_alignment_to_unknown_classes(stl):
    stl.methods["remixmatch"]["addons"][0]["prior"] = "unlabeled"
    assert infeasible(stl, "remixmatch") == []  # alignment is disabled
    stl.methods["remixmatch"]["addons"][0]["enabled"] = True
    (line,) = infeasible(stl, "remixmatch")
    assert "blind/n150-l10: add-on 'distribution_alignment': prior 'unlabeled' needs the classes" in line
    assert infeasible(stl, "remixmatch", "cifar10-lt", "n500-m4000-l100-u100") == []


def test_natural_sizes_are_not_checked(stl):
    stl.datasets["blind"]["settings"]["n150-l10"] = {"labeled": 0.2}
    assert infeasible(stl, "fixmatch_darp") == []


def test_setting_without_unlabeled_images_is_an_error_for_methods_that_require_them(stl):
    """Settings with `m1: 0` and with a labeled share of 1; supervised learning requires no unlabeled images."""
    settings = {"m0": {"n1": 20, "m1": 0, "gamma_l": 20, "gamma_u": 1}, "all": {"n": 50, "gamma": 5, "share": 1.0}}
    stl.datasets["blind"]["settings"] = settings
    for setting in settings:
        assert infeasible(stl, "fixmatch", setting=setting) == [
            f"{ROOT}/params/datasets/blind.yaml: settings.{setting}: no unlabeled images, which method 'fixmatch' "
            "requires; change the number of images in the setting, or use a method without them, such as supervised"
        ]
        assert infeasible(stl, "supervised", setting=setting) == []


def test_self_training_requires_unlabeled_images(stl):
    """It trains on their pseudo-labels, with unlabeled_ratio: 0."""
    stl.datasets["blind"]["settings"] = {"none": {"labeled": "all", "unlabeled": []}, "n150-l10": STL}
    (line,) = infeasible(stl, "self_training_la", setting="none", protocol="zoo")
    assert "settings.none: no unlabeled images, which method 'self_training_la' requires" in line
    assert infeasible(stl, "self_training_la", protocol="zoo") == []


def test_incompatible_components(stl):
    stl.methods["mixmatch_daso"]["addons"][1]["weight"] = 1.0
    stl.methods["supervised"]["unlabeled_ratio"] = 2
    (line,) = infeasible(stl, "mixmatch_daso")
    assert line.endswith(
        "add-on 'daso' reads strong, which learner 'mixmatch' does not produce; choose a different learner"
    )
    (line,) = infeasible(stl, "supervised")
    assert line.startswith(
        f"{ROOT}/params/methods/supervised.yaml: unlabeled_ratio: 2 is not allowed with learner 'supervised'"
    )


def test_infeasible_run_of_a_suite_is_an_error_of_params(params):
    """`snakemake -n` reports DASO with an alignment loss on a learner without a strong view."""
    learner = {"name": "mixmatch", "alpha": 0.5, "weight": 1.0, "ramp_up": 0.1, "mixed_batches": "joint"}
    params("methods/fixmatch_daso.yaml", lambda tree: tree.update(learner=learner, unlabeled_ratio=1))
    with pytest.raises(ParamsError) as raised:
        load_params()
    (line,) = str(raised.value).splitlines()
    assert line.startswith("params/methods/fixmatch_daso.yaml: add-on 'daso' reads strong, which learner 'mixmatch'")


@pytest.mark.parametrize("method", PARAMS.methods)
def test_attributes_read_from_source_equal_those_of_the_objects(method):
    tree = PARAMS.methods[method]
    env = Env(10, 4, (9, *(1,) * 9), 18, 40, 4, 1000, unlabeled_counts=(4,) * 10, unlabeled_ratio=2)
    make_learner = partial(component(LEARNERS[tree["learner"]["name"]]), **given_options(tree["learner"]))
    env = env._replace(super_classes=(0, 1) * 5, learner=tree["learner"]["name"], make_learner=make_learner)
    learner = make_learner(env)
    views = views_of(tree["learner"])
    assert (views["x"], views["u"]) == (learner.views.x, learner.views.u)
    assert attribute(LEARNERS[tree["learner"]["name"]], "provides", given_options(tree["learner"])) == learner.provides
    for kind, part in components(tree):
        if kind == "add-on":
            sizes = {"estimate": [1] * 10} if part.get("prior") == "estimated" else {}  # as its plan sets them
            built = component(ADDONS[part["name"]])(env, **given_options(part), **sizes)
            assert attribute(ADDONS[part["name"]], "needs", given_options(part), frozenset()) == built.needs
            balanced = attribute(ADDONS[part["name"]], "balanced_predictions", given_options(part), False)
            assert balanced == built.balanced_predictions


def test_settings_with_unknown_unlabeled_classes_are_recognised():
    assert unknown_classes(STL)
    assert not unknown_classes({"n1": 20, "m1": 80, "gamma_l": 20, "gamma_u": 10})
    assert not unknown_classes({"n1": 4, "m1": "train", "gamma_l": 1})
    assert not unknown_classes({"labeled": 0.2})
