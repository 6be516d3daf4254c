"""Check the controls of a suite's methods: the same network, training and evaluation, without unlabeled images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from daso.aliases import Tree
from daso.config.fit import fitted_options
from daso.config.network import evaluated_model
from daso.config.params import Params
from daso.config.registry import ADDONS, LEARNERS
from daso.config.resolve import Run, resolve, table_protocol, trained_run
from daso.config.signature import attribute
from daso.config.stages import plan_of

LOGIT_ADJUSTMENT = "logit_adjustment"
MODELS = {"student": "the student", "teacher": "the EMA model"}


def control_errors(params: Params) -> Iterator[str]:
    """Yield the errors of all tables with `controls`, whose names are known and whose runs can be resolved."""
    for name, suite in params.suites.items():
        tables = [(table_protocol(suite, table), table) for table in suite["tables"] if "controls" in table]
        for protocol in dict.fromkeys(protocol for protocol, _ in tables):
            if not params.protocols[protocol]["evaluation"].get("predictions"):
                yield (
                    f"{params.file('protocol', protocol)}: evaluation.predictions: missing, and controls of suite "
                    f"'{name}' are compared by predictions; set it to true"
                )
        for protocol, table in tables:
            where = f"{params.file('suite', name)}: table '{table['name']}': controls: "
            errors = list(_images_errors(params, table["controls"]))
            yield from (where + error for error in errors)
            if not errors:
                yield from (where + error for error in _training_errors(params, protocol, table))


def balanced_parts(method: Tree) -> list[str]:
    """Return the names of the components by which the predictions of a method assume classes of equal size."""
    parts = [(LEARNERS, method["learner"]), *((ADDONS, addon) for addon in method["addons"])]
    name = "balanced_predictions"
    return [part["name"] for registry, part in parts if attribute(registry[part["name"]], name, part, False)]


def _images_errors(params: Params, controls: Mapping[str, str]) -> Iterator[str]:
    """Yield the errors of controls with unlabeled images or a control, and of methods without unlabeled images."""
    for method, control in controls.items():
        if control in controls:
            yield f"'{control}', the control of '{method}', has a control of its own; remove one of them"
        elif _reads_unlabeled(params.methods[control]):
            yield f"'{control}', the control of '{method}', has unlabeled images; name a method without them"
        elif not _reads_unlabeled(params.methods[method]):
            yield f"'{method}' has no unlabeled images and needs no control; remove it"


def _reads_unlabeled(method: Tree) -> bool:
    return bool(method["unlabeled_ratio"]) or plan_of(method).reads_unlabeled


def _training_errors(params: Params, protocol: str, table: Tree) -> Iterator[str]:
    """Yield an error for each method and setting in which the control is trained or evaluated differently."""
    for setting in table["settings"]:
        for names in table["controls"].items():
            runs = [Run(table["dataset"], setting, protocol, name, 0) for name in names]
            own = set(balanced_parts(resolve(params, runs[0])["method"])) - {LOGIT_ADJUSTMENT}
            one, other = (_conditions(params, run, adjusted_alike=not own) for run in runs)
            values = [
                f"{name}: {_text(one.get(name))} and {_text(other.get(name))}"
                for name in {**one, **other}
                if one.get(name) != other.get(name)
            ]
            if values:
                yield (
                    f"'{names[0]}' and its control '{names[1]}' differ in setting '{setting}', {'; '.join(values)}; "
                    "set the same values, or name a different control"
                )


def _conditions(params: Params, run: Run, adjusted_alike: bool) -> dict[str, Any]:
    """Return the values that a method and its control must share, by name.

    If the method adjusts its labeled loss by a prior of its own, its control must only have balanced predictions too.
    """
    config = resolve(params, trained_run(params, run))
    change = params.methods[run.method].get("change", {})
    fitted = list(fitted_options(config["method"], change)) if "fit" in config["plan"] else []
    method = config["method"]
    parts = {
        **config["protocol"],
        "optimizer": config["optimizer"],
        "evaluation.model": MODELS[evaluated_model(config)],
    }
    if not adjusted_alike:
        parts |= {"fitted values": [value for value in fitted if value != "tau"]}
        return dict(_flat(parts | {"balanced predictions": bool(balanced_parts(method))}))
    adjustment = {
        f"{LOGIT_ADJUSTMENT}.{option}": value
        for part in method["addons"]
        for option, value in part.items()
        if part["name"] == LOGIT_ADJUSTMENT and option != "name"
    }
    return dict(_flat(parts | {"fitted values": fitted} | adjustment))


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested mappings with their names, such as `network.neck`."""
    for name, value in tree.items():
        yield from _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else [(prefix + name, value)]


def _text(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return "none" if value in (None, []) else text
