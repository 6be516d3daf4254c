"""Controls of a suite's methods: what is allowed, and the one error line of each mistake."""

import pytest

from daso.config.controls import balanced_parts
from daso.config.load import load_params
from daso.errors import ParamsError
from tests.repository import PARAMS

WHERE = "params/suites/smoke.yaml: table 'smoke': controls: "
LA = {"name": "logit_adjustment", "tau": 1.0, "roles": ["supervised"]}


@pytest.fixture
def controlled(params):
    """Write `params/` whose suite `smoke` has controls under a protocol that keeps predictions; return `change`."""
    params("protocols/smoke.yaml", lambda tree: tree["evaluation"].update(model="ema", predictions=True))
    params("suites/smoke.yaml", lambda tree: tree["tables"][0].update(controls={"fixmatch": "supervised"}))
    return params


def errors():
    with pytest.raises(ParamsError) as raised:
        load_params()
    return str(raised.value).splitlines()


def test_control_with_the_same_training_is_allowed(controlled):
    """An add-on other than logit adjustment, and the learner, may differ."""
    pairs = {"fixmatch": "supervised", "fixmatch_daso": "supervised"}
    controlled("suites/smoke.yaml", lambda tree: tree["tables"][0].update(controls=pairs))
    assert load_params().suites["smoke"]["tables"][0]["controls"] == pairs


@pytest.mark.parametrize(
    ("method", "parts"),
    [
        ("fixmatch", []),
        ("supervised_ldam_drw", []),
        ("fixmatch_la", ["logit_adjustment"]),
        ("fixmatch_la_inf", ["logit_adjustment"]),
        ("fixmatch_adello", ["adello"]),
        ("simpro", ["simpro"]),
        ("acr", ["acr"]),
        ("cdmad", ["cdmad"]),
        ("decon", ["decon"]),
    ],
)
def test_parts_that_balance_predictions(method, parts):
    assert balanced_parts({"addons": [], **PARAMS.methods[method]}) == parts


@pytest.mark.parametrize(
    ("controls", "line"),
    [
        ({"fixmatch": "supervized"}, f"{WHERE}unknown method 'supervized'; did you mean 'supervised'?"),
        (
            {"fixmatch": "fixmatch_daso"},
            f"{WHERE}'fixmatch_daso', the control of 'fixmatch', has unlabeled images; name a method without them",
        ),
        (
            {"fixmatch": "supervised", "supervised": "supervised"},
            f"{WHERE}'supervised', the control of 'fixmatch', has a control of its own; remove one of them",
        ),
    ],
)
def test_wrong_control_is_an_error(controlled, controls, line):
    controlled("suites/smoke.yaml", lambda tree: tree["tables"][0].update(controls=controls))
    assert errors()[0] == line


def test_method_and_control_that_the_table_lacks_have_one_line_each(controlled):
    controlled("suites/smoke.yaml", lambda tree: tree["tables"][0].update(methods=["fixmatch_daso"]))
    pairs = {"fixmatch": "supervised", "fixmatch_daso": "supervised"}
    controlled("suites/smoke.yaml", lambda tree: tree["tables"][0].update(controls=pairs))
    assert errors() == [
        f"{WHERE}'{name}' is not in the table's methods; add it, or remove it here"
        for name in ("fixmatch", "supervised")
    ]


def test_plan_that_reads_unlabeled_images_is_no_control(controlled):
    controlled("methods/supervised.yaml", lambda tree: tree.update(plan={"name": "survey", "held_out": 1}))
    assert errors() == [
        f"{WHERE}'supervised', the control of 'fixmatch', has unlabeled images; name a method without them"
    ]


def test_method_without_unlabeled_images_needs_no_control(controlled):
    controlled("methods/fixmatch.yaml", lambda tree: tree.update(unlabeled_ratio=0, learner={"name": "supervised"}))
    assert f"{WHERE}'fixmatch' has no unlabeled images and needs no control; remove it" in errors()


@pytest.mark.parametrize(
    ("file", "change", "values"),
    [
        ("fixmatch", {"optimizer": {"weight_decay": 0.001}}, "optimizer.weight_decay: 0.001 and 0.0005"),
        (
            "supervised",
            {"addons": [LA]},
            "logit_adjustment.tau: none and 1.0; logit_adjustment.roles: none and supervised",
        ),
    ],
)
def test_control_with_another_training_is_an_error(controlled, file, change, values):
    controlled(f"methods/{file}.yaml", lambda tree: tree.update(change))
    assert errors() == [
        f"{WHERE}'fixmatch' and its control 'supervised' differ in setting 'n20-m80-l20-u10r', {values}; set the same "
        "values, or name a different control"
    ]


def test_control_must_be_evaluated_by_the_same_model(controlled):
    """Without the protocol's option supervised learning evaluates the student, FixMatch the EMA model."""
    controlled("protocols/smoke.yaml", lambda tree: tree["evaluation"].pop("model"))
    (line,) = errors()
    assert "differ in setting 'n20-m80-l20-u10r', evaluation.model: the EMA model and the student; set" in line


def test_controls_require_predictions(controlled):
    controlled("protocols/smoke.yaml", lambda tree: tree["evaluation"].pop("predictions"))
    assert errors() == [
        "params/protocols/smoke.yaml: evaluation.predictions: missing, and controls of suite 'smoke' are compared by "
        "predictions; set it to true"
    ]
