"""The form of a resolved configuration: what a run reads of it before any component looks at its own options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from daso.config.registry import ADDONS, LEARNERS, NETWORKS
from daso.data.validate import COUNT, NUMBER, Number, OneOf, schema_error

POSITIVE, MOST = Number(1, whole=True), 10**9
RUN = re.compile(r"\w[\w.-]*(/\w[\w.-]*)*")  # a path, and none that leads elsewhere
NAMED = {"name": str}
ANNEAL = ("constant", "cosine", "half_cosine")  # where nothing is said, the first
FORM = {
    **{"run": str, "key": str, "seed": COUNT, "draw_seed": COUNT, "setting": NAMED, "plan": dict},
    "split_config_sha256": str,
    "dataset": {
        **{"name": str, "num_classes": Number(2, 10_000, whole=True), "image_size": Number(1, 10_000, whole=True)},
        **{"mean": [NUMBER], "std": [NUMBER], "augment": {"flip": bool, "pad": COUNT, "cutout": COUNT, "ops": [str]}},
    },
    "protocol": {
        **{"name": str, "steps": Number(1, MOST, whole=True), "batch_size": Number(1, MOST, whole=True)},
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
    """The first thing in a resolved configuration that is not as `resolve` writes it; None where all is."""
    if wrong := schema_error(config, FORM):
        return wrong
    if config["optimizer"].get("anneal", ANNEAL[0]) not in ANNEAL:
        return f"optimizer.anneal is not one of {', '.join(ANNEAL)}"
    plan = {name: form for name, form in PLAN.items() if name in config["plan"]}
    if wrong := schema_error(config["plan"], plan, "plan"):
        return wrong
    if not (RUN.fullmatch(config["run"]) and RUN.fullmatch(config["key"])):
        return f"'{config['run']}' with the key '{config['key']}' names no run"
    method, network = config["method"], config["protocol"]["network"]
    named = [("learner", method["learner"], LEARNERS), ("network", network, NETWORKS)]
    for kind, part, known in [*named, *(("add-on", part, ADDONS) for part in method["addons"])]:
        if part["name"] not in known:
            return f"there is no {kind} '{part['name']}'"
    return None
