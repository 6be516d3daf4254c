"""Check a resolved configuration: the parts that a run reads itself, and the options of its components."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from daso.config.epochs import in_epochs
from daso.config.registry import ADDONS, LEARNERS, NETWORKS
from daso.config.run_schema import RunConfig
from daso.config.signature import option_errors
from daso.schema import schema_error


def config_error(config: Mapping[str, Any]) -> str | None:
    """Return the first error of a resolved configuration that `resolve` may not have written; None if it is valid."""
    if error := schema_error(config, RunConfig):
        return error
    if in_epochs([config["protocol"], config["method"], config["optimizer"]]):
        return "a value is in epochs; expected its number of steps"
    method, network = config["method"], config["protocol"]["network"]
    components = [("learner", method["learner"], LEARNERS), ("network", network, NETWORKS)]
    for kind, component, known in [*components, *(("add-on", addon, ADDONS) for addon in method["addons"])]:
        if component["name"] not in known:
            return f"unknown {kind} '{component['name']}'"
        options = {key: value for key, value in component.items() if key != "name"}
        if error := next(option_errors(known[component["name"]], options), None):
            return f"{kind} '{component['name']}': {error}"
    return None
