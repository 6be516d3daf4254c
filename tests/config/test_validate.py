"""Errors of resolved configurations that `resolve` did not write."""

from daso.config.resolve import Run, resolve
from daso.config.validate import config_error
from tests.repository import PARAMS


def test_unknown_learning_rate_schedule_is_an_error():
    config = {**resolve(PARAMS, Run("cifar10", "n4", "fixmatch", "fixmatch", 0)), "key": "k"}
    assert config_error(config) is None
    for word in ("cosin", 1, ["cosine"]):
        changed = {**config, "optimizer": {**config["optimizer"], "anneal": word}}
        expected = f"optimizer.anneal: expected one of constant, cosine, half_cosine, got {word!r}"
        assert config_error(changed) == expected
    del config["optimizer"]["anneal"]
    assert config_error(config) is None


def test_options_of_components_are_checked():
    config = {**resolve(PARAMS, Run("cifar10", "n4", "fixmatch", "fixmatch", 0)), "key": "k"}
    learner = {**config["method"]["learner"], "threshold": 0}
    changed = {**config, "method": {**config["method"], "learner": learner}}
    assert config_error(changed) == "learner 'fixmatch': threshold: 0 is too small; set it above 0"
