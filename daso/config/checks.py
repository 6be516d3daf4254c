"""What a schema cannot say: names that must exist, options that components must have, numbers that must fit."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from daso.config.feasibility import given, impossible
from daso.config.params import NAME, Params, Tree, did_you_mean, optimizer_structure, parts, shown
from daso.config.registry import KINDS
from daso.config.resolve import Run, plan_of, resolve, runs, upstream_runs, with_upstream
from daso.config.signature import Option, options, refusals
from daso.data.class_sizes import required_images, setting_kind
from daso.errors import ParamsError

# Labeled images of the smallest class in the train part, before the holdout: what a setting can draw from.
CLASS_SIZES = {"digits": 124, "cifar10": 5000, "cifar100": 500, "stl10": 500}
UNLABELED = ("stl10",)  # sources that have images without a label


def check(params: Params, broken: frozenset[str] = frozenset()) -> list[str]:
    """Errors of all files but the broken ones, whose structure is wrong; one line each."""

    def sound(kind: str, trees: dict[str, Tree]) -> Iterator[tuple[str, str, Tree]]:
        files = ((params.file(kind, name), name, tree) for name, tree in trees.items())
        return (entry for entry in files if entry[0] not in broken)

    errors: list[str] = []
    for file, name, tree in sound("dataset", params.datasets):
        errors += _dataset(file, name, tree)
    for file, _, tree in sound("protocol", params.protocols):
        errors += _protocol(file, tree)
    # A broken dataset may have any setting.
    settings = {name: list(tree["settings"]) for _, name, tree in sound("dataset", params.datasets)}
    known = [f"{name}/{word}" for name, words in settings.items() for word in words]
    for file, _, tree in sound("method", params.methods):
        if "of" in tree:
            errors += _ablation(params, file, tree)
            continue
        errors += _method(file, tree, known if len(settings) == len(params.datasets) else None)
        errors += _plan(params, file, tree)
    for file, _, tree in sound("suite", params.suites):
        errors += _suite(params, settings, file, tree)
    if params.suite not in params.suites and f"{params.root}/pipeline.yaml" not in broken:
        hint = did_you_mean(params.suite, params.suites)
        errors.append(f"{params.root}/pipeline.yaml: suite: there is no suite '{params.suite}'{hint}")
    return errors if errors or broken else list(dict.fromkeys(_together(params)))


def _dataset(file: str, name: str, tree: Tree) -> Iterator[str]:
    classes, holdout = tree["num_classes"], tree["holdout"]
    own = (setting["holdout"] for setting in tree["settings"].values() if "holdout" in setting)
    for held in (held for held in (holdout, *own) if held % classes):
        yield f"{file}: holdout: {held} cannot be shared equally by {classes} classes"
    if not all(value > 0 for value in tree["std"]):
        yield f"{file}: std: every channel must be above 0"
    if (pad := tree["augment"]["pad"]) >= tree["image_size"]:
        yield f"{file}: augment.pad: {pad} pixels cannot be reflected in images of {tree['image_size']}; lower it"
    if (resize := tree["augment"].get("resize", 0)) >= tree["image_size"]:
        yield f"{file}: augment.resize: {resize} is not below image_size, {tree['image_size']}; leave it out"
    for setting in tree["settings"]:
        yield from _setting(file, f"{name}/{setting}", setting, tree)


def _setting(file: str, where: str, name: str, tree: Tree) -> Iterator[str]:
    sizes, source = tree["settings"][name], tree["source"]["kind"]
    held, way = sizes.get("holdout", tree["holdout"]) // tree["num_classes"], setting_kind(sizes)
    if not NAME.fullmatch(name):
        yield f"{file}: settings: '{name}': a name is made of a-z, 0-9, '_' and '-'"
    if way == "natural":  # the classes keep the sizes they have, which only the data tells
        if tree["class_order"] != "size":
            yield f"{file}: class_order: {where} keeps the sizes of its classes; say class_order: size"
        return
    n, gamma = ("n", "gamma") if way == "share" else ("n1", "gamma_l")
    if int(sizes[n] * (1 / sizes[gamma])) < 1:  # in float64, as the split counts: 49 * (1 / 49) is below 1
        yield f"{where}: the rarest class gets no labeled image; lower {gamma} or raise {n} in {file}"
    if way == "others" and source not in UNLABELED:
        mend = f"say how many, or train for all that are not held out, in {file}"
        yield f"{where}: m1: all is every image without a label, and source '{source}' has none; {mend}"
    size, need = CLASS_SIZES.get(source), required_images(sizes) + held
    if size is not None and need > size:
        low = {"tails": "n1 or m1", "share": "n or say holdout: 0"}.get(way, "n1")
        yield (
            f"{where}: a class wants {need} images ({held} of them held out) "
            f"and the smallest has {size}; lower {low} in {file}"
        )


def _protocol(file: str, tree: Tree) -> Iterator[str]:
    steps, every, last = tree["steps"], tree["evaluation"]["every"], tree["evaluation"]["median_of"]
    if steps % every:
        yield f"{file}: evaluation.every: {every} does not divide steps, {steps}"
    elif last > steps // every:
        yield f"{file}: evaluation.median_of: {last} is more than the {steps // every} evaluations of a run"
    if tree["optimizer"]["nesterov"] and not tree["optimizer"]["momentum"]:
        yield f"{file}: optimizer.nesterov: true needs a momentum above 0"
    yield from _component(file, "network", tree["network"])
    for key, value in tree.get("overrides", {}).items():
        yield from (f"{file}: overrides: {message}" for message in _change(key, value))


def _method(file: str, tree: Tree, known: list[str] | None) -> Iterator[str]:
    """`known`: every <dataset>/<setting>, as far as that can be said."""
    for kind, part in parts(tree):
        yield from _component(file, kind, part) if kind != "plan" else ()  # see _plan
    names = [part["name"] for _, part in parts(tree)]
    for name in {name for name in names if names.count(name) > 1}:
        yield f"{file}: '{name}' is there twice"
    for pattern, changes in tree.get("where", {}).items():
        if known is not None and not any(fnmatchcase(name, pattern) for name in known):
            yield f"{file}: where: no <dataset>/<setting> matches '{pattern}'{_close(pattern, known)}"
        for key, value in changes.items():
            yield from (f"{file}: where: {pattern}: {message}" for message in _change(key, value, names))


def _ablation(params: Params, file: str, tree: Tree) -> Iterator[str]:
    """What is wrong with what an ablation changes; all else is told of its base."""
    names = [part["name"] for _, part in parts(tree)]
    wrong = [line for key, value in tree["change"].items() for line in _change(key, value, names)]
    yield from (f"{file}: change: {line}" for line in wrong)
    if not wrong:
        told = {line for kind, part in parts(params.methods[tree["of"]]) for line in _component(file, kind, part)}
        found = (line for kind, part in parts(tree) for line in _component(file, kind, part))
        yield from (line for line in found if line not in told)


def _plan(params: Params, file: str, tree: Tree) -> Iterator[str]:
    """Unknown, missing and wrong options of a plan, and methods it names that cannot lend what it takes."""
    errors = list(_component(file, "plan", tree["plan"])) if "plan" in tree else []
    yield from errors
    for name in plan_of(tree).upstream() if not errors else ():
        if name not in params.methods:
            yield f"{file}: plan '{tree['plan']['name']}': no method '{name}'{did_you_mean(name, params.methods)}"
        elif (upstream_run := params.methods[name].get("plan")) and plan_of({"plan": upstream_run}).upstream():
            yield f"{file}: plan '{tree['plan']['name']}': '{name}' itself takes from another method; name that one"


def _close(pattern: str, known: list[str]) -> str:
    hint = did_you_mean(pattern, known)
    return hint if hint.startswith("; did") else ""


def _suite(params: Params, settings: dict[str, list[str]], file: str, tree: Tree) -> Iterator[str]:
    def known(kind: str, word: str, names: Any, where: str = "") -> Iterator[str]:
        if word not in names:
            yield f"{file}: {where}there is no {kind} '{word}'{did_you_mean(word, names)}"

    yield from known("protocol", tree["protocol"], params.protocols)
    names = [table["name"] for table in tree["tables"]]
    for table in tree["tables"]:
        where = f"table '{table['name']}': "
        if not NAME.fullmatch(table["name"]):
            yield f"{file}: {where}a name is made of a-z, 0-9, '_' and '-'"
        if names.count(table["name"]) > 1:
            yield f"{file}: {where}there are several tables of this name"
        yield from known("dataset", table["dataset"], params.datasets, where)
        for setting in table["settings"]:
            yield from known("setting", setting, settings.get(table["dataset"], table["settings"]), where)
        for method in table["methods"]:
            yield from known("method", method, params.methods, where)


def _together(params: Params) -> Iterator[str]:
    """What is right in each file and wrong in a suite's run, where a protocol or `where` has changed options."""
    named = dict.fromkeys(run._replace(seed=0) for suite in params.suites for run in runs(params, suite))
    for final in named:
        try:
            chain = with_upstream(params, [final])
        except ParamsError as error:
            yield f"{params.file('method', final.recipe)}: with protocol '{final.protocol}': {error}"
            continue
        for run in chain:
            yield from _run(params, run)


def refuse(params: Params, run: Run) -> None:
    """Raise ParamsError, a line each, for what is wrong with a run and all whose results it takes."""
    if errors := list(dict.fromkeys(line for each in with_upstream(params, [run]) for line in _run(params, each))):
        raise ParamsError(*errors)


def _run(params: Params, run: Run) -> Iterator[str]:
    """What is wrong with one run, or one stage of a plan."""
    config = resolve(params, run)
    protocol, optimizer = params.file("protocol", run.protocol), config["optimizer"]
    steps, every = config["protocol"]["steps"], config["protocol"]["evaluation"]["every"]
    yield from impossible(params, run, config)
    for upstream_run in upstream_runs(params, run) if "estimate" in config["plan"] else ():
        if not resolve(params, upstream_run)["plan"].get("survey"):
            yield f"{params.file('method', run.recipe)}: plan 'prior': '{upstream_run.method}' is no survey; name one"
    if steps % every:
        yield f"{protocol}: evaluation.every: {every} does not divide {steps}, the steps of '{run.method}'"
    late = [step for step in (optimizer["warmup"], *optimizer["milestones"]) if step > steps]
    if late:
        yield (
            f"{protocol}: method '{run.method}' changes its learning rate at step "
            f"{late[0]} of {steps}; give optimizer.warmup and optimizer.milestones in overrides"
        )
    if optimizer["nesterov"] and not optimizer["momentum"]:
        yield f"{protocol}: method '{run.method}' has nesterov without momentum; set one of them in overrides"


def _component(file: str, kind: str, part: Tree) -> Iterator[str]:
    """Unknown, missing and wrong options of a learner, an add-on or a network."""
    name, known = part["name"], KINDS[kind]
    if name not in known:
        yield f"{file}: there is no {kind} '{name}'{did_you_mean(name, known)}"
        return
    try:
        allowed = options(known[name])
    except ParamsError as error:
        yield str(error)
        return
    own = given(part)
    errors = [line for key, value in own.items() for line in _option(f"{kind} '{name}'", key, value, allowed)]
    errors += (
        f"{kind} '{name}' lacks its option '{key}' ({option.kind})"
        for key, option in allowed.items()
        if option.required and key not in own
    )
    yield from (f"{file}: {message}" for message in errors or (message for message, _ in refusals(known[name], own)))


def _option(what: str, key: str, value: object, allowed: dict[str, Option]) -> Iterator[str]:
    if key not in allowed:
        yield f"{what} has no option '{key}'{did_you_mean(key, allowed)}"
    elif not allowed[key].kind.accepts(value):
        yield f"{what}: option '{key}' is {shown(value)} and should be {allowed[key].kind}"


OPTIMIZER = ("lr", "momentum", "nesterov", "weight_decay", "warmup", "milestones", "factor", "anneal")


def _change(key: str, value: object, present: list[str] | None = None) -> Iterator[str]:
    """What is wrong with `component.option: value`; the component must be among `present`, when that is given."""
    component, _, option = key.partition(".")
    parts = {name: (kind, spec) for kind in ("learner", "add-on", "plan") for name, spec in KINDS[kind].items()}
    if not option or "." in option:
        yield f"'{key}' is not of the form component.option"
    elif component == "optimizer":
        if option not in OPTIMIZER:
            yield f"the optimizer has no option '{option}'{did_you_mean(option, OPTIMIZER)}"
        else:
            yield from (f"optimizer.{message}" for message in optimizer_structure({option: value}))
    elif component not in parts:
        yield f"there is no learner, add-on or plan '{component}'{did_you_mean(component, [*parts, 'optimizer'])}"
    elif present is not None and component not in present:
        yield f"'{component}' is no part of this method{did_you_mean(component, present)}"
    else:
        kind, spec = parts[component]
        try:
            yield from _option(f"{kind} '{component}'", option, value, options(spec))
        except ParamsError as error:
            yield str(error)
