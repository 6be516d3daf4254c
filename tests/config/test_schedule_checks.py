"""Schedules of the learning rate that params/ must not have. Protocol `digits` has 1,200 steps, `smoke` has fewer."""

import pytest

from daso.config.load import load_params
from daso.errors import ParamsError

DIGITS, FIXMATCH = "protocols/digits.yaml", "methods/fixmatch.yaml"


def first_error():
    with pytest.raises(ParamsError) as raised:
        load_params()
    return str(raised.value).splitlines()[0]


def optimizer(**values):
    return lambda tree: tree["optimizer"].update(values)


def overrides(values):
    return lambda tree: tree["overrides"].update(values)


@pytest.fixture
def digits(params):
    """Return `change(file, edit)`; both suites have the protocol digits."""
    params("suites/smoke.yaml", lambda tree: tree.update(protocol="digits"))
    return params


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (
            optimizer(warmup=5, staircase=6),
            "optimizer.staircase: a level of 6 steps is longer than the warm-up of 5 steps; lower or remove it",
        ),
        (
            optimizer(warmup="5 epochs", staircase="6 epochs"),
            "optimizer.staircase: a level of 6 epochs is longer than the warm-up of 5 epochs; lower or remove it",
        ),
        (
            optimizer(milestones=[100, 300, 200]),
            "optimizer.milestones: 300 before 200 steps is not in ascending order; sort them, and list each once",
        ),
        (
            optimizer(milestones=["60 labeled epochs", "30 labeled epochs"]),
            "optimizer.milestones: 60 before 30 labeled epochs is not in ascending order; sort them, and list each "
            "once",
        ),
        (optimizer(milestones=[100, 100]), "optimizer.milestones: duplicate 100; list it once"),
        (
            overrides({"optimizer.milestones": [300, 200]}),
            "overrides: optimizer.milestones: method 'supervised' with protocol 'digits': 300 before 200 steps is not "
            "in ascending order; sort them, and list each once",
        ),
        (
            overrides({"optimizer.milestones": [1201]}),
            "overrides: optimizer.milestones: method 'supervised' with protocol 'digits': step 1201 is after the last "
            "step 1200; lower it, or set it in overrides",
        ),
    ],
)
def test_wrong_schedule_of_a_protocol_is_an_error(digits, edit, line):
    digits(DIGITS, edit)
    assert first_error() == f"params/{DIGITS}: {line}"


def test_schedule_of_a_method_that_exceeds_the_protocol_is_an_error(digits):
    """The supervised baseline warms up for 6,250 steps unless the protocol overrides it."""
    digits(DIGITS, lambda tree: tree["overrides"].pop("optimizer.warmup"))
    assert first_error() == (
        "params/methods/supervised.yaml: optimizer.warmup: method 'supervised' with protocol 'digits': step 6250 is "
        "after the last step 1200; lower it, or set it in overrides"
    )


@pytest.mark.parametrize(
    ("milestones", "problem"),
    [
        ([200, 601], "step 601 is after the last step 600; lower it, or set it in overrides"),
        ([200, 200], "200 before 200 steps is not in ascending order; sort them, and list each once"),
    ],
)
def test_error_in_milestones_of_a_plan_names_its_option(digits, milestones, problem):
    """Each of 2 generations has 600 of the 1,200 steps."""
    plan = {"name": "crest", "generations": 2, "exponent": 0.3, "milestones": [100]}
    digits(FIXMATCH, lambda tree: tree.update(plan=plan))
    load_params()
    digits(DIGITS, overrides({"crest.milestones": milestones}))
    assert first_error() == (
        f"params/{DIGITS}: overrides: crest.milestones: method 'fixmatch' with protocol 'digits': {problem}"
    )


def test_staircase_without_warm_up_has_no_effect(digits):
    """Overrides set the warm-up of every method to 0 steps, and a method cannot remove the protocol's staircase."""
    digits(DIGITS, optimizer(warmup=5, staircase=5))
    digits(DIGITS, overrides({"optimizer.warmup": 0}))
    load_params()
    digits(DIGITS, overrides({"optimizer.warmup": 4}))
    assert first_error().startswith(
        f"params/{DIGITS}: optimizer.staircase: method 'supervised' with protocol 'digits': a level of 5 steps is "
    )
