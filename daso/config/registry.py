"""Names of params/ -> classes, as "module:Class": plain strings, so that reading them imports nothing."""

from __future__ import annotations

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
KINDS = {"learner": LEARNERS, "add-on": ADDONS, "network": NETWORKS}


def load(spec: str) -> Any:
    """The class of "module:Class", imported now."""
    module, name = spec.split(":")
    return getattr(import_module(module), name)
