import pytest

from daso.config.registry import ADDONS, PLANS, import_component
from daso.config.signature import attribute, options
from daso.errors import ParamsError
from daso.methods.plans import (
    Crest,
    Crt,
    Estimate,
    Expanded,
    FineTuning,
    FrozenEncoder,
    HeldOut,
    Plan,
    Prior,
    PseudoLabeled,
    SelfTraining,
    Stage,
    Survey,
    TrainedNetwork,
)

ALIGNED = {"alignment_temperature": "distribution_alignment.temperature"}


def test_crest_plus_lowers_temperature_as_in_the_paper():
    """5 generations of 50,000 steps; t_min = .5 gives 1, .875, .75, .625, .5."""
    stages = Crest(generations=5, exponent=1 / 3, last_temperature=0.5).stages(250_000, ALIGNED)
    assert [stage.name for stage in stages] == ["g1", "g2", "g3", "g4", ""]
    assert [stage.steps for stage in stages] == [50_000] * 5
    assert [stage.split for stage in stages] == [None, *(Expanded(f"g{g}", 1 / 3) for g in (1, 2, 3, 4))]
    assert [stage.changes["distribution_alignment.temperature"] for stage in stages] == [1, 0.875, 0.75, 0.625, 0.5]


def test_crest_without_last_temperature_changes_no_option():
    assert all(stage.changes == {} for stage in Crest(generations=3, exponent=1 / 3).stages(30, {}))


def test_crest_repeats_its_own_milestones_in_each_generation():
    stages = Crest(generations=3, exponent=0.7, last_temperature=0.5, milestones=[200, 400]).stages(1800, ALIGNED)
    assert [stage.steps for stage in stages] == [600, 600, 600]
    assert [stage.changes["optimizer.milestones"] for stage in stages] == [[200, 400]] * 3
    assert [stage.changes["distribution_alignment.temperature"] for stage in stages] == [1, 0.75, 0.5]
    assert Crest(generations=3, exponent=0.7, milestones=[]).stages(9, {})[0].changes == {"optimizer.milestones": []}


def test_crt_loads_the_encoder_of_its_base():
    plan = Crt(base="supervised", steps=100_000, statistics="frozen")
    assert plan.stages(250_000, {}) == (Stage("", 100_000, encoder=FrozenEncoder("supervised", "frozen")),)
    assert plan.upstream() == ("supervised",)


def test_fine_tuning_has_steps_and_optimizer_of_its_own():
    plan = FineTuning(base="supervised_la", steps=300, rate=0.001)
    (stage,) = plan.stages(1000, {})
    assert (stage.name, stage.steps, stage.network) == ("", 300, TrainedNetwork("supervised_la"))
    assert stage.optimizer["lr"] == 0.001
    assert plan.upstream() == ("supervised_la",)


def test_self_training_labels_all_unlabeled_images_by_another_method():
    plan = SelfTraining(by="supervised_la")
    assert plan.stages(500, {}) == (Stage("", 500, split=PseudoLabeled("supervised_la")),)
    assert plan.upstream() == ("supervised_la",)


def test_survey_holds_out_images():
    assert Survey(held_out=10).stages(500, {}) == (Stage("", 500, split=HeldOut(10), survey=True),)


def test_prior_loads_an_estimate_only_if_an_addon_requires_class_sizes():
    plan = Prior(by="supervised_survey")
    (estimated,) = plan.stages(500, {"class_sizes": "darp.estimate"})
    assert estimated == Stage("", 500, estimate=Estimate("supervised_survey", "darp.estimate"))
    assert plan.stages(500, ALIGNED) == (Stage("", 500),)


@pytest.mark.parametrize(
    ("addon", "given", "expected"),
    [
        ("darp", {"prior": "estimated"}, {"class_sizes": "estimate"}),
        *(("darp", {"prior": prior}, {}) for prior in ("true_counts", "labeled", "given")),
        ("distribution_alignment", {}, {"alignment_temperature": "temperature"}),
        ("distribution_alignment", {"enabled": False}, {}),
        ("daso", {}, {}),
    ],
)
def test_addons_declare_the_options_that_plans_set(addon, given, expected):
    assert attribute(ADDONS[addon], "plan_options", given, {}) == expected


def test_options_can_be_read_from_the_source():
    assert {name: option.required for name, option in options(PLANS["crest"]).items()} == {
        "generations": True,
        "exponent": True,
        "last_temperature": False,
        "milestones": False,
    }
    assert [name for name in PLANS if import_component(PLANS[name]).stages is Plan.stages] == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Crest(generations=3, exponent=1.0).stages(10, {}), "10 steps are not divisible by 3 generations"),
        (
            lambda: Crest(generations=2, exponent=1.0, last_temperature=0.5).stages(10, {}),
            "last_temperature 0.5 requires distribution alignment, which this method lacks or disables",
        ),
        (
            lambda: Crt(base="supervised", steps=11, statistics="frozen").stages(10, {}),
            "steps: 11 is above the 10 steps of the protocol",
        ),
    ],
)
def test_invalid_options_raise(make, message):
    with pytest.raises(ParamsError, match=message):
        make()
