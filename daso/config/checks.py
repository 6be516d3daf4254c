"""What a schema cannot say: names that must exist, options that components must have, numbers that must fit."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from daso.config.params import NAME, Params, Tree, nearest, shown
from daso.config.registry import KINDS
from daso.config.resolve import Run, resolve, runs
from daso.config.signature import Option, options
from daso.errors import ParamsError

# Images of the smallest class in the train part, before the holdout: what a setting can draw from.
CLASS_SIZES = {"digits": 124, "cifar10": 5000}


def check(params: Params) -> list[str]:
    """Errors of files whose structure is right, one line each."""
    errors: list[str] = []
    for name, tree in params.datasets.items():
        errors += _dataset(params.file("dataset", name), name, tree)
    for name, tree in params.protocols.items():
        errors += _protocol(params.file("protocol", name), tree)
    for name, tree in params.methods.items():
        errors += _method(params, params.file("method", name), tree)
    for name, tree in params.suites.items():
        errors += _suite(params, params.file("suite", name), tree)
    if params.suite not in params.suites:
        hint = nearest(params.suite, params.suites)
        errors.append(f"{params.root}/pipeline.yaml: suite: there is no suite '{params.suite}'{hint}")
    return errors or list(_schedules(params))


def _dataset(file: str, name: str, tree: Tree) -> Iterator[str]:
    classes, holdout = tree["num_classes"], tree["holdout"]
    if holdout % classes:
        yield f"{file}: holdout: {holdout} cannot be shared equally by {classes} classes"
    if not all(value > 0 for value in tree["std"]):
        yield f"{file}: std: every channel must be above 0"
    size = CLASS_SIZES.get(tree["source"]["kind"])
    for setting, sizes in tree["settings"].items():
        where = f"{name}/{setting}"
        if not NAME.fullmatch(setting):
            yield f"{file}: settings: '{setting}': a name is made of a-z, 0-9, '_' and '-'"
        if sizes["n1"] < sizes["gamma_l"]:
            yield f"{where}: the rarest class gets no labeled image; lower gamma_l or raise n1 in {file}"
        wanted = sizes["n1"] + sizes["m1"] + holdout // classes
        if size is not None and wanted > size:
            yield (
                f"{where}: a class wants {wanted} images ({holdout // classes} of them held out) "
                f"and the smallest has {size}; lower n1 or m1 in {file}"
            )


def _protocol(file: str, tree: Tree) -> Iterator[str]:
    steps, every, last = tree["steps"], tree["evaluation"]["every"], tree["evaluation"]["median_of"]
    if steps % every:
        yield f"{file}: evaluation.every: {every} does not divide steps, {steps}"
    elif last > steps // every:
        yield f"{file}: evaluation.median_of: {last} is more than the {steps // every} evaluations of a run"
    yield from _component(file, "network", tree["network"])
    for key, value in tree.get("overrides", {}).items():
        yield from (f"{file}: overrides: {message}" for message in _change(key, value))


def _method(params: Params, file: str, tree: Tree) -> Iterator[str]:
    parts = [("learner", tree["learner"]), *(("add-on", addon) for addon in tree.get("addons", []))]
    for kind, part in parts:
        yield from _component(file, kind, part)
    names = [part["name"] for _, part in parts]
    for name in {name for name in names if names.count(name) > 1}:
        yield f"{file}: '{name}' is there twice"
    known = [f"{dataset}/{setting}" for dataset, data in params.datasets.items() for setting in data["settings"]]
    for pattern, changes in tree.get("where", {}).items():
        if not any(fnmatchcase(name, pattern) for name in known):
            yield f"{file}: where: no <dataset>/<setting> matches '{pattern}'{_close(pattern, known)}"
        for key, value in changes.items():
            yield from (f"{file}: where: {pattern}: {message}" for message in _change(key, value, names))


def _close(pattern: str, known: list[str]) -> str:
    hint = nearest(pattern, known)
    return hint if hint.startswith("; did") else ""


def _suite(params: Params, file: str, tree: Tree) -> Iterator[str]:
    def known(kind: str, word: str, names: Any, where: str = "") -> Iterator[str]:
        if word not in names:
            yield f"{file}: {where}there is no {kind} '{word}'{nearest(word, names)}"

    yield from known("protocol", tree["protocol"], params.protocols)
    names = [table["name"] for table in tree["tables"]]
    for table in tree["tables"]:
        where = f"table '{table['name']}': "
        if not NAME.fullmatch(table["name"]):
            yield f"{file}: {where}a name is made of a-z, 0-9, '_' and '-'"
        if names.count(table["name"]) > 1:
            yield f"{file}: {where}there are several tables of this name"
        yield from known("dataset", table["dataset"], params.datasets, where)
        settings = params.datasets.get(table["dataset"], {}).get("settings", table["settings"])
        for setting in table["settings"]:
            yield from known("setting", setting, settings, where)
        for method in table["methods"]:
            yield from known("method", method, params.methods, where)


def _schedules(params: Params) -> Iterator[str]:
    """A learning rate schedule that a suite's run would never reach."""
    seen: dict[tuple[str, str], Run] = {}
    for suite in params.suites:
        for run in runs(params, suite):
            seen.setdefault((run.protocol, run.method), run)
    for run in seen.values():
        config = resolve(params, run)
        steps, optimizer = config["protocol"]["steps"], config["optimizer"]
        late = [step for step in (optimizer["warmup"], *optimizer["milestones"]) if step > steps]
        if late:
            yield (
                f"{params.file('protocol', run.protocol)}: method '{run.method}' changes its learning rate at step "
                f"{late[0]} of {steps}; give optimizer.warmup and optimizer.milestones in overrides"
            )


def _component(file: str, kind: str, part: Tree) -> Iterator[str]:
    """Unknown, missing and wrong options of a learner, an add-on or a network."""
    name, known = part["name"], KINDS[kind]
    if name not in known:
        yield f"{file}: there is no {kind} '{name}'{nearest(name, known)}"
        return
    try:
        allowed = options(known[name])
    except ParamsError as error:
        yield str(error)
        return
    given = {key: value for key, value in part.items() if key != "name"}
    for key, value in given.items():
        yield from (f"{file}: {message}" for message in _option(f"{kind} '{name}'", key, value, allowed))
    for key, option in allowed.items():
        if option.required and key not in given:
            yield f"{file}: {kind} '{name}' lacks its option '{key}' ({option.kind})"


def _option(what: str, key: str, value: object, allowed: dict[str, Option]) -> Iterator[str]:
    if key not in allowed:
        yield f"{what} has no option '{key}'{nearest(key, allowed)}"
    elif not allowed[key].kind.accepts(value):
        yield f"{what}: option '{key}' is {shown(value)} and should be {allowed[key].kind}"


OPTIMIZER = ("lr", "momentum", "nesterov", "weight_decay", "warmup", "milestones", "factor")


def _change(key: str, value: object, present: list[str] | None = None) -> Iterator[str]:
    """What is wrong with `component.option: value`; the component must be among `present`, when that is given."""
    component, _, option = key.partition(".")
    parts = {name: (kind, spec) for kind in ("learner", "add-on") for name, spec in KINDS[kind].items()}
    if not option or "." in option:
        yield f"'{key}' is not of the form component.option"
    elif component == "optimizer":
        if option not in OPTIMIZER:
            yield f"the optimizer has no option '{option}'{nearest(option, OPTIMIZER)}"
    elif component not in parts:
        yield f"there is no learner or add-on '{component}'{nearest(component, [*parts, 'optimizer'])}"
    elif present is not None and component not in present:
        yield f"'{component}' is no part of this method{nearest(component, present)}"
    else:
        kind, spec = parts[component]
        try:
            yield from _option(f"{kind} '{component}'", option, value, options(spec))
        except ParamsError as error:
            yield str(error)
