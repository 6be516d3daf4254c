"""Protocols of other papers, and options of a protocol that depend on the setting."""

import math

import pytest

from daso.config.checks import check_run
from daso.config.epochs import image_numbers
from daso.config.explain import explain
from daso.config.load import load_params
from daso.config.protocol_where import protocol_in, setting_place
from daso.config.resolve import Run, resolve, setting_config
from daso.engine.optimizer import rate_table
from daso.errors import ParamsError
from daso.planning.cost import step_digest
from tests.repository import PARAMS
from tools.gpu.prepare import in_paper_protocol

CIFAR10, CIFAR100 = ("cifar10-lt", "n500-m4000-l100-u100"), ("cifar100-lt", "n50-m400-l10-u10")
UNIFORM, STL10 = ("cifar10-lt", "n500-m4000-l100-u1"), ("stl10-lt", "n450-l10")
SGD = {"momentum": 0.9, "nesterov": True, "weight_decay": 0.0005, "warmup": 0, "milestones": [], "factor": 1.0}
ADAM = {"algorithm": "adam", "lr": 0.0015, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.0}
ADAM |= {"warmup": 0, "milestones": [], "factor": 1.0}
# Steps, labeled and unlabeled images of a step, optimizer, momentum of the batch norms.
PUBLISHED = {
    "acr": (500 * 500, 64, 64, {**SGD, "lr": 0.03, "decay_biases": False, "anneal": "cosine"}, 0.001),
    "simpro": (86 * 500, 64, 512, {**SGD, "lr": 0.17, "decay_biases": False, "anneal": "cosine"}, 0.001),
    "cdmad": (500 * 500, 32, 64, {**ADAM, "state_decay": 0.04}, None),
    "usb": (256 * 1024, 64, 128, {**SGD, "lr": 0.03}, 0.001),
}


def config(place, protocol, method="fixmatch"):
    return resolve(PARAMS, Run(*place, protocol, method, 0))


@pytest.mark.parametrize("protocol", PUBLISHED)
def test_protocols_have_the_constants_of_the_papers(protocol):
    """For supervised learning too, whose own learning rate and schedule are those of another protocol."""
    steps, labeled, unlabeled, optimizer, momentum = PUBLISHED[protocol]
    for method, ratio in (("fixmatch", unlabeled / labeled), ("supervised", 0)):
        for place in (CIFAR10, CIFAR100) if protocol != "cdmad" else (CIFAR10,):
            tree = config(place, protocol, method)
            assert (tree["protocol"]["steps"], tree["protocol"]["batch_size"]) == (steps, labeled)
            assert tree["method"]["unlabeled_ratio"] == ratio
            assert tree["optimizer"] == optimizer
            network = {"name": "wide_resnet", "depth": 28, "width": 2}
            assert tree["protocol"]["network"] == network | ({"norm_momentum": momentum} if momentum else {})
            assert tree["protocol"]["teacher"]["decay"] == 0.999


@pytest.mark.parametrize(("protocol", "last"), [("acr", 0.0058527), ("simpro", 0.0331654), ("usb", 0.03)])
def test_learning_rate_at_the_end(protocol, last):
    """cos(7 pi / 16) = .1950903, times .03 and .17; the rate of USB is fixed."""
    optimizer = PUBLISHED[protocol][3]
    assert math.cos(7 * math.pi / 16) == pytest.approx(0.1950903, abs=1e-7)
    rates = rate_table(PUBLISHED[protocol][0], optimizer)
    assert [float(rates[0]), float(rates[-1])] == pytest.approx([optimizer["lr"], last], abs=1e-5)


@pytest.mark.parametrize(
    ("place", "decay", "factor"),
    [
        *((CIFAR10, 0.04, 0.99994), (CIFAR100, 0.08, 0.99988), (STL10, 0.01, 0.999985)),
        (UNIFORM, 0.01, 0.999985),
        (("cifar10-lt", "n1500-m3000-l100-u1-first-in"), 0.01, 0.999985),
        (("cifar10-lt", "n1500-m3000-l100-u150-first-in"), 0.04, 0.99994),
        (("cifar100-lt", "n50-m400-l10-u1-first-in"), 0.01, 0.999985),
    ],
)
@pytest.mark.parametrize("method", ["fixmatch", "supervised"])
def test_state_decay_of_cdmad_depends_on_the_dataset(place, decay, factor, method):
    """The factor of a step is 1 - .0015 times the decay; it is smaller from 30,000 training images on."""
    optimizer = config(place, "cdmad", method)["optimizer"]
    assert optimizer == {**ADAM, "state_decay": decay}
    assert 1 - optimizer["lr"] * optimizer["state_decay"] == pytest.approx(factor, abs=1e-12)


@pytest.mark.parametrize("dataset", ["cifar10-lt", "cifar100-lt"])
def test_state_decay_of_cdmad_is_smaller_in_every_setting_of_30_000_images(dataset):
    """As in the authors' code, which adds labeled and unlabeled images; a setting of a new shape may need an entry."""
    smaller, many = set(), set()
    for setting in PARAMS.datasets[dataset]["settings"]:
        images = image_numbers(PARAMS.datasets[dataset], setting_config(PARAMS, dataset, setting))
        many |= {setting} if sum(images.values()) >= 30_000 else set()
        decay = config((dataset, setting), "cdmad")["optimizer"]["state_decay"]
        smaller |= {setting} if decay == 0.01 else set()
    assert smaller == many
    assert 0 < len(many) < len(PARAMS.datasets[dataset]["settings"])


def test_unlabeled_ratio_of_simpro_depends_on_the_dataset():
    """16 x 64 unlabeled images of STL-10 in a step; a method without unlabeled images stays so."""
    ratios = [
        config(place, "simpro", method)["method"]["unlabeled_ratio"]
        for place in (CIFAR10, STL10)
        for method in ("fixmatch", "supervised")
    ]
    assert ratios == [8, 0, 16, 0]
    runs = [Run(*place, "simpro", "fixmatch", 0) for place in (CIFAR10, STL10)]
    assert step_digest(PARAMS, runs[0]) != step_digest(PARAMS, runs[0]._replace(protocol="acr"))  # 512 and 64 images
    assert protocol_in(PARAMS.protocols["simpro"], setting_place(PARAMS, "stl10-lt", "n450-l10"))[1] == {
        "unlabeled_ratio": "stl10-lt/*"
    }
    assert PARAMS.protocols["simpro"]["unlabeled_ratio"] == 8


def source(text, key):
    (line,) = (line for line in text.splitlines() if line.split("  ")[0] == key)
    return " ".join(line.split()[1:])


def test_explain_names_the_entry_that_sets_an_option():
    file, of_simpro = (PARAMS.file("protocol", name) for name in ("cdmad", "simpro"))
    text = explain(PARAMS, "fixmatch", "cdmad", "cifar10-lt/n500-m4000-l100-u1")
    assert source(text, "optimizer.state_decay").startswith(f"0.01 {file}, where cifar*-lt/*-u1 # from 30,000")
    assert source(explain(PARAMS, "supervised", "cdmad", "/".join(CIFAR10)), "optimizer.state_decay").startswith(
        f"0.04 {file} # each step"
    )
    lines = [" ".join(line.split()) for line in explain(PARAMS, "fixmatch", "cdmad").splitlines()]
    assert f"optimizer.state_decay 0.08 {file}, where cifar100-lt/*" in lines
    ratios = {method: explain(PARAMS, method, "simpro", "/".join(STL10)) for method in ("fixmatch", "supervised")}
    assert source(ratios["fixmatch"], "unlabeled_ratio") == f"16 {of_simpro}, where stl10-lt/*"
    assert source(ratios["supervised"], "unlabeled_ratio") == f"0 {PARAMS.file('method', 'supervised')}"


def test_later_entries_and_the_methods_own_optimizer_replace_earlier_ones(params):
    """The method's own rate, .1, replaces that of `where`; the last matching entry replaces the first."""
    where = {"digits/*": {"optimizer.lr": 0.5, "optimizer.momentum": 0.5}, "digits/*r": {"optimizer.momentum": 0.6}}
    overrides = {"optimizer.warmup": 0, "optimizer.milestones": []}
    params("protocols/smoke.yaml", lambda tree: tree.update(where=where, overrides=overrides))
    loaded = load_params()
    result = {
        (method, setting): resolve(loaded, Run("digits", setting, "smoke", method, 0))["optimizer"]
        for method in ("supervised", "fixmatch")
        for setting in ("n20-m80-l20-u10", "n20-m80-l20-u10r")
    }
    assert [(each["lr"], each["momentum"]) for each in result.values()] == [
        *((0.1, 0.5), (0.1, 0.6)),  # supervised
        *((0.5, 0.5), (0.5, 0.6)),
    ]


@pytest.mark.parametrize(
    ("where", "line"),
    [
        ({"digit/*": {"unlabeled_ratio": 2}}, "where: 'digit/*' matches no <dataset>/<setting>"),
        ({"digits/*": {"steps": 2}}, "where: digits/*: expected unlabeled_ratio or optimizer.option, got 'steps'"),
        ({"digits/*": {"network.depth": 2}}, "where: digits/*: expected unlabeled_ratio or optimizer.option, got"),
        ({"digits/*": {"unlabeled_ratio": 0}}, "where: digits/*: unlabeled_ratio: 0 is below the minimum 1"),
        ({"digits/*": {"optimizer.rate": 1}}, "where: digits/*: optimizer: unknown option 'rate'"),
        ({"digits/*": {"optimizer.lr": 0}}, "where: digits/*: optimizer.lr: 0 is "),
    ],
)
def test_errors_of_where_are_one_line(params, where, line):
    params("protocols/smoke.yaml", lambda tree: tree.update(where=where))
    with pytest.raises(ParamsError) as error:
        load_params()
    assert str(error.value).startswith(f"params/protocols/smoke.yaml: {line}")
    assert "\n" not in str(error.value)


def test_options_of_the_optimizer_in_where_are_checked_together_in_a_run(params):
    """Momentum 0 is allowed, but not with the protocol's Nesterov momentum."""
    params("protocols/smoke.yaml", lambda tree: tree.update(where={"digits/*": {"optimizer.momentum": 0}}))
    with pytest.raises(ParamsError, match=r"smoke.yaml: method 'fixmatch': optimizer.nesterov: true is not allowed"):
        load_params()


@pytest.mark.parametrize("protocol", PUBLISHED)
def test_every_method_of_the_paper_trains_under_the_protocol(protocol):
    for name, tree in PARAMS.methods.items():
        if "of" not in tree and in_paper_protocol(tree):
            check_run(PARAMS, Run(*CIFAR10, protocol, name, 0))


@pytest.mark.parametrize(
    ("splits", "line"),
    [
        ({"digit": {"selection": "first"}}, "splits: unknown dataset 'digit'; did you mean 'digits'?"),
        ({"selection": "first"}, "splits.selection: expected a mapping of keys to values, got 'first'"),
        (
            {"digits": {"shape": "middle"}},
            "splits.digits: unknown key 'shape'; choose one of selection, unlabeled_inclu",
        ),
    ],
)
def test_errors_of_splits_are_one_line(params, splits, line):
    params("protocols/smoke.yaml", lambda tree: tree.update(splits=splits))
    with pytest.raises(ParamsError) as error:
        load_params()
    (only,) = str(error.value).splitlines()
    assert only.startswith(f"params/protocols/smoke.yaml: {line}")
