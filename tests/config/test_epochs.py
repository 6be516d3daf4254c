"""Values in epochs; the dataset has the numbers of images of Semi-Aves."""

import pytest

from daso.config.epochs import format_steps, image_numbers, in_epochs, number, unit
from daso.config.explain import explain
from daso.config.load import load_params
from daso.config.resolve import Run, resolve, runs, trained_run, upstream_runs
from daso.config.validate import config_error
from daso.errors import ParamsError

BIRDS = {
    "images": {"train": 5959, "unlabeled": 148_848, "test": 8000, "smallest_class": 15},
    "subsets": {"in": 26_640, "out": 122_208},
    "num_classes": 10,
    "holdout": 0,
    "class_order": "size",
    "settings": {
        "in": {"labeled": "all", "unlabeled": ["in"]},
        "in-out": {"labeled": "all", "unlabeled": ["in", "out"], "supervised": "in"},
        "all": {"labeled": "all", "unlabeled": "all"},
        "half": {"labeled": 0.5},
    },
}
BUDGET = {
    "steps": "90 epochs",
    "batch_size": 256,
    "unlabeled_ratio": 5,
    "optimizer": {
        **{"lr": 0.04, "momentum": 0.9, "nesterov": True, "weight_decay": 0.0003, "factor": 0.1},
        **{"warmup": "5 epochs", "staircase": "1 epoch", "milestones": ["30 epochs", "60 epochs"]},
    },
    "evaluation": {"every": "1 epoch", "median_of": 20},
    "checkpoint_every": "2 labeled epochs",
    "overrides": {
        **{"daso.period": "1 epoch", "daso.warmup": "20 epochs", "daso.queue_length": 8},
        **{"optimizer.warmup": "5 epochs", "optimizer.milestones": ["30 epochs", "60 epochs"]},
    },
}


@pytest.fixture
def birds(params):
    """Write the numbers of Semi-Aves as the dataset digits, and its epochs as the protocol digits."""
    params("datasets/digits.yaml", lambda tree: tree.update(BIRDS))
    params("protocols/digits.yaml", lambda tree: tree.update(BUDGET))
    params("methods/fixmatch_daso.yaml", lambda tree: tree.pop("where"))
    tables = [{"name": "t", "title": "t", "dataset": "digits", "settings": ["in", "in-out"]}]
    methods = ["supervised", "fixmatch", "fixmatch_daso"]
    for suite in ("smoke", "quickstart"):
        params(
            f"suites/{suite}.yaml",
            lambda tree: tree.update(protocol="digits", tables=[{**tables[0], "methods": methods}]),
        )
    return params


def config(setting, method):
    return resolve(load_params(), Run("digits", setting, "digits", method, 0))


@pytest.mark.parametrize(
    ("setting", "method", "epoch", "steps"),
    [
        ("in", "supervised", 23, 2070),
        ("in-out", "supervised", 23, 2070),
        ("in", "fixmatch", 20, 1800),
        ("in-out", "fixmatch", 116, 10_440),
        ("all", "fixmatch", 116, 10_440),
    ],
)
def test_steps_of_an_epoch_drop_the_last_images(birds, setting, method, epoch, steps):
    """floor(5,959 / 256) = 23, floor(26,640 / 1,280) = 20, floor(148,848 / 1,280) = 116; 90 of them in a run."""
    resolved = config(setting, method)
    assert resolved["protocol"]["steps"] == steps
    assert resolved["protocol"]["evaluation"] == {"every": epoch, "median_of": 20}
    assert resolved["protocol"]["checkpoint_every"] == 46
    assert resolved["optimizer"]["warmup"] == 5 * epoch
    assert resolved["optimizer"]["staircase"] == epoch
    assert resolved["optimizer"]["milestones"] == [30 * epoch, 60 * epoch]


def test_options_of_components_may_be_in_epochs(birds):
    (daso,) = config("in", "fixmatch_daso")["method"]["addons"]
    assert (daso["period"], daso["warmup"]) == (20, 400)


def test_explain_prints_epochs_and_steps(birds):
    text = explain(load_params(), "fixmatch_daso", "digits", "digits/in")
    lines = [" ".join(line.split()) for line in text.splitlines()]
    protocol = "params/protocols/digits.yaml"
    for line in (
        f"daso.warmup 20 epochs = 400 steps {protocol}, overrides",
        f"steps 90 epochs = 1800 steps {protocol}",
        f"evaluation.every 1 epoch = 20 steps {protocol}",
        f"checkpoint_every 2 labeled epochs = 46 steps {protocol}",
        f"optimizer.milestones 30 epochs, 60 epochs = 600, 1200 steps {protocol}",
        f"daso.queue_length 8 {protocol}, overrides",
    ):
        assert line in lines


def test_epochs_without_a_setting_are_an_error(birds):
    with pytest.raises(ParamsError, match=r"^protocol 'digits': '1 epoch' depends on the number of images; name a"):
        explain(load_params(), "fixmatch_daso", "digits")


def test_epochs_of_unknown_images_are_an_error(birds):
    message = r"^digits/half/digits/fixmatch: '5 epochs': unknown number of unlabeled images; give a number of steps$"
    with pytest.raises(ParamsError, match=message):
        config("half", "fixmatch")


def test_unlabeled_epochs_need_a_method_with_unlabeled_images(birds):
    birds("protocols/digits.yaml", lambda tree: tree.update(checkpoint_every="3 unlabeled epochs"))
    with pytest.raises(ParamsError) as caught:
        load_params()
    assert (
        "params/methods/supervised.yaml: with protocol 'digits': digits/in/digits/supervised: '3 unlabeled epochs' is "
        "not allowed with a method without unlabeled images; write labeled epochs"
    ) in str(caught.value).splitlines()


def test_epoch_without_a_step_is_an_error(birds):
    birds("datasets/digits.yaml", lambda tree: tree.update(subsets={"in": 1279, "out": 147_569}))
    with pytest.raises(ParamsError) as caught:
        load_params()
    assert (
        "params/methods/fixmatch.yaml: with protocol 'digits': digits/in/digits/fixmatch: '5 epochs': 1,279 "
        "unlabeled images are fewer than a batch of 1,280; lower batch_size or unlabeled_ratio"
    ) in str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("value", "fix"),
    [
        ("90 epochen", "did you mean '90 epochs'?"),
        ("5 labelled epochs", "did you mean '5 labeled epochs'?"),
        ("0 epochs", "write one of these"),
        (1.5, "write one of these"),
    ],
)
def test_wrong_steps_name_the_accepted_forms(params, value, fix):
    params("protocols/digits.yaml", lambda tree: tree.update(steps=value, overrides={"daso.warmup": value}))
    with pytest.raises(ParamsError) as caught:
        load_params()
    got = f"'{value}'" if isinstance(value, str) else value
    forms = f"expected an integer, <n> epochs, <n> labeled epochs or <n> unlabeled epochs, got {got}; {fix}"
    assert str(caught.value).splitlines() == [f"params/protocols/digits.yaml: steps: {forms}"]
    params("protocols/digits.yaml", lambda tree: tree.update(steps=600))
    with pytest.raises(ParamsError) as caught:
        load_params()
    assert str(caught.value) == f"params/protocols/digits.yaml: overrides: add-on 'daso': warmup: {forms}"


def test_epochs_are_not_allowed_for_other_numbers(params):
    params("protocols/digits.yaml", lambda tree: tree.update(batch_size="64 epochs"))
    with pytest.raises(ParamsError, match=r"^params/protocols/digits.yaml: batch_size: expected an integer, got '64 "):
        load_params()


def test_resolved_configuration_has_no_value_in_epochs(params):
    config = resolve(load_params(), Run("digits", "n20-m80-l20-u10", "digits", "fixmatch", 0)) | {"key": "0"}
    assert config_error(config) is None
    config["protocol"]["steps"] = "9 epochs"
    assert config_error(config) == "a value is in epochs; expected its number of steps"


def test_evaluation_in_epochs_must_divide_the_steps(birds):
    birds("protocols/digits.yaml", lambda tree: tree["evaluation"].update(every="7 epochs"))
    with pytest.raises(ParamsError, match="every: 7 epochs does not divide 90 epochs; set it to a divisor of 90"):
        load_params()
    birds("protocols/digits.yaml", lambda tree: tree["evaluation"].update(every="9 epochs"))
    with pytest.raises(ParamsError, match="median_of: 20 is above the maximum 10"):
        load_params()


def test_supervised_run_is_shared_by_settings(birds):
    params = load_params()
    ids = [run.id for run in runs(params, "smoke") if run.seed == 0]
    assert ids == [
        *("digits/in/digits/supervised/s0", "digits/in/digits/fixmatch/s0", "digits/in/digits/fixmatch_daso/s0"),
        *("digits/in-out/digits/fixmatch/s0", "digits/in-out/digits/fixmatch_daso/s0"),
    ]
    assert "supervised" not in config("in-out", "fixmatch")["setting"]


def test_setting_of_the_supervised_run_must_have_a_run_of_its_own(birds):
    new = {"labeled": "all", "unlabeled": ["in"], "supervised": "in-out"}
    birds("datasets/digits.yaml", lambda tree: tree["settings"].update(new=new))
    with pytest.raises(ParamsError) as caught:
        load_params()
    assert ("params/datasets/digits.yaml: settings.new.supervised: 'in-out' itself names a setting; name 'in'") in str(
        caught.value
    ).splitlines()


def test_survey_and_encoder_of_a_setting(birds):
    """A survey estimates sizes of the unlabeled images, so each setting has its own; cRT loads the shared encoder."""
    survey = {"title": "survey", "unlabeled_ratio": 0, "learner": {"name": "supervised"}}
    birds(
        "methods/fixmatch.yaml",
        lambda tree: [tree.clear(), tree.update(survey, plan={"name": "survey", "held_out": 1})],
    )
    crt = {"name": "crt", "base": "supervised", "steps": "9 epochs", "statistics": "frozen"}
    birds("methods/fixmatch_daso.yaml", lambda tree: [tree.clear(), tree.update(survey, plan=crt)])
    birds("protocols/digits.yaml", lambda tree: tree["overrides"].update({"optimizer.milestones": []}))
    birds("protocols/digits.yaml", lambda tree: tree["optimizer"].update(milestones=[]))
    params = load_params()
    surveyed, crt_run = (Run("digits", "in-out", "digits", method, 0) for method in ("fixmatch", "fixmatch_daso"))
    assert trained_run(params, surveyed) == surveyed
    assert [run.id for run in upstream_runs(params, crt_run)] == ["digits/in/digits/supervised/s0"]
    assert resolve(params, crt_run)["protocol"]["steps"] == 207


def test_numbers_of_images_of_a_long_tail_and_of_the_other_images():
    dataset = {"num_classes": 2, "holdout": 4, "images": {"train": 100, "unlabeled": 50}}
    tails = {"n1": 8, "m1": 6, "gamma_l": 4, "gamma_u": 3}
    assert image_numbers(dataset, tails) == {"labeled": 10, "unlabeled": 8}
    assert image_numbers(dataset, {"n1": 8, "m1": "all", "gamma_l": 4}) == {"labeled": 10, "unlabeled": 50}
    assert image_numbers(dataset, {"n1": 8, "m1": "train", "gamma_l": 4}) == {"labeled": 10, "unlabeled": 96}
    assert image_numbers({"num_classes": 2, "holdout": 0}, {"labeled": 0.5}) == {"labeled": None, "unlabeled": None}


def test_image_numbers_of_an_open_set_are_those_of_the_target_classes_and_of_no_class():
    """Seven of ten classes: 20 + 12 + 7 + 4 + 2 + 1 + 1 = 47; 80 + 54 + 37 + 25 + 17 + 11 + 8 = 232, twice."""
    open_set = {"n1": 20, "m1": 80, "gamma_l": 20, "gamma_u": 10, "outside": {"classes": [7, 8, 9], "share": 0.5}}
    assert image_numbers({"num_classes": 10, "holdout": 0}, open_set) == {"labeled": 47, "unlabeled": 464}


def test_labeled_images_of_lists_are_unknown_with_a_holdout():
    dataset = {"num_classes": 2, "holdout": 2, "images": {"train": 9, "unlabeled": 5}}
    lists = {"labeled": "all", "unlabeled": "all"}
    assert image_numbers(dataset, lists) == {"labeled": None, "unlabeled": 5}
    assert image_numbers(dataset | {"holdout": 0}, lists) == {"labeled": 9, "unlabeled": 5}


def test_texts_in_epochs():
    assert [in_epochs(value) for value in ("1 epoch", "5 unlabeled epochs", ["2 epochs", 3])] == [True] * 3
    assert [in_epochs(value) for value in ("0 epochs", "5 test epochs", "1.5 epochs", "epoch", 5, ["5"])] == [False] * 6
    assert [number(value) for value in (5, "9 epochs", "3 labeled epochs")] == [5, 9, 3]
    assert [unit(value) for value in (5, "5 epochs", "1 labeled epoch")] == ["steps", "epochs", "labeled epochs"]
    assert [format_steps(value) for value in (1200, "90 epochs")] == ["1,200 steps", "90 epochs"]
