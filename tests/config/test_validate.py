"""What is said of a resolved configuration that `resolve` did not write."""

from pathlib import Path

from daso.config.load import load
from daso.config.resolve import Run, resolve
from daso.config.validate import config_error

PARAMS = load(Path(__file__).resolve().parents[2] / "params")


def test_a_rate_is_annealed_in_a_known_way_or_not_at_all():
    config = {**resolve(PARAMS, Run("cifar10", "n4", "fixmatch", "fixmatch", 0)), "key": "k"}
    assert config_error(config) is None
    for word in ("cosin", 1, ["cosine"]):
        changed = {**config, "optimizer": {**config["optimizer"], "anneal": word}}
        assert config_error(changed) == "optimizer.anneal is not one of constant, cosine, half_cosine"
    del config["optimizer"]["anneal"]
    assert config_error(config) is None
