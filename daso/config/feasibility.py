"""What can be told of a run before its data is there: its classes' sizes, and whether its parts are possible with them.

Only params/ and source text are read, so that a run that cannot be trained is no part of any plan.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from daso.config.compatibility import incompatibilities, no_unlabeled
from daso.config.params import Params, Tree, parts
from daso.config.registry import ADDONS, KINDS, LEARNERS
from daso.config.resolve import Run
from daso.config.signature import attribute, refusals
from daso.data.class_sizes import class_sizes, setting_kind
from daso.errors import ParamsError


def known_env(config: Tree) -> dict[str, object]:
    """The fields of `records.Env` that a resolved configuration alone tells; counts by rank, not by class.

    Where classes keep their natural sizes, only the data tells them. The seed is left out: one check stands for all.
    """
    classes, setting, protocol = config["dataset"]["num_classes"], config["setting"], config["protocol"]
    known = {"num_classes": classes, "batch_size": protocol["batch_size"], "steps": protocol["steps"]}
    told = sizes(setting, classes)
    if "counts" in told:
        known["drawn_counts"] = told["counts"]
    if "split" in config["plan"]:  # images that a plan takes away, or adds by guesses
        told = {name: value for name, value in told.items() if value == ()}
    return {**known, **told}


def sizes(setting: Tree, classes: int) -> dict[str, object]:
    """Labeled and unlabeled images of a setting, in all and by rank, under their names in `records.Env`."""
    counts, tail = class_sizes(setting, classes)
    labeled = {} if counts is None else {"counts": counts, "labeled": sum(counts)}
    if unknown_classes(setting):
        return {**labeled, "unlabeled_counts": ()}
    return labeled if tail is None else {**labeled, "unlabeled_counts": tail, "unlabeled": sum(tail)}


def unknown_classes(setting: Tree) -> bool:
    """Whether no unlabeled image of a setting has a class that is known: then pseudo-labels cannot be checked."""
    return setting_kind(setting) == "others"


def given(part: Tree) -> Tree:
    """The options that are said of a component."""
    return {key: value for key, value in part.items() if key != "name"}


def unlabeled_views(learner: Tree) -> tuple[str, ...]:
    """The views that a learner asks for of unlabeled images."""
    views = attribute(LEARNERS[learner["name"]], "views", {**given(learner), "Views": dict})
    return cast(dict[str, tuple[str, ...]], views)["u"]


def impossible(params: Params, run: Run, config: Tree) -> Iterator[str]:
    """Why a run can never be trained, one line each: what a component has against its options or the setting.

    Of a file's option the file is named, the protocol's where an override has changed it, the ablation's where it has.
    """
    method, overrides = config["method"], params.protocols[run.protocol].get("overrides", {})
    own = params.methods[run.recipe]
    protocol, file = params.file("protocol", run.protocol), params.file("method", run.recipe)
    base = params.file("method", own.get("of", run.recipe))
    for message in _misfits(method):
        yield f"{file}: {message}"
    env = known_env(config)
    if method["unlabeled_ratio"] and env.get("unlabeled") == 0:
        yield f"{params.file('dataset', run.dataset)}: settings.{run.setting}: {no_unlabeled(run.method)}"
        return
    for kind, part in parts(method):
        for message, read in refusals(KINDS[kind][part["name"]], given(part), env=env):
            here = f"{run.dataset}/{run.setting}: " if any(name.startswith("env.") for name in read) else ""
            if any(f"{part['name']}.{option}" in own.get("change", {}) for option in read):
                yield f"{file}: change: {here}{message}"
            elif any(f"{part['name']}.{option}" in overrides for option in read):
                yield f"{protocol}: overrides: method '{run.method}': {here}{message}"
            else:
                yield f"{base}: {here or 'where: '}{message}"


def _misfits(method: Tree) -> Iterator[str]:
    """What of a method's parts does not suit the others, as far as their source tells."""
    learner, spec = method["learner"], LEARNERS[method["learner"]["name"]]
    makes = cast(frozenset[str], attribute(spec, "makes", given(learner)))
    addons = [
        (ADDONS[part["name"]].split(":")[1], _told(part, "needs"), _told(part, "adjusts")) for part in method["addons"]
    ]
    yield from incompatibilities(spec.split(":")[1], makes, unlabeled_views(learner), addons, method["unlabeled_ratio"])


def _told(addon: Tree, name: str) -> frozenset[str]:
    """What an add-on has as `name`; nothing where only the built one tells, which `build` looks at in its turn."""
    try:
        return cast(frozenset[str], attribute(ADDONS[addon["name"]], name, given(addon), absent=frozenset()))
    except ParamsError:
        return frozenset()
