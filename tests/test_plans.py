import pytest

from daso.config.registry import PLANS, load
from daso.config.signature import options, refusals
from daso.errors import ParamsError
from daso.plans import Crest, Crt, Plan


def test_the_paper_schedule_of_crest_plus():
    """Specification 7.6: 5 generations of 50,000 steps, temperatures 1, .875, .75, .625, .5."""
    stages = Crest(generations=5, exponent=1 / 3, last_temperature=0.5).stages(250_000)
    assert [stage.name for stage in stages] == ["g1", "g2", "g3", "g4", ""]
    assert [stage.steps for stage in stages] == [50_000] * 5
    assert [stage.expanded_by for stage in stages] == ["", "g1", "g2", "g3", "g4"]
    assert [stage.changes["distribution_alignment.temperature"] for stage in stages] == [1, 0.875, 0.75, 0.625, 0.5]
    assert all(stage.encoder_of == "" for stage in stages)


def test_plain_crest_changes_no_option():
    assert all(stage.changes == {} for stage in Crest(generations=3, exponent=1 / 3).stages(30))


def test_crt_keeps_the_encoder_of_another_method():
    (only,) = Crt(base="supervised", steps=100_000).stages(250_000)
    assert (only.name, only.steps, only.encoder_of) == ("", 100_000, "supervised")


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
        (lambda: Crest(generations=3, exponent=1.0).stages(10), "3 generations cannot share 10 steps"),
        (lambda: Crt(base="supervised", steps=0), "steps are at least 1, not 0"),
    ],
)
def test_what_a_plan_refuses(make, message):
    with pytest.raises(ParamsError, match=message):
        make()
