"""Stages of a method: the runs that its plan lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from daso.aliases import Tree
from daso.config.registry import ADDONS, PLANS, import_component
from daso.config.signature import attribute
from daso.errors import ParamsError
from daso.methods.plans import CLASS_SIZES, Expanded, HeldOut, Plan, PseudoLabeled, Stage


def plan_of(method: Tree) -> Plan:
    """Return the plan of a method; without one it has a single stage."""
    options = dict(method.get("plan", {}))
    return import_component(PLANS[options.pop("name")])(**options) if options else Plan()


def trained_setting(setting: Tree, method: Tree) -> str:
    """Return the setting in which a method is trained for a cell.

    A setting may name another one with the same labeled images as `supervised`, for methods without unlabeled images.
    """
    if "supervised" not in setting or method["unlabeled_ratio"] or plan_of(method).reads_unlabeled:
        return str(setting["name"])
    return str(setting["supervised"])


def stages_of(method: Tree, steps: int) -> tuple[Stage, ...]:
    """Return the stages of a method whose options are all set, under a protocol of `steps` steps."""
    options = _plan_options(method)
    stages = plan_of(method).stages(steps, options)
    if CLASS_SIZES in options and not stages[-1].estimate:
        raise ParamsError(
            f"{options[CLASS_SIZES]}: missing estimate of class sizes, which this method's plan does not make; set "
            "plan: {name: prior, by: supervised_survey}, or give the sizes"
        )
    return stages


def plan_config(stage: Stage, method: str, upstream_id: Callable[..., str]) -> Tree:
    """Return the results that a stage of a method loads from other runs, by their ids, and those that it saves.

    `upstream_id` returns the id of the run of a method or of a stage, "method.stage"; with `own_setting`, in the
    setting of this run even if another one has the same labeled images, since its unlabeled images are others.
    """
    plan: Tree = {}
    match stage.split:
        case Expanded(by, exponent):
            plan["split"] = {"of": upstream_id(f"{method}.{by}"), "exponent": exponent}
        case PseudoLabeled(by):
            plan["split"] = {
                "of": upstream_id(by, own_setting=True),
                "exponent": 0.0,
            }  # of all classes, all pseudo-labels
        case HeldOut(per_class):
            plan["split"] = {"held_out": per_class}
    if stage.encoder:
        plan["encoder"] = {"of": upstream_id(stage.encoder.of), "statistics": stage.encoder.statistics}
    if stage.network:
        plan["network"] = {"of": upstream_id(stage.network.of)}
    if stage.estimate:
        plan["estimate"] = {"of": upstream_id(stage.estimate.of), "into": stage.estimate.into}
    if stage.survey:
        plan["survey"] = True
    if stage.name:
        plan["predictions"] = True  # predictions for the unlabeled images
    return plan


def _plan_options(method: Tree) -> dict[str, str]:
    """Return the options that a plan may set, "component.option" by content, as the add-ons declare them."""
    declared = ((part["name"], attribute(ADDONS[part["name"]], "plan_options", part, {})) for part in method["addons"])
    named = ((name, cast(dict[str, str], options)) for name, options in declared)
    return {content: f"{name}.{option}" for name, options in named for content, option in options.items()}
