import pytest

from daso.config.registry import PLANS, load
from daso.config.signature import options, refusals
from daso.errors import ParamsError
from daso.methods.plans import Crest, Crt, Encoder, Estimate, Expanded, HeldOut, Plan, Prior, Stage, Survey

ALIGNED = {"distribution_alignment.temperature": 1.0}


def test_the_paper_schedule_of_crest_plus():
    """5 generations of 50,000 steps; t_min = .5 gives 1, .875, .75, .625, .5."""
    stages = Crest(generations=5, exponent=1 / 3, last_temperature=0.5).stages(250_000, ALIGNED)
    assert [stage.name for stage in stages] == ["g1", "g2", "g3", "g4", ""]
    assert [stage.steps for stage in stages] == [50_000] * 5
    assert [stage.split for stage in stages] == [None, *(Expanded(f"g{g}", 1 / 3) for g in (1, 2, 3, 4))]
    assert [stage.changes["distribution_alignment.temperature"] for stage in stages] == [1, 0.875, 0.75, 0.625, 0.5]


def test_plain_crest_changes_no_option():
    assert all(stage.changes == {} for stage in Crest(generations=3, exponent=1 / 3).stages(30, {}))


def test_crt_keeps_the_encoder_of_another_method():
    plan = Crt(base="supervised", steps=100_000, statistics="kept")
    assert plan.stages(250_000, {}) == (Stage("", 100_000, encoder=Encoder("supervised", "kept")),)
    assert plan.upstream() == ("supervised",)


def test_a_survey_holds_images_out():
    assert Survey(held_out=10).stages(500, {}) == (Stage("", 500, split=HeldOut(10), survey=True),)


def test_a_prior_is_estimated_only_where_it_is_asked_for():
    plan = Prior(by="supervised_survey")
    (asked,), (other,) = (plan.stages(500, {"darp.prior": prior}) for prior in ("estimated", "true_counts"))
    assert asked == Stage("", 500, estimate=Estimate("supervised_survey", "darp.estimate"))
    assert other == Stage("", 500)
    for darp in ({"darp.prior": "labeled"}, {"darp.prior": "given"}, {}):
        assert plan.stages(500, darp) == (Stage("", 500),)


def test_options_and_bounds_are_read_from_the_source():
    assert {name: option.required for name, option in options(PLANS["crest"]).items()} == {
        "generations": True,
        "exponent": True,
        "last_temperature": False,
    }
    assert refusals(PLANS["crest"], {"generations": 1, "exponent": 0.5}) == [
        ("plan 'crest': generations are at least 2, not 1", {"generations"})
    ]
    assert [name for name in PLANS if load(PLANS[name]).stages is Plan.stages] == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Crest(generations=1, exponent=1.0), "generations are at least 2, not 1"),
        (lambda: Crest(generations=2, exponent=-1.0), "exponent is at least 0, not -1.0"),
        (lambda: Crest(generations=2, exponent=1.0, last_temperature=0.0), "at most 1, not 0.0"),
        (lambda: Crest(generations=3, exponent=1.0).stages(10, {}), "3 generations cannot share 10 steps"),
        (
            lambda: Crest(generations=2, exponent=1.0, last_temperature=0.5).stages(10, {}),
            "last_temperature 0.5 is one of distribution alignment, which this method does not have or not enable",
        ),
        (
            lambda: Crest(generations=2, exponent=1.0, last_temperature=0.5).stages(
                10, {**ALIGNED, "distribution_alignment.enabled": False}
            ),
            "does not have or not enable",
        ),
        (
            lambda: Crt(base="supervised", steps=11, statistics="kept").stages(10, {}),
            "11 steps are more than the 10 of the protocol",
        ),
        (lambda: Crt(base="supervised", steps=0, statistics="kept"), "steps are at least 1, not 0"),
        (lambda: Survey(held_out=0), "held_out is at least 1 image of each class, not 0"),
    ],
)
def test_what_a_plan_refuses(make, message):
    with pytest.raises(ParamsError, match=message):
        make()
