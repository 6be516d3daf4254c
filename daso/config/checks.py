"""Check what a schema cannot express: names that must exist, options of components, values that depend on others."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import get_args

from daso.aliases import Tree
from daso.config.controls import control_errors
from daso.config.dataset_checks import dataset_errors
from daso.config.epochs import in_epochs, number, unit
from daso.config.feasibility import given_options, reasons_infeasible
from daso.config.fit import fit_errors
from daso.config.network import states_preprocessing
from daso.config.open_sets import outside_errors
from daso.config.params import NAME_PATTERN, PROTOCOL_BLOCKS, Params, components, invalid_name
from daso.config.params_schemas import OptimizerOptions
from daso.config.protocol_where import Place, selects, setting_place
from daso.config.registry import COMPONENTS, NETWORKS
from daso.config.resolve import Run, parse_run, resolve, runs, table_protocol, upstream_runs, with_upstream
from daso.config.schedule_checks import optimizer_errors, protocol_schedule_errors, run_schedule_errors
from daso.config.signature import constructor_errors, option_errors, options
from daso.config.stages import plan_of
from daso.data.weights import digest_to_set
from daso.errors import ParamsError, close_match, did_you_mean
from daso.paths import CONTRADICTIONS
from daso.schema import PositiveInt, mismatches, record_fields

OPTIMIZER = {name: field for kind in get_args(OptimizerOptions) for name, field in record_fields(kind).items()}
# Folders of reports/ that belong to no suite.
RESERVED = (CONTRADICTIONS, "measured", "paper", "reference", "templates")
# Ids of a report's page; a table's name is an id too.
PAGE_IDS = ("contents", "reading", "reference", "summary", "summary-fig-differences", "summary-progress")


def check(params: Params, broken: frozenset[str] = frozenset()) -> list[str]:
    """Return the errors of all files except the `broken` ones, whose structure is wrong, one line each."""

    def sound(kind: str, trees: dict[str, Tree]) -> Iterator[tuple[str, str, Tree]]:
        files = ((params.file(kind, name), name, tree) for name, tree in trees.items())
        return (entry for entry in files if entry[0] not in broken)

    errors: list[str] = []
    for file, name, tree in sound("dataset", params.datasets):
        errors += dataset_errors(file, tree)
        errors += outside_errors(params, broken, name)
    settings = {name: list(tree["settings"]) for _, name, tree in sound("dataset", params.datasets)}
    # The settings of a broken dataset are unknown.
    places = [setting_place(params, name, setting) for name, names in settings.items() for setting in names]
    known = places if len(settings) == len(params.datasets) else None
    for file, _, tree in sound("protocol", params.protocols):
        errors += _protocol_errors(file, tree, known)
        errors += _splits_errors(params, file, tree)
        errors += [f"{file}: {line}" for line in fit_errors(tree, params.methods)]
    for file, _, tree in sound("method", params.methods):
        if "of" in tree:
            errors += _ablation_errors(params, file, tree)
            continue
        errors += _method_errors(file, tree, known)
        errors += _plan_errors(params, file, tree)
    for file, name, tree in sound("suite", params.suites):
        if name in RESERVED:
            errors.append(f"{file}: 'reports/{name}' is not allowed as the report of a suite; rename the file")
        errors += _suite_errors(params, settings, file, tree)
    if params.suite not in params.suites and f"{params.root}/pipeline.yaml" not in broken:
        hint = did_you_mean(params.suite, params.suites, "suites")
        errors.append(f"{params.root}/pipeline.yaml: suite: unknown suite '{params.suite}'{hint}")
    if errors or broken:
        return errors
    return list(dict.fromkeys(_suite_run_errors(params))) or list(control_errors(params))


def _protocol_errors(file: str, tree: Tree, known: list[Place] | None) -> Iterator[str]:
    """Yield the errors of a protocol; `known` lists every setting, None if unknown."""
    total, every, last = tree["steps"], tree["evaluation"]["every"], tree["evaluation"]["median_of"]
    if unit(total) == unit(every):  # else only the steps of a run are checked
        steps, interval = number(total), number(every)
        if steps % interval:
            budget = f"{steps} {unit(total)}"
            yield f"{file}: evaluation.every: {every} does not divide {budget}; set it to a divisor of {steps}"
        elif last > (most := steps // interval):
            yield f"{file}: evaluation.median_of: {last} is above the maximum {most} (evaluations of a run); lower it"
    yield from (f"{file}: {line}" for line in protocol_schedule_errors(tree["optimizer"]))
    if digest := digest_to_set(tree["network"]):
        network_errors = [f"{file}: network.sha256: missing; set it to {digest}, that of the weights"]
    else:
        network_errors = list(_component_errors(file, "network", tree["network"]))
    yield from network_errors or (f"{file}: {line}" for line in optimizer_errors(tree["optimizer"], tree["network"]))
    for pattern, changes in tree.get("where", {}).items():
        yield from _pattern_errors(file, pattern, known)
        lines = (line for key, value in changes.items() for line in _where_errors(key, value))
        yield from (f"{file}: where: {pattern}: {line}" for line in lines)
    for key, value in tree.get("overrides", {}).items():
        yield from (f"{file}: overrides: {message}" for message in _change_errors(key, value))


def _method_errors(file: str, tree: Tree, known: list[Place] | None) -> Iterator[str]:
    """Yield the errors of a method except in its plan; `known` lists every setting, None if unknown."""
    for kind, part in components(tree):
        yield from _component_errors(file, kind, part) if kind != "plan" else ()
    for key, value in tree.get("optimizer", {}).items():
        yield from (f"{file}: {message}" for message in _change_errors(f"optimizer.{key}", value))
    names = [part["name"] for _, part in components(tree)]
    for name in {name for name in names if names.count(name) > 1}:
        yield f"{file}: duplicate component '{name}'; list it once"
    for pattern, changes in tree.get("where", {}).items():
        yield from _pattern_errors(file, pattern, known)
        for key, value in changes.items():
            yield from (f"{file}: where: {pattern}: {message}" for message in _change_errors(key, value, names))


def _pattern_errors(file: str, pattern: str, known: list[Place] | None) -> Iterator[str]:
    if known is not None and not any(selects(pattern, place) for place in known):
        yield f"{file}: where: '{pattern}' matches no <dataset>/<setting>{close_match(pattern, map(str, known))}"


def _where_errors(key: str, value: object) -> Iterator[str]:
    """Yield the errors of an option in `where` of a protocol, whose network and budget are those of all settings."""
    if key == "unlabeled_ratio":
        yield from map(str, mismatches(value, PositiveInt, key))
    elif key.startswith("optimizer."):
        yield from _change_errors(key, value)
    else:
        yield f"expected unlabeled_ratio or optimizer.option, got '{key}'"


def _ablation_errors(params: Params, file: str, tree: Tree) -> Iterator[str]:
    """Yield the errors of an ablation; those of its components only if its base, which most are from, has none."""
    names = [part["name"] for _, part in components(tree)]
    errors = [line for key, value in tree["change"].items() for line in _change_errors(key, value, names)]
    yield from (f"{file}: change: {line}" for line in errors)
    of_base, own = (
        [line for kind, part in components(method) for line in _component_errors(file, kind, part)]
        for method in (params.methods[tree["of"]], tree)
    )
    if not errors and not of_base:
        yield from own


def _splits_errors(params: Params, file: str, tree: Tree) -> Iterator[str]:
    for name in tree.get("splits", {}):
        if name not in params.datasets:
            yield f"{file}: splits: unknown dataset '{name}'{did_you_mean(name, params.datasets, 'datasets')}"


def _plan_errors(params: Params, file: str, tree: Tree) -> Iterator[str]:
    """Yield the errors of a plan's options and of the upstream methods that it names."""
    errors = list(_component_errors(file, "plan", tree["plan"])) if "plan" in tree else []
    yield from errors
    for name in plan_of(tree).upstream() if not errors else ():
        where = f"{file}: plan '{tree['plan']['name']}'"
        if name not in params.methods:
            yield f"{where}: unknown method '{name}'{did_you_mean(name, params.methods, 'methods')}"
        elif (plan := params.methods[name].get("plan")) and plan_of({"plan": plan}).upstream():
            yield f"{where}: '{name}' itself depends on another method; name one that does not"


def _suite_errors(params: Params, settings: dict[str, list[str]], file: str, tree: Tree) -> Iterator[str]:
    def unknown(kind: str, name: str, names: Collection[str], where: str = "") -> Iterator[str]:
        if name not in names:
            yield f"{file}: {where}unknown {kind} '{name}'{did_you_mean(name, names, f'{kind}s')}"

    yield from unknown("protocol", tree["protocol"], params.protocols)
    for method in tree.get("omit", ()):
        yield from unknown("method", method, params.methods, "omit: ")
    names = [table["name"] for table in tree["tables"]]
    for table in tree["tables"]:
        where = f"table '{table['name']}': "
        yield from (f"{file}: {where}{message}" for message in _table_errors(params, tree, table, names))
        yield from unknown("dataset", table["dataset"], params.datasets, where)
        for setting in table["settings"]:
            yield from unknown("setting", setting, settings.get(table["dataset"], table["settings"]), where)
        for method in table["methods"]:
            yield from unknown("method", method, params.methods, where)
        for method in table.get("paper", {}).get("addons", {}):
            yield from unknown("method", method, table["methods"], f"{where}paper.addons: ")
        for method in dict.fromkeys(name for pair in table.get("controls", {}).items() for name in pair):
            yield from unknown("method", method, params.methods, f"{where}controls: ")
            if method in params.methods and method not in table["methods"]:
                yield f"{file}: {where}controls: '{method}' is not in the table's methods; add it, or remove it here"


def _table_errors(params: Params, suite: Tree, table: Tree, names: list[str]) -> Iterator[str]:
    """Yield the errors in name, protocol and metrics of a suite's table; `names` are those of all its tables."""
    if not NAME_PATTERN.fullmatch(table["name"]):
        yield invalid_name(table["name"])
    if names.count(table["name"]) > 1:
        yield "duplicate name; rename one of the tables"
    if table["name"] in PAGE_IDS:
        yield "the name of another section of the report's page; rename the table"
    name = table_protocol(suite, table)
    if "protocol" in table and name not in params.protocols:
        yield f"unknown protocol '{name}'{did_you_mean(name, params.protocols, 'protocols')}"
    statistic = params.protocols.get(name, {}).get("statistic", "median")
    if statistic not in table.get("metrics", [statistic]):
        yield f"metrics: missing '{statistic}', which gains and ranks use under protocol '{name}'; add it"


def _suite_run_errors(params: Params) -> Iterator[str]:
    """Yield the errors of the suites' runs that appear only after protocols and `where` have changed options."""
    seedless = dict.fromkeys(run._replace(seed=0) for suite in params.suites for run in runs(params, suite))
    for last in seedless:
        try:
            chain = with_upstream(params, [last])
        except ParamsError as error:
            yield f"{params.file('method', last.method_file)}: with protocol '{last.protocol}': {error}"
            continue
        for run in chain:
            yield from _run_errors(params, run)


def check_run(params: Params, run: Run) -> None:
    """Raise ParamsError with all errors of a run and its upstream runs, one line each."""
    chain = with_upstream(params, [run])
    if errors := list(dict.fromkeys(line for each in chain for line in _run_errors(params, each))):
        raise ParamsError(*errors)


def _run_errors(params: Params, run: Run) -> Iterator[str]:
    """Yield the errors of one run, which may be a stage of a plan."""
    config = resolve(params, run)
    protocol, optimizer = params.file("protocol", run.protocol), config["optimizer"]
    steps, every = config["protocol"]["steps"], config["protocol"]["evaluation"]["every"]
    yield from reasons_infeasible(params, run, config)
    if any(key.startswith("network.") for key in params.methods[run.method_file].get("change", {})):
        file = params.file("method", run.method_file)
        yield from _component_errors(f"{file}: with {protocol}", "network", config["protocol"]["network"])
    if "mean" not in config["dataset"] and not states_preprocessing(config["protocol"]["network"]):
        network = config["protocol"]["network"]["name"]
        yield (
            f"{params.file('dataset', run.dataset)}: mean and std: missing, and network '{network}' of protocol "
            f"'{run.protocol}' has no pretrained weights; set both, or the network's weights"
        )
    for upstream in upstream_runs(params, run) if "estimate" in config["plan"] else ():
        if not resolve(params, upstream)["plan"].get("survey"):
            file, plan = params.file("method", run.method_file), params.methods[run.method_file]["plan"]["name"]
            yield f"{file}: plan '{plan}': expected a method with plan 'survey', got '{upstream.method}'; name one"
    if "of" in (split := config["plan"].get("split", {})):
        upstream = parse_run(params, split["of"])
        if not resolve(params, upstream)["plan"].get("predictions"):
            yield (
                f"{protocol}: evaluation.predictions: missing, and '{run.method}' trains on predictions of "
                f"'{upstream.method}' for unlabeled images; set it to true"
            )
    if steps % every:
        yield (
            f"{protocol}: evaluation.every: {every} does not divide the {steps} steps of '{run.method}'; "
            f"set it to a divisor of {steps}"
        )
    yield from run_schedule_errors(params, run, config)
    problems = [*map(str, mismatches(optimizer, OptimizerOptions, "optimizer", closed=True))]
    problems += optimizer_errors(optimizer, config["protocol"]["network"])
    yield from (f"{protocol}: method '{run.method}': {line}" for line in problems)


def _component_errors(file: str, kind: str, part: Tree) -> Iterator[str]:
    """Yield the errors of a component's name and options."""
    name, known = part["name"], COMPONENTS[kind]
    if name not in known:
        yield f"{file}: unknown {kind} '{name}'{did_you_mean(name, known)}"
        return
    given, spec = given_options(part), known[name]
    try:
        errors = [f"{kind} '{name}': {line}" for line in option_errors(spec, given)]
    except ParamsError as error:
        yield str(error)
        return
    if not errors and not in_epochs(given):  # of values in epochs, only the steps of a run are checked
        errors = [line for line, _ in constructor_errors(spec, given)]
    yield from (f"{file}: {line}" for line in errors)


def _change_errors(key: str, value: object, present: list[str] | None = None) -> Iterator[str]:
    """Yield the errors of `component.option: value`; the component must be in `present`, unless it is None."""
    component, _, option = key.partition(".")
    specs = {name: (kind, spec) for kind in ("learner", "add-on", "plan") for name, spec in COMPONENTS[kind].items()}
    if component == "network":  # that of a protocol; the first one that has the option checks its value
        having = [spec for spec in NETWORKS.values() if option in options(spec)]
        specs |= {"network": ("network", having[0])} if having else {}
    if not option or "." in option:
        yield f"expected component.option, got '{key}'"
    elif component == "optimizer":
        if option not in OPTIMIZER:
            yield f"optimizer: unknown option '{option}'{did_you_mean(option, OPTIMIZER)}"
        else:
            yield from map(str, mismatches(value, OPTIMIZER[option][0], key))
    elif component == "network" and component not in specs:
        yield f"network: no network has an option '{option}'; remove it"
    elif component not in specs:
        yield f"unknown learner, add-on or plan '{component}'{did_you_mean(component, [*specs, *PROTOCOL_BLOCKS])}"
    elif present is not None and component not in (*present, *PROTOCOL_BLOCKS):
        yield f"this method has no component '{component}'{did_you_mean(component, present)}"
    else:
        kind, spec = specs[component]
        try:
            yield from (
                f"{kind} '{component}': {line}" for line in option_errors(spec, {option: value}, complete=False)
            )
        except ParamsError as error:
            yield str(error)
