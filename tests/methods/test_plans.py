import pytest

from daso.config.registry import PLANS, load
from daso.config.signature import options
from daso.errors import ParamsError
from daso.methods.plans import Crest, Crt, Encoder, Estimate, Expanded, HeldOut, Plan, Prior, Stage, Survey

ALIGNED = {"distribution_alignment.temperature": 1.0}


def test_crest_plus_lowers_temperature_as_in_the_paper():
    """5 generations of 50,000 steps; t_min = .5 gives 1, .875, .75, .625, .5."""
    stages = Crest(generations=5, exponent=1 / 3, last_temperature=0.5).stages(250_000, ALIGNED)
    assert [stage.name for stage in stages] == ["g1", "g2", "g3", "g4", ""]
    assert [stage.steps for stage in stages] == [50_000] * 5
    assert [stage.split for stage in stages] == [None, *(Expanded(f"g{g}", 1 / 3) for g in (1, 2, 3, 4))]
    assert [stage.changes["distribution_alignment.temperature"] for stage in stages] == [1, 0.875, 0.75, 0.625, 0.5]


def test_crest_without_last_temperature_changes_no_option():
    assert all(stage.changes == {} for stage in Crest(generations=3, exponent=1 / 3).stages(30, {}))


def test_crt_loads_the_encoder_of_its_base():
    plan = Crt(base="supervised", steps=100_000, statistics="kept")
    assert plan.stages(250_000, {}) == (Stage("", 100_000, encoder=Encoder("supervised", "kept")),)
    assert plan.upstream() == ("supervised",)


def test_survey_holds_out_images():
    assert Survey(held_out=10).stages(500, {}) == (Stage("", 500, split=HeldOut(10), survey=True),)


def test_prior_loads_an_estimate_only_for_prior_estimated():
    plan = Prior(by="supervised_survey")
    (estimated,), (true_counts,) = (plan.stages(500, {"darp.prior": prior}) for prior in ("estimated", "true_counts"))
    assert estimated == Stage("", 500, estimate=Estimate("supervised_survey", "darp.estimate"))
    assert true_counts == Stage("", 500)
    for darp in ({"darp.prior": "labeled"}, {"darp.prior": "given"}, {}):
        assert plan.stages(500, darp) == (Stage("", 500),)


def test_options_can_be_read_from_the_source():
    assert {name: option.required for name, option in options(PLANS["crest"]).items()} == {
        "generations": True,
        "exponent": True,
        "last_temperature": False,
    }
    assert [name for name in PLANS if load(PLANS[name]).stages is Plan.stages] == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Crest(generations=3, exponent=1.0).stages(10, {}), "10 steps are not divisible by 3 generations"),
        (
            lambda: Crest(generations=2, exponent=1.0, last_temperature=0.5).stages(10, {}),
            "last_temperature 0.5 requires the add-on distribution_alignment, which this method lacks or disables",
        ),
        (
            lambda: Crest(generations=2, exponent=1.0, last_temperature=0.5).stages(
                10, {**ALIGNED, "distribution_alignment.enabled": False}
            ),
            "which this method lacks or disables",
        ),
        (
            lambda: Crt(base="supervised", steps=11, statistics="kept").stages(10, {}),
            "steps: 11 is above the 10 steps of the protocol",
        ),
    ],
)
def test_invalid_options_raise(make, message):
    with pytest.raises(ParamsError, match=message):
        make()
