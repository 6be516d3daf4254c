"""Methods for one's own images: self-training, and controls that differ by the unlabeled images alone."""

from dataclasses import replace

import pytest

from daso.config.checks import check_run
from daso.config.controls import control_errors
from daso.config.resolve import Run, parse_run, resolve, trained_run, upstream_runs
from daso.errors import ParamsError
from tests.repository import PARAMS


def test_self_training_requires_predictions_of_unlabeled_images():
    """The protocol keeps them, as that of the zoo does."""
    check_run(PARAMS, parse_run(PARAMS, "digits/n40-m60-l10-u5r/zoo/self_training_la/s0"))
    with pytest.raises(ParamsError) as raised:
        check_run(PARAMS, parse_run(PARAMS, "digits/n40-m60-l10-u5r/digits/self_training_la/s0"))
    assert str(raised.value).endswith(
        "params/protocols/digits.yaml: evaluation.predictions: missing, and 'self_training_la' trains on predictions "
        "of 'supervised_la' for unlabeled images; set it to true"
    )


def test_control_on_features_differs_from_its_method_by_unlabeled_images_alone():
    """Both have the neck; the network of the other methods of the protocol has none."""
    place = "digits/n20-m80-l20-u10r/photos"
    configs = [
        resolve(PARAMS, parse_run(PARAMS, f"{place}/{name}/s0"))
        for name in ("supervised_la_neck", "fixmatch_la_daso_neck", "supervised_la")
    ]
    control, method, bare = (config["protocol"] for config in configs)
    assert control == method
    assert control["network"] == {**bare["network"], "neck": 256}
    assert configs[0]["optimizer"] == configs[1]["optimizer"]


def test_control_must_have_the_same_fitted_values():
    """An ablation keeps the weight decay that it changes, here to the protocol's; its control has the fitted one."""
    own = {**PARAMS.methods["fixmatch_la"], "of": "fixmatch_la", "change": {"optimizer.weight_decay": 0.002}}
    table = {"name": "t", "dataset": "digits", "settings": ["n20-m80-l20-u10r"], "controls": {"own": "supervised_la"}}
    suites = {"s": {"protocol": "photos", "tables": [table]}}
    (line,) = control_errors(replace(PARAMS, methods={**PARAMS.methods, "own": own}, suites=suites))
    assert "fitted values: tau and weight_decay, tau; set the same values" in line


@pytest.mark.parametrize("method", ["simpro", "fixmatch_adello"])
@pytest.mark.parametrize(
    ("control", "differences"),
    [("supervised_la", []), ("supervised", ["balanced predictions: True and False"])],
)
def test_control_of_a_method_that_adjusts_its_labeled_loss_is_adjusted_too(method, control, differences):
    """The prior in the method's loss is its own; only the tau of its control is fitted, the weight decay of both."""
    table = {"name": "t", "dataset": "digits", "settings": ["n20-m80-l20-u10r"], "controls": {method: control}}
    lines = list(control_errors(replace(PARAMS, suites={"s": {"protocol": "photos", "tables": [table]}})))
    assert [line.split("n20-m80-l20-u10r', ")[1].split("; set")[0] for line in lines] == differences


def test_pseudo_labels_are_those_of_the_own_setting():
    """Supervised runs of `in-out` are those of `in`, which has other unlabeled images."""
    plan = resolve(PARAMS, Run("semi-aves", "in-out", "zoo", "self_training_la", 0))["plan"]
    assert plan["split"]["of"] == "semi-aves/in-out/zoo/supervised_la/s0"
    (run,) = upstream_runs(PARAMS, Run("semi-aves", "in-out", "zoo", "self_training_la", 0))
    assert (run.setting, trained_run(PARAMS, run).setting) == ("in-out", "in")
