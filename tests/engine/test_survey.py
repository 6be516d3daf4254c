import json

import pytest

from daso.engine.survey import survey_result
from daso.errors import DataError, EstimateError
from tests.finished import finish


def surveyed(folder, *sizes):
    """A finished run of three classes, and what each of its evaluations told."""
    rows = [f"{step},0.5,{cells}" for step, cells in enumerate(sizes)]
    return survey(folder, "\n".join(["step,test_top1,size_0,size_1,size_2", *rows]) + "\n")


def survey(folder, history):
    config = json.dumps({"run": "d/s/p/m/s0", "dataset": {"num_classes": 3}})
    return finish(folder, {"config.json": config, "history.csv": history}, key="t0")


def test_the_mean_of_the_evaluations_that_can_be_trusted(tmp_path):
    """(12, 3, 1) and (8, 5, 3); the second told nothing."""
    assert survey_result(surveyed(tmp_path, "12,3,1", ",,", "8,5,3"), "k") == {
        "run": "d/s/p/m/s0",
        "key": "k",
        "sizes": [10, 4, 2],
        "trusted": 2,
        "evaluations": 3,
    }


def test_a_survey_that_told_nothing(tmp_path):
    with pytest.raises(EstimateError, match=f"{tmp_path}: none of 2 estimates"):
        survey_result(surveyed(tmp_path, ",,", ",,"), "k")


def test_the_run_of_another_key(tmp_path):
    with pytest.raises(DataError, match="its key is t0, params/ and code give t1"):
        survey_result(surveyed(tmp_path, "12,3,1"), "k", "t1")


def test_a_run_that_is_no_survey(tmp_path):
    with pytest.raises(EstimateError, match=f"{tmp_path}: is no survey of unlabeled classes"):
        survey_result(survey(tmp_path, "step,test_top1\n1,0.5\n"), "k")
