"""Map the names of components in params/ to classes, given as "module:Class" so that nothing is imported."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

LEARNERS = {
    "supervised": "daso.methods.learners.supervised:Supervised",
    "alpha_tim": "daso.methods.learners.alpha_tim:AlphaTIM",
    "pseudo_label": "daso.methods.learners.pseudo_label:PseudoLabel",
    "mean_teacher": "daso.methods.learners.mean_teacher:MeanTeacher",
    "fixmatch": "daso.methods.learners.fixmatch:FixMatch",
    "simmatch": "daso.methods.learners.simmatch:SimMatch",
    "simpro": "daso.methods.learners.simpro:SimPro",
    "loft": "daso.methods.learners.loft:LoFT",
    "usadtm": "daso.methods.learners.usadtm:USADTM",
    "multi_view": "daso.methods.learners.multi_view:MultiView",
    "acr": "daso.methods.learners.acr:ACR",
    "decon": "daso.methods.learners.decon:DeCon",
    "ccl": "daso.methods.learners.ccl:CCL",
    "mixmatch": "daso.methods.learners.mixmatch:MixMatch",
    "remixmatch": "daso.methods.learners.remixmatch:ReMixMatch",
}
ADDONS = {
    "logit_adjustment": "daso.methods.addons.logit_adjustment:LogitAdjustment",
    "daso": "daso.methods.addons.daso:DASO",
    "class_balanced": "daso.methods.addons.class_balanced:ClassBalanced",
    "ldam": "daso.methods.addons.ldam:LDAM",
    "boss": "daso.methods.addons.boss:BOSS",
    "abc": "daso.methods.addons.abc:ABC",
    "darp": "daso.methods.addons.darp:DARP",
    "distribution_alignment": "daso.methods.addons.distribution_alignment:DistributionAlignment",
    "cld": "daso.methods.addons.cld:CLD",
    "debias": "daso.methods.addons.debias:Debias",
    "adello": "daso.methods.addons.adello:ADELLO",
    "cdmad": "daso.methods.addons.cdmad:CDMAD",
    "sharpen": "daso.methods.addons.sharpen:Sharpen",
    "scad": "daso.methods.addons.scad:SCAD",
}
NETWORKS = {
    "wide_resnet": "daso.models.wide_resnet:WideResNet",
    "small_convnet": "daso.models.small_convnet:SmallConvNet",
    "resnet": "daso.models.resnet:ResNet",
    "timm": "daso.models.timm_encoder:TimmEncoder",
}
ENCODED = "daso.models.features:FeatureEncoder"  # network of runs that train on the features of a frozen network
PLANS = {
    "crest": "daso.methods.plans:Crest",
    "crt": "daso.methods.plans:Crt",
    "fine_tuning": "daso.methods.plans:FineTuning",
    "prior": "daso.methods.plans:Prior",
    "self_training": "daso.methods.plans:SelfTraining",
    "survey": "daso.methods.plans:Survey",
}
EVALUATIONS = {"survey": "daso.engine.survey:class_size_columns"}  # part of a plan -> function of further columns
COMPONENTS = {"learner": LEARNERS, "add-on": ADDONS, "network": NETWORKS, "plan": PLANS}


def specs_of(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the "module:Class" of every component of a resolved configuration, and the functions of its plan."""
    method = config["method"]
    addons = (ADDONS[addon["name"]] for addon in method["addons"])
    network = network_spec(config["protocol"]["network"])
    return (LEARNERS[method["learner"]["name"]], *addons, network, *evaluations_of(config["plan"]))


def trains_on_features(network: Mapping[str, Any]) -> bool:
    """Return True if runs train on the features of a network, which is frozen and has encoded all images before."""
    return network.get("train") == "head"


def network_spec(network: Mapping[str, Any]) -> str:
    """Return the "module:Class" of the encoder that a run with this network trains."""
    return ENCODED if trains_on_features(network) else NETWORKS[network["name"]]


def evaluations_of(plan: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the "module:function" of the further columns that the evaluations of a plan's run have."""
    return tuple(spec for part, spec in EVALUATIONS.items() if plan.get(part))


def import_component(spec: str) -> Any:
    """Import and return the class of "module:Class", or the function of "module:function"."""
    module, name = spec.split(":")
    return getattr(import_module(module), name)
