"""Temperature of a fit that calibrates a run: only that of the run's own recipe."""

from dataclasses import replace

import pytest

from daso.config.fit import temperature_name
from daso.config.keys import Keys
from daso.config.resolve import parse_run
from tests.repository import PARAMS

CHANGE = {"of": "supervised_la", "change": {"logit_adjustment.tau": 2.0}}
RECIPES = {
    "supervised_la": "temperature",
    "self_training_la": "self_training_temperature",
    "supervised": None,  # no logit adjustment
    "supervised_la_neck": None,  # another network
    "supervised_la_cosine": None,  # another classifier
    "fixmatch_la": None,  # unlabeled images
    "supervised_ldam_drw": None,  # another loss
    "own_tau": None,  # a value of its own
}


@pytest.mark.parametrize(("method", "name"), RECIPES.items())
def test_run_has_the_temperature_of_its_recipe_alone(method, name):
    params = replace(PARAMS, methods={**PARAMS.methods, "own_tau": {**PARAMS.methods["supervised_la"], **CHANGE}})
    run = parse_run(params, f"digits/n20-m80-l20-u10r/photos/{method}/s0")
    assert temperature_name(Keys(params).resolved(run)) == name
