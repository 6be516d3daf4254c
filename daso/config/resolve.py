"""Resolve the configuration of a run from params/: exactly the values that it uses, in one JSON object."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from daso.aliases import Tree
from daso.config.epochs import Epochs, image_numbers, set_steps
from daso.config.network import normalisation, view_augment, without_defaults
from daso.config.params import WEIGHT_DECAY, Params, components, copy_tree, set_option
from daso.config.protocol_where import matching, protocol_in, setting_place
from daso.config.registry import trains_on_features
from daso.config.stages import plan_config, stages_of, trained_setting
from daso.config.super_classes import super_classes_of_run
from daso.data.class_sizes import target_classes
from daso.data.files import digest
from daso.errors import ParamsError, did_you_mean
from daso.methods.plans import Stage

# Keys of a protocol that its runs use besides the steps.
PROTOCOL_KEYS = (
    *("batch_size", "precision", "network", "classifier_init", "images_per_group"),
    *("teacher", "evaluation", "checkpoint_every"),
)
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


def table_protocol(suite: Tree, table: Tree) -> str:
    """Return the name of the protocol of a suite's table: its own, else the suite's."""
    return str(table.get("protocol", suite["protocol"]))


def runs(params: Params, suite: str) -> list[Run]:
    """Return the runs of a suite's tables, each once, in the order of the tables."""
    tree = suite_of(params, suite)
    return list(
        dict.fromkeys(
            trained_run(params, Run(table["dataset"], setting, table_protocol(tree, table), method, seed))
            for table in tree["tables"]
            for setting in table["settings"]
            for method in table["methods"]
            for seed in tree["seeds"]
        )
    )


def trained_run(params: Params, run: Run) -> Run:
    """Return the run whose results are those of a run: itself, or the same run in another setting."""
    setting = setting_config(params, run.dataset, run.setting)
    return run._replace(setting=trained_setting(setting, params.methods[run.method_file]))


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
    """Return a suite with every name in its tables replaced by the content of its file, as reports use it."""
    tree = suite_of(params, suite)

    def expand_table(table: Tree) -> Tree:
        dataset, protocol = table["dataset"], table_protocol(tree, table)
        return {
            **table,
            "protocol": {"name": protocol, "note": "", **params.protocols[protocol]},
            "dataset": {"name": dataset, **params.datasets[dataset]},
            "settings": [setting_config(params, dataset, setting) for setting in table["settings"]],
            "methods": [{"name": method, **params.methods[method]} for method in table["methods"]],
        }

    return {"name": suite, "note": "", **tree, "tables": [expand_table(table) for table in tree["tables"]]}


def data_config(params: Params, dataset: str) -> Tree:
    """Return the configuration of a dataset's store, with the numbers of images that it is checked against."""
    keys = ("source", "num_classes", "image_size", "images", "fit", "test_share", "subsets")
    tree = params.datasets[dataset]
    return {"dataset": dataset, **{key: tree[key] for key in keys if key in tree}}


def split_config(params: Params, dataset: str, setting: str, seed: int) -> Tree:
    """Return the configuration of a split; a setting's own holdout replaces that of the dataset's target classes."""
    tree, own = params.datasets[dataset], setting_config(params, dataset, setting)
    classes = len(target_classes(own, tree["num_classes"]))
    holdout = own.pop("holdout", tree["holdout"] // tree["num_classes"] * classes)
    common = {"num_classes": classes, "holdout": holdout, "class_order": tree["class_order"]}
    common |= {key: tree[key] for key in ("test_share",) if key in tree}
    own.pop("supervised", None)
    return {"dataset": dataset, "setting": own, "seed": seed, **common}


def setting_config(params: Params, dataset: str, setting: str) -> Tree:
    """Return a setting with its defaults filled in."""
    return {"name": setting, "reversed": False, **params.datasets[dataset]["settings"][setting]}


def resolve(params: Params, run: Run) -> Tree:
    """Return the resolved configuration of a run without its key; raises what `trace_options` raises."""
    dataset, traced = params.datasets[run.dataset], trace_options(params, run)
    method, protocol, stage = traced.method, traced.protocol, traced.stage
    setting = setting_config(params, run.dataset, run.setting)
    setting.pop("supervised", None)
    split = split_config(params, run.dataset, run.setting, run.seed)
    given: Tree = {"features": {}} if trains_on_features(protocol["network"]) else {}
    given |= {"fit": {}} if "fit" in protocol else {}
    given |= {"predictions": True} if protocol["evaluation"].get("predictions") else {}

    def upstream_id(method: str, *, own_setting: bool = False) -> str:
        upstream = run._replace(method=method)
        return (upstream if own_setting else trained_run(params, upstream)).id

    return {
        "run": run.id,
        "dataset": {
            "name": run.dataset,
            "num_classes": split["num_classes"],
            **{key: dataset[key] for key in ("image_size", "groups") if key in dataset},
            **super_classes_of_run(dataset, method),
            "augment": view_augment(dataset["augment"], protocol["network"]),
            **normalisation(dataset, protocol["network"]),
        },
        "setting": setting,
        "split_config_sha256": digest(split),
        "protocol": {
            "name": run.protocol,
            **without_defaults({key: protocol[key] for key in PROTOCOL_KEYS if key in protocol}),
            "steps": stage.steps,
        },
        "method": {"name": run.method, **{key: method[key] for key in ("unlabeled_ratio", "learner", "addons")}},
        "optimizer": without_defaults(traced.optimizer),
        "plan": {**given, **plan_config(stage, run.method_file, upstream_id)},
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
    """Method and protocol of a run with all options set, and the source of the value of each `component.option`."""

    method: Tree
    protocol: Tree
    optimizer: Tree
    stage: Stage
    sources: dict[str, OptionSource]
    epochs: dict[str, Any]  # values given in epochs, by `component.option` or key of the protocol


def trace_options(params: Params, run: Run) -> TracedMethod:
    """Return the method of a run with all options set; `where` is ignored if dataset and setting are empty.

    Later sources replace earlier ones: the protocol's optimizer; the protocol's `where` entries that match
    `<dataset>/<setting>`, in order; the method's own optimizer; the method's `where` entries; the protocol's overrides;
    the `change` of an ablation, which thereby holds in every setting and protocol; the changes of the plan for this
    stage. A protocol's unlabeled ratio applies to every method that uses unlabeled images.
    Values in epochs become steps. Raises ParamsError if that is impossible, the plan lacks this stage, or the steps
    cannot be divided among its stages.
    """
    place, method = setting_place(params, run.dataset, run.setting), copy_tree(params.methods[run.method_file])
    protocol, patterns = protocol_in(params.protocols[run.protocol], place)
    method.setdefault("addons", [])
    if method["unlabeled_ratio"]:  # a supervised method stays supervised
        method["unlabeled_ratio"] = protocol.get("unlabeled_ratio", method["unlabeled_ratio"])
    optimizer = {**protocol["optimizer"], **(own := method.get("optimizer", {}))}
    method_source = OptionSource(params.file("method", method.get("of", run.method_file)))
    protocol_source = OptionSource(params.file("protocol", run.protocol))
    sources = {f"optimizer.{key}": protocol_source for key in protocol["optimizer"]}
    sources |= {key: protocol_source._replace(block=("where", pattern)) for key, pattern in patterns.items()}
    sources |= {f"optimizer.{key}": method_source for key in own}
    sources |= {f"{part['name']}.{key}": method_source for _, part in components(method) for key in part}
    shared = {"optimizer": optimizer, "network": protocol["network"]}

    def apply(changes: Mapping[str, Any], source: OptionSource) -> None:
        sources.update({key: source for key, value in changes.items() if set_option(key, value, method, shared)})

    for pattern, changes in matching(method.get("where", {}), place):
        apply(changes, OptionSource(method_source.file, ("where", pattern)))
    apply(protocol.get("overrides", {}), OptionSource(protocol_source.file, ("overrides",)))
    apply(method.get("change", {}), OptionSource(params.file("method", run.method_file), ("change",)))
    blocks = {part["name"]: part for _, part in components(method)} | {"optimizer": optimizer}
    protocol, given = set_steps(_epochs(params, run, method["unlabeled_ratio"]), protocol, blocks)
    stage = _find_stage(run, method, protocol["steps"])
    method.setdefault("optimizer", {})  # a plan changes the optimizer of any method
    if stage.optimizer:
        for option in optimizer.keys() - WEIGHT_DECAY:
            del optimizer[option]
    changes = {**stage.changes, **{f"optimizer.{option}": value for option, value in stage.optimizer.items()}}
    apply(changes, OptionSource(method_source.file, ("plan",)))
    given = {key: value for key, value in given.items() if key not in changes}
    return TracedMethod(method, protocol, optimizer, stage, sources, given)


def _epochs(params: Params, run: Run, unlabeled_ratio: int) -> Epochs:
    """Return the epochs of a run; without a setting, no value may be in epochs."""
    batch_size = params.protocols[run.protocol]["batch_size"]
    images = image_numbers(params.datasets[run.dataset], setting_config(params, *run[:2])) if run.setting else {}
    return Epochs(run[:4], images, {"labeled": batch_size, "unlabeled": batch_size * unlabeled_ratio})


def _find_stage(run: Run, method: Tree, steps: int) -> Stage:
    stages = {stage.name: stage for stage in stages_of(method, steps)}
    if run.stage not in stages:
        names = [name for name in stages if name]
        raise ParamsError(
            f"{run.id}: unknown stage '{run.stage}' of '{run.method_file}'{did_you_mean(run.stage, names)}"
        )
    return stages[run.stage]


def _draw_seed(run: Run) -> int:
    """Return the seed of networks, batches and views: the run's seed, or a different one for each earlier stage."""
    if not run.stage:
        return run.seed
    return int.from_bytes(hashlib.sha256(f"{run.seed}/{run.stage}".encode()).digest()[:4], "little")
