"""Resolve the configuration of a run from params/: exactly the values that it uses, in one JSON object."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, cast

from daso.aliases import Tree
from daso.config.params import Params, components, set_option
from daso.config.registry import ADDONS, PLANS, load
from daso.config.signature import attribute
from daso.data.class_sizes import target_classes
from daso.data.files import digest
from daso.errors import ParamsError, did_you_mean
from daso.methods.plans import CLASS_SIZES, Expanded, HeldOut, Plan, Stage

MAX_SEED = 2**32 - 1  # the largest seed of numpy's legacy generator


class Run(NamedTuple):
    """Parts of a run's id."""

    dataset: str
    setting: str
    protocol: str
    method: str  # name of the method's file, plus `.<stage>` for all but the last stage of a plan
    seed: int

    @property
    def method_file(self) -> str:
        """Name of the method's file."""
        return self.method.partition(".")[0]

    @property
    def stage(self) -> str:
        """Name of the stage, empty for the last one."""
        return self.method.partition(".")[2]

    @property
    def id(self) -> str:
        """`<dataset>/<setting>/<protocol>/<method>/s<seed>`."""
        return f"{self.dataset}/{self.setting}/{self.protocol}/{self.method}/s{self.seed}"


def parse_run(params: Params, run_id: str) -> Run:
    """Return the run of an id; raise ParamsError if the id is malformed or a part of it is unknown."""
    parts = run_id.strip("/").split("/")
    if len(parts) != 5 or parts[4][:1] != "s" or not parts[4][1:].isdecimal() or len(run_id) > 1000:
        raise ParamsError(f"{run_id}: not a run id; write <dataset>/<setting>/<protocol>/<method>/s<seed>")
    run = Run(parts[0], parts[1], parts[2], parts[3], int(parts[4][1:]))
    for kind, name, known in (
        ("dataset", run.dataset, params.datasets),
        ("setting", run.setting, params.datasets.get(run.dataset, {}).get("settings", {})),
        ("protocol", run.protocol, params.protocols),
        ("method", run.method_file, params.methods),
    ):
        if name not in known:
            raise ParamsError(f"{run_id}: unknown {kind} '{name}'{did_you_mean(name, known, f'{kind}s')}")
    canonical = run._replace(method=run.method.rstrip(".")).id
    if canonical != run_id.strip("/"):
        raise ParamsError(f"{run_id}: not in canonical form; write {canonical}")
    if run.seed > MAX_SEED:
        raise ParamsError(f"{run_id}: seed {run.seed} is above the maximum {MAX_SEED}; set it to {MAX_SEED} or less")
    resolve(params, run)  # raises ParamsError if the stage is unknown
    return run


def suite_of(params: Params, name: str) -> Tree:
    """Return a suite by name; raise ParamsError if it is unknown."""
    if name not in params.suites:
        hint = did_you_mean(name, params.suites, "suites")
        raise ParamsError(f"{params.root}/suites: unknown suite '{name}'{hint}")
    return params.suites[name]


def runs(params: Params, suite: str) -> list[Run]:
    """Return the runs of a suite's tables, each once, in the order of the tables."""
    tree = suite_of(params, suite)
    return list(
        dict.fromkeys(
            Run(table["dataset"], setting, tree["protocol"], method, seed)
            for table in tree["tables"]
            for setting in table["settings"]
            for method in table["methods"]
            for seed in tree["seeds"]
        )
    )


def upstream_runs(params: Params, run: Run) -> list[Run]:
    """Return the runs that a run depends on: an earlier stage of its plan, or a run of a different method."""
    plan = resolve(params, run)["plan"]
    return [parse_run(params, part["of"]) for part in plan.values() if isinstance(part, dict) and "of" in part]


def with_upstream(params: Params, selected: Iterable[Run], dependents: Sequence[Run] = ()) -> list[Run]:
    """Return the runs and everything upstream of them, each once, upstream runs first.

    `dependents` are the runs on the path that led here. Raises ParamsError if a run depends on itself.
    """
    ordered: dict[Run, None] = {}
    for run in selected:
        if run in dependents:
            raise ParamsError(
                f"{run.id}: depends on itself through {dependents[-1].id}; name a different method in its plan"
            )
        if run not in ordered:
            ordered |= dict.fromkeys([*with_upstream(params, upstream_runs(params, run), (*dependents, run)), run])
    return list(ordered)


def expand_suite(params: Params, suite: str) -> Tree:
    """Return a suite with every name in it replaced by the content of its file, as reports use it."""
    tree = suite_of(params, suite)

    def expand_table(table: Tree) -> Tree:
        dataset = table["dataset"]
        return {
            **table,
            "dataset": {"name": dataset, **params.datasets[dataset]},
            "settings": [setting_config(params, dataset, setting) for setting in table["settings"]],
            "methods": [{"name": method, **params.methods[method]} for method in table["methods"]],
        }

    protocol = {"name": tree["protocol"], "note": "", **params.protocols[tree["protocol"]]}
    tables = [expand_table(table) for table in tree["tables"]]
    return {"name": suite, "note": "", **tree, "protocol": protocol, "tables": tables}


def data_config(params: Params, dataset: str) -> Tree:
    """Return the configuration of a dataset's store, with the numbers of images that it is checked against."""
    keys, tree = ("source", "num_classes", "image_size", "images"), params.datasets[dataset]
    return {"dataset": dataset, **{key: tree[key] for key in keys if key in tree}}


def split_config(params: Params, dataset: str, setting: str, seed: int) -> Tree:
    """Return the configuration of a split; a setting's own holdout replaces that of the dataset's target classes."""
    tree, own = params.datasets[dataset], setting_config(params, dataset, setting)
    classes = len(target_classes(own, tree["num_classes"]))
    holdout = own.pop("holdout", tree["holdout"] // tree["num_classes"] * classes)
    common = {"num_classes": classes, "holdout": holdout, "class_order": tree["class_order"]}
    return {"dataset": dataset, "setting": own, "seed": seed, **common}


def setting_config(params: Params, dataset: str, setting: str) -> Tree:
    """Return a setting with its defaults filled in."""
    return {"name": setting, "reversed": False, **params.datasets[dataset]["settings"][setting]}


def resolve(params: Params, run: Run) -> Tree:
    """Return the resolved configuration of a run without its key; raises what `trace_options` raises."""
    dataset, protocol = params.datasets[run.dataset], params.protocols[run.protocol]
    method, optimizer, stage, _ = trace_options(params, run)
    split = split_config(params, run.dataset, run.setting, run.seed)
    return {
        "run": run.id,
        "dataset": {
            "name": run.dataset,
            "num_classes": split["num_classes"],
            **{key: dataset[key] for key in ("image_size", "mean", "std", "augment", "groups") if key in dataset},
        },
        "setting": setting_config(params, run.dataset, run.setting),
        "split_config_sha256": digest(split),
        "protocol": {
            "name": run.protocol,
            **{
                key: protocol[key]
                for key in ("batch_size", "precision", "network", "teacher", "evaluation", "checkpoint_every")
            },
            "steps": stage.steps,
        },
        "method": {"name": run.method, **{key: method[key] for key in ("unlabeled_ratio", "learner", "addons")}},
        "optimizer": optimizer,
        "plan": _plan_config(run, stage),
        "seed": run.seed,
        "draw_seed": _draw_seed(run),
    }


class OptionSource(NamedTuple):
    """Source of an option's value: a file, and the block in it, such as ("where", "digits/*") or ("overrides",)."""

    file: str
    block: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ", ".join([self.file, *([" ".join(self.block)] if self.block else [])])


class TracedMethod(NamedTuple):
    """Method of a run with all options set, and the source of the value of each `component.option`."""

    method: Tree
    optimizer: Tree
    stage: Stage
    sources: dict[str, OptionSource]


def trace_options(params: Params, run: Run) -> TracedMethod:
    """Return the method of a run with all options set; `where` is ignored if dataset and setting are empty.

    Later sources replace earlier ones: the protocol's optimizer; the method's own optimizer; the method's `where`
    entries that match `<dataset>/<setting>`, in order; the protocol's overrides; the `change` of an ablation, which
    thereby holds in every setting and protocol; the changes of the plan for this stage. A protocol's unlabeled ratio
    applies to every method that uses unlabeled images.
    Raises ParamsError if the plan lacks this stage, or the steps cannot be divided among its stages.
    """
    protocol, method = params.protocols[run.protocol], copy_tree(params.methods[run.method_file])
    method.setdefault("addons", [])
    if method["unlabeled_ratio"]:  # a supervised method stays supervised
        method["unlabeled_ratio"] = protocol.get("unlabeled_ratio", method["unlabeled_ratio"])
    own = method.get("optimizer", {})
    optimizer = {**protocol["optimizer"], **own}
    method_source = OptionSource(params.file("method", method.get("of", run.method_file)))
    protocol_source = OptionSource(params.file("protocol", run.protocol))
    sources = {f"optimizer.{key}": method_source if key in own else protocol_source for key in optimizer}
    sources |= {f"{part['name']}.{key}": method_source for _, part in components(method) for key in part}

    def apply(changes: Mapping[str, Any], source: OptionSource) -> None:
        sources.update({key: source for key, value in changes.items() if set_option(key, value, method, optimizer)})

    for pattern, changes in method.get("where", {}).items():
        if fnmatchcase(f"{run.dataset}/{run.setting}", pattern):
            apply(changes, OptionSource(method_source.file, ("where", pattern)))
    apply(protocol.get("overrides", {}), OptionSource(protocol_source.file, ("overrides",)))
    apply(method.get("change", {}), OptionSource(params.file("method", run.method_file), ("change",)))
    stage = _find_stage(run, method, protocol["steps"])
    apply(stage.changes, OptionSource(method_source.file, ("plan",)))
    return TracedMethod(method, optimizer, stage, sources)


def copy_tree(tree: Any) -> Any:
    """Copy dicts and lists at every level; `copy.deepcopy` takes five times as long."""
    if isinstance(tree, dict):
        return {key: copy_tree(value) for key, value in tree.items()}
    return [copy_tree(value) for value in tree] if isinstance(tree, list) else tree


def plan_of(method: Tree) -> Plan:
    """Return the plan of a method; without one it has a single stage."""
    options = dict(method.get("plan", {}))
    return load(PLANS[options.pop("name")])(**options) if options else Plan()


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


def _plan_options(method: Tree) -> dict[str, str]:
    """Return the options that a plan may set, "component.option" by content, as the add-ons declare them."""
    declared = ((part["name"], attribute(ADDONS[part["name"]], "plan_options", part, {})) for part in method["addons"])
    named = ((name, cast(dict[str, str], options)) for name, options in declared)
    return {content: f"{name}.{option}" for name, options in named for content, option in options.items()}


def _find_stage(run: Run, method: Tree, steps: int) -> Stage:
    stages = {stage.name: stage for stage in stages_of(method, steps)}
    if run.stage not in stages:
        names = [name for name in stages if name]
        raise ParamsError(
            f"{run.id}: unknown stage '{run.stage}' of '{run.method_file}'{did_you_mean(run.stage, names)}"
        )
    return stages[run.stage]


def _plan_config(run: Run, stage: Stage) -> Tree:
    """Return the results that a stage loads from other runs, by their ids, and those that it saves for others."""
    plan: Tree = {}
    match stage.split:
        case Expanded(by, exponent):
            plan["split"] = {"of": run._replace(method=f"{run.method_file}.{by}").id, "exponent": exponent}
        case HeldOut(per_class):
            plan["split"] = {"held_out": per_class}
    if stage.encoder:
        upstream = run._replace(method=stage.encoder.of)
        plan["encoder"] = {"of": upstream.id, "statistics": stage.encoder.statistics}
    if stage.estimate:
        plan["estimate"] = {"of": run._replace(method=stage.estimate.of).id, "into": stage.estimate.into}
    if stage.survey:
        plan["survey"] = True
    if stage.name:
        plan["predictions"] = True  # predictions for the unlabeled images
    return plan


def _draw_seed(run: Run) -> int:
    """Return the seed of networks, batches and views: the run's seed, or a different one for each earlier stage."""
    if not run.stage:
        return run.seed
    return int.from_bytes(hashlib.sha256(f"{run.seed}/{run.stage}".encode()).digest()[:4], "little")
