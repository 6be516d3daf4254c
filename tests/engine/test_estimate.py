import json

import pytest

from daso.engine.estimate import survey_result
from daso.errors import DataError, EstimateError
from tests.finished import finish


def finish_survey(folder, *sizes):
    """Write a finished survey of three classes with the estimates of its evaluations; return its folder."""
    rows = [f"{step},0.5,{cells}" for step, cells in enumerate(sizes)]
    return finish_run(folder, "\n".join(["step,test_top1,size_0,size_1,size_2", *rows]) + "\n")


def finish_run(folder, history):
    config = json.dumps({"run": "d/s/p/m/s0", "dataset": {"num_classes": 3}})
    return finish(folder, {"config.json": config, "history.csv": history}, key="t0")


def test_sizes_are_the_mean_over_reliable_evaluations(tmp_path):
    """(12, 3, 1) and (8, 5, 3); the second evaluation has no estimate."""
    assert survey_result(finish_survey(tmp_path, "12,3,1", ",,", "8,5,3"), "k") == {
        "run": "d/s/p/m/s0",
        "key": "k",
        "sizes": [10, 4, 2],
        "reliable": 2,
        "evaluations": 3,
    }


def test_survey_without_reliable_evaluations_is_an_error(tmp_path):
    with pytest.raises(EstimateError, match=f"{tmp_path}: none of 2 estimates"):
        survey_result(finish_survey(tmp_path, ",,", ",,"), "k")


def test_survey_of_another_key_is_an_error(tmp_path):
    with pytest.raises(DataError, match="its key is t0, but params/ and the code now give t1"):
        survey_result(finish_survey(tmp_path, "12,3,1"), "k", "t1")


def test_run_that_is_not_a_survey_is_an_error(tmp_path):
    with pytest.raises(EstimateError, match=f"{tmp_path}: not a survey of unlabeled classes"):
        survey_result(finish_run(tmp_path, "step,test_top1\n1,0.5\n"), "k")
