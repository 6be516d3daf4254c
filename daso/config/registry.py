"""Names of params/ -> classes, as "module:Class": plain strings, so that reading them imports nothing."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

LEARNERS = {
    "supervised": "daso.methods.learners.supervised:Supervised",
    "fixmatch": "daso.methods.learners.fixmatch:FixMatch",
}
ADDONS = {
    "logit_adjustment": "daso.methods.addons.logit_adjustment:LogitAdjustment",
    "daso": "daso.methods.addons.daso:DASO",
}
NETWORKS = {
    "wide_resnet": "daso.models.wide_resnet:WideResNet",
    "small_convnet": "daso.models.small_convnet:SmallConvNet",
}
PLANS = {
    "crest": "daso.plans:Crest",
    "crt": "daso.plans:Crt",
}
KINDS = {"learner": LEARNERS, "add-on": ADDONS, "network": NETWORKS, "plan": PLANS}


def specs_of(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The "module:Class" of every component that a resolved configuration names."""
    method = config["method"]
    addons = (ADDONS[addon["name"]] for addon in method["addons"])
    return (LEARNERS[method["learner"]["name"]], *addons, NETWORKS[config["protocol"]["network"]["name"]])


def load(spec: str) -> Any:
    """The class of "module:Class", imported now."""
    module, name = spec.split(":")
    return getattr(import_module(module), name)
