"""Super-classes of a dataset, only in the configuration of the runs that read them."""

import json
from dataclasses import replace

import pytest

from daso.config.checks import check_run
from daso.config.dataset_checks import dataset_errors
from daso.config.keys import Keys
from daso.config.params import structure_errors
from daso.config.resolve import Run, resolve, with_upstream
from daso.config.validate import config_error
from daso.errors import ParamsError
from daso.paths import MANIFEST, store_folder
from tests.repository import PARAMS

DIGITS = PARAMS.datasets["digits"]
OTHERS = {"even": ["0", "2", "4", "6", "8"], "odd": ["1", "3", "5", "7", "9"]}


def params(super_classes):
    digits = {key: value for key, value in DIGITS.items() if key != "super_classes"}
    digits |= {"super_classes": super_classes} if super_classes else {}
    return replace(PARAMS, datasets={**PARAMS.datasets, "digits": digits})


def run(method):
    return Run("digits", "n20-m80-l20-u10r", "smoke", method, 0)


def test_super_classes_change_the_keys_of_runs_that_read_them_alone():
    for method in PARAMS.methods:
        for each in with_upstream(PARAMS, [run(method)]) if "scad" not in method else ():
            assert resolve(PARAMS, each) == resolve(params(OTHERS), each) == resolve(params(None), each), each
    present, others, none = (Keys(params(each)) for each in (DIGITS["super_classes"], OTHERS, None))
    assert present.train(run("acr")) == others.train(run("acr")) == none.train(run("acr"))
    assert present.train(run("acr_scad")) != others.train(run("acr_scad"))
    assert present.data("digits") == others.data("digits") == none.data("digits")
    assert present.split("digits", "n20-m80-l20-u10r", 0) == none.split("digits", "n20-m80-l20-u10r", 0)


def test_configuration_of_a_run_has_the_super_classes_if_its_method_reads_them():
    assert resolve(PARAMS, run("acr_scad"))["dataset"]["super_classes"] == DIGITS["super_classes"]
    assert "super_classes" not in resolve(PARAMS, run("acr"))["dataset"]
    config = Keys(PARAMS).resolved(run("acr_scad"))
    assert config_error(config) is None
    config["dataset"]["super_classes"] = {"even": ["0"]}
    assert "super_classes" in str(config_error(config))


def test_class_that_the_images_do_not_have_is_refused_before_jobs_start(tmp_path):
    """Snakemake removes the results of a run before its job. Stale images, which are stored again, decide nothing."""
    wrong = {**OTHERS, "odd": ["1", "3", "5", "7", "nine"]}
    changed = replace(params(wrong), root=tmp_path / "params")
    Keys(changed).train(run("fixmatch_scad"))
    manifest = tmp_path / store_folder("digits") / MANIFEST
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps({"classes": [str(label) for label in range(10)]}))
    (manifest.parent / "key").write_text("stale\n")
    Keys(changed).train(run("fixmatch_scad"))
    (manifest.parent / "key").write_text(Keys(changed).data("digits") + "\n")
    with pytest.raises(ParamsError) as raised:
        Keys(changed).train(run("fixmatch_scad"))
    file = changed.file("dataset", "digits")
    classes = "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert str(raised.value) == f"{file}: super_classes: unknown class 'nine'; choose one of {classes}"
    Keys(changed).train(run("acr"))


def test_dataset_without_super_classes_is_refused_before_training():
    with pytest.raises(ParamsError) as raised:
        check_run(params(None), run("fixmatch_scad"))
    assert str(raised.value) == (
        f"{PARAMS.file('method', 'fixmatch_scad')}: digits/n20-m80-l20-u10r: add-on 'scad': the dataset has no "
        "super_classes; list them in its file, or use a different dataset"
    )
    check_run(PARAMS, run("fixmatch_scad"))


def test_second_add_on_that_adjusts_evaluations_is_refused_before_training():
    """SCAD adjusts the roles of its options, FixMatch + SCAD those of evaluations."""
    method = PARAMS.methods["fixmatch_scad"]
    both = {**method, "addons": [*PARAMS.methods["cdmad"]["addons"], *method["addons"]]}
    changed = replace(PARAMS, methods={**PARAMS.methods, "fixmatch_scad": both})
    with pytest.raises(ParamsError, match="add-ons 'cdmad' and 'scad' both adjust the logits of role 'eval'; remove"):
        check_run(changed, run("fixmatch_scad"))


def test_other_learner_is_refused_before_training():
    simmatch = {**PARAMS.methods["simmatch"], "addons": PARAMS.methods["fixmatch_scad"]["addons"]}
    changed = replace(PARAMS, methods={**PARAMS.methods, "simmatch": simmatch})
    with pytest.raises(ParamsError, match="add-on 'scad': not allowed with learner 'simmatch'"):
        check_run(changed, run("simmatch"))


@pytest.mark.parametrize(
    ("super_classes", "error"),
    [
        ({**OTHERS, "odd": ["1", "3", "5", "7"]}, "expected 10 classes in all, as num_classes, got 9; correct one"),
        ({**OTHERS, "big": ["9"]}, "duplicate class '9'; list it in one super-class"),
    ],
)
def test_every_class_has_one_super_class(super_classes, error):
    (line,) = dataset_errors("digits.yaml", params(super_classes).datasets["digits"])
    assert line == f"digits.yaml: super_classes: {error}"


def test_single_super_class_is_refused():
    (line,) = structure_errors({**params({"all": list("0123456789")}).datasets["digits"]}, "dataset")
    assert line.startswith("super_classes: ")
