"""Check a resolved configuration: the parts that a run reads itself, and the options of its components."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from daso.config.feasibility import given_options
from daso.config.registry import ADDONS, LEARNERS, NETWORKS
from daso.config.signature import option_errors
from daso.data.validate import COUNT, NUMBER, Number, OneOf, schema_error

POSITIVE, MAX_COUNT = Number(1, whole=True), 10**9
RUN_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)*")  # a relative path without `..`
NAMED = {"name": str}
ANNEAL = ("constant", "cosine", "half_cosine")  # the first is the default
FORM = {
    **{"run": str, "key": str, "seed": COUNT, "draw_seed": COUNT, "setting": NAMED, "plan": dict},
    "split_config_sha256": str,
    "dataset": {
        **{"name": str, "num_classes": Number(2, 10_000, whole=True), "image_size": Number(1, 10_000, whole=True)},
        **{"mean": [NUMBER], "std": [NUMBER], "augment": {"flip": bool, "pad": COUNT, "cutout": COUNT, "ops": [str]}},
    },
    "protocol": {
        **{"name": str, "steps": Number(1, MAX_COUNT, whole=True), "batch_size": Number(1, MAX_COUNT, whole=True)},
        **{"precision": str, "network": NAMED, "checkpoint_every": POSITIVE},
        **{"teacher": {"decay": Number(0, 1), "bn": str}, "evaluation": {"every": POSITIVE, "median_of": POSITIVE}},
    },
    "method": {"name": str, "unlabeled_ratio": COUNT, "learner": NAMED, "addons": [NAMED]},
    "optimizer": {
        **{"lr": NUMBER, "momentum": NUMBER, "nesterov": bool, "weight_decay": NUMBER, "warmup": COUNT},
        **{"milestones": [COUNT], "factor": NUMBER},
    },
}
UPSTREAM = {"of": str, "key": str}
PLAN = {
    "split": OneOf(({"held_out": COUNT}, {**UPSTREAM, "exponent": NUMBER})),
    "encoder": UPSTREAM,
    "estimate": {**UPSTREAM, "into": str},
}


def config_error(config: Mapping[str, Any]) -> str | None:
    """Return the first error of a resolved configuration that `resolve` may not have written; None if it is valid."""
    if error := schema_error(config, FORM):
        return error
    if (anneal := config["optimizer"].get("anneal", ANNEAL[0])) not in ANNEAL:
        return f"optimizer.anneal: expected one of {', '.join(ANNEAL)}, got {anneal!r}"
    plan = {name: form for name, form in PLAN.items() if name in config["plan"]}
    if error := schema_error(config["plan"], plan, "plan"):
        return error
    if not (RUN_ID.fullmatch(config["run"]) and RUN_ID.fullmatch(config["key"])):
        return f"invalid run id '{config['run']}' or key '{config['key']}'"
    method, network = config["method"], config["protocol"]["network"]
    components = [("learner", method["learner"], LEARNERS), ("network", network, NETWORKS)]
    for kind, component, known in [*components, *(("add-on", addon, ADDONS) for addon in method["addons"])]:
        if component["name"] not in known:
            return f"unknown {kind} '{component['name']}'"
        if error := next(option_errors(known[component["name"]], given_options(component)), None):
            return f"{kind} '{component['name']}': {error}"
    return None
