"""Bounds of the options of components; `tests/test_schema.py` shows which values each bound refuses."""

from daso.config.registry import COMPONENTS
from daso.config.signature import option_errors, options
from daso.constraints import EPOCHS
from daso.schema import describe

BOUNDS = {
    "a number in (0, 1]": "pseudo_label.threshold pseudo_label.ramp_up mean_teacher.ramp_up fixmatch.threshold "
    "simmatch.threshold multi_view.threshold mixmatch.ramp_up remixmatch.ramp_up boss.threshold abc.threshold "
    "loft.threshold crest.last_temperature acr.threshold decon.threshold simpro.threshold ccl.threshold "
    "wide_resnet.norm_momentum",
    "a number in [0, 1)": "simmatch.momentum class_balanced.start ldam.start darp.start debias.momentum "
    "acr.momentum decon.momentum simpro.momentum adello.momentum ccl.momentum ccl.unlabeled_momentum",
    "a number in [0, 1]": "simmatch.alpha class_balanced.beta ldam.beta distribution_alignment.temperature "
    "adello.alpha_min loft.open_threshold",
    "'distribution' or a number in [0, 1]": "daso.blend",
    "'passes' or a number above 0": "simpro.labeled_weight",
    "'estimated' or a number above 0": "adello.temperature",
    "a number in [-1, 1]": "usadtm.cosine_threshold",
    "a number above 1": "alpha_tim.alpha",
    "a number above 0": "fine_tuning.rate simmatch.temperature mixmatch.alpha remixmatch.alpha daso.proto_temperature "
    "daso.dist_temperature ldam.scale darp.alpha cld.temperature sharpen.temperature",
    "a number of at least 0": "pseudo_label.weight mean_teacher.weight fixmatch.weight simmatch.weight "
    "simmatch.instance_weight usadtm.weight usadtm.clustering_weight multi_view.weight mixmatch.weight "
    "remixmatch.weight remixmatch.premix_weight remixmatch.rotation_weight daso.weight ldam.margin cld.weight "
    "debias.strength adello.weight crest.exponent simpro.tau acr.tau decon.tau decon.pseudo_label_tau "
    "decon.weight_tau scad.tau scad.strength scad.super_tau loft.hard_weight loft.soft_weight "
    "ccl.tau ccl.weight ccl.smoothed_weight ccl.reliable_weight alpha_tim.conditional alpha_tim.marginal",
    f"an integer of at least 0, {EPOCHS}": "simmatch.instance_start usadtm.warmup daso.warmup acr.warmup adello.warmup "
    "cdmad.warmup ccl.warmup",
    f"an integer of at least 1, {EPOCHS}": "daso.period acr.period simpro.period ccl.period darp.period crt.steps",
    "an integer of at least 1": "simmatch.dim usadtm.queue_factor daso.queue_length abc.epochs "
    "darp.sweeps distribution_alignment.window wide_resnet.width survey.held_out fine_tuning.steps",
    "an integer of at least 2": "crest.generations",
    "an integer in [32, 1024]": "timm.image_size",
    "an integer of at least 1 or null": "timm.neck",
    f"a list of integers of at least 0, {EPOCHS} or null": "crest.milestones",
    "a list of integers of at least 1": "small_convnet.channels small_convnet.strides",
}


def test_options_have_the_bounds_of_the_table():
    expected = {option: bounds for bounds, names in BOUNDS.items() for option in names.split()}
    known = {name: spec for registry in COMPONENTS.values() for name, spec in registry.items()}
    described = {f"{name}.{key}": describe(each.type) for name in known for key, each in options(known[name]).items()}
    assert {key: text for key, text in described.items() if " of at " in text or " in " in text or "above" in text} == (
        expected
    )


def test_value_at_an_excluded_bound_is_refused():
    spec = COMPONENTS["learner"]["fixmatch"]
    assert list(option_errors(spec, {"threshold": 1, "weight": 0, "confidence": "raw"})) == []
    assert list(option_errors(spec, {"threshold": 0, "weight": -1, "confidnce": "raw"})) == [
        "threshold: 0 is too small; set it above 0",
        "weight: -1 is below the minimum 0; set it to 0 or more",
        "unknown option 'confidnce'; did you mean 'confidence'?",
    ]
    assert list(option_errors(spec, {"thresold": 1, "weight": 0, "confidence": "raw"})) == [
        "unknown option 'thresold'; did you mean 'threshold'?"
    ]
    assert list(option_errors(spec, {"weight": 1})) == [
        "missing option 'threshold'; set it to a number in (0, 1]",
        "missing option 'confidence'; set it to one of refined, raw",
    ]
