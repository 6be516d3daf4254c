"""params + run -> the resolved configuration: just what this run uses, in one JSON object."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from daso.config.params import Params, Tree, did_you_mean, parts, put
from daso.config.registry import PLANS, load
from daso.data.files import digest
from daso.errors import ParamsError
from daso.methods.plans import Expanded, HeldOut, Plan, Stage, needs_estimate

SEEDS = 2**32 - 1  # the largest that numpy's legacy generator takes


class Run(NamedTuple):
    """The parts of a run's id."""

    dataset: str
    setting: str
    protocol: str
    method: str  # the name of its file, with `.<stage>` where it comes before the last of a plan's stages
    seed: int

    @property
    def recipe(self) -> str:
        """The name of the method's file."""
        return self.method.partition(".")[0]

    @property
    def stage(self) -> str:
        """The name of the stage, nothing for the last one."""
        return self.method.partition(".")[2]

    @property
    def id(self) -> str:
        """`<dataset>/<setting>/<protocol>/<method>/s<seed>`."""
        return f"{self.dataset}/{self.setting}/{self.protocol}/{self.method}/s{self.seed}"


def parse_run(params: Params, run_id: str) -> Run:
    """The run of an id; raise ParamsError when a part of it is not known."""
    parts = run_id.strip("/").split("/")
    if len(parts) != 5 or parts[4][:1] != "s" or not parts[4][1:].isdecimal() or len(run_id) > 1000:
        raise ParamsError(f"{run_id}: a run is written <dataset>/<setting>/<protocol>/<method>/s<seed>")
    run = Run(parts[0], parts[1], parts[2], parts[3], int(parts[4][1:]))
    for kind, word, known in (
        ("dataset", run.dataset, params.datasets),
        ("setting", run.setting, params.datasets.get(run.dataset, {}).get("settings", {})),
        ("protocol", run.protocol, params.protocols),
        ("method", run.recipe, params.methods),
    ):
        if word not in known:
            raise ParamsError(f"{run_id}: there is no {kind} '{word}'{did_you_mean(word, known)}")
    written = run._replace(method=run.method.rstrip(".")).id
    if written != run_id.strip("/"):
        raise ParamsError(f"{run_id}: this run is written {written}")
    if run.seed > SEEDS:
        raise ParamsError(f"{run_id}: a seed is a number from 0 to {SEEDS}")
    resolve(params, run)  # whether it has that stage
    return run


def suite_of(params: Params, name: str) -> Tree:
    """The suite of that name; raise ParamsError when there is none."""
    if name not in params.suites:
        raise ParamsError(f"{params.root}/suites: there is no suite '{name}'{did_you_mean(name, params.suites)}")
    return params.suites[name]


def runs(params: Params, suite: str) -> list[Run]:
    """Every run that a suite's tables need, once each, in their order."""
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
    """The runs whose results a run takes: an earlier stage, or another method's."""
    plan = resolve(params, run)["plan"]
    return [parse_run(params, part["of"]) for part in plan.values() if isinstance(part, dict) and "of" in part]


def with_upstream(params: Params, these: Iterable[Run], takers: Sequence[Run] = ()) -> list[Run]:
    """These runs and all whose results they take, once each, lenders first; `takers` are those that led to them.

    Raises ParamsError when a run takes from itself.
    """
    found: dict[Run, None] = {}
    for run in these:
        if run in takers:
            raise ParamsError(
                f"{run.id}: takes from itself, by way of {takers[-1].id}; name another method in its plan"
            )
        if run not in found:
            found |= dict.fromkeys([*with_upstream(params, upstream_runs(params, run), (*takers, run)), run])
    return list(found)


def expand_suite(params: Params, suite: str) -> Tree:
    """A suite with every name in it replaced by what it names: what a report needs to know."""
    tree = suite_of(params, suite)

    def table_of(table: Tree) -> Tree:
        dataset = table["dataset"]
        return {
            **table,
            "dataset": {"name": dataset, **params.datasets[dataset]},
            "settings": [setting_config(params, dataset, setting) for setting in table["settings"]],
            "methods": [{"name": method, **params.methods[method]} for method in table["methods"]],
        }

    protocol = {"name": tree["protocol"], "note": "", **params.protocols[tree["protocol"]]}
    tables = [table_of(table) for table in tree["tables"]]
    return {"name": suite, "note": "", **tree, "protocol": protocol, "tables": tables}


def data_config(params: Params, dataset: str) -> Tree:
    """What the store of a dataset is made from."""
    tree = params.datasets[dataset]
    return {"dataset": dataset, **{key: tree[key] for key in ("source", "num_classes", "image_size")}}


def split_config(params: Params, dataset: str, setting: str, seed: int) -> Tree:
    """What a split is drawn from; a setting's own holdout comes before its dataset's."""
    tree, own = params.datasets[dataset], setting_config(params, dataset, setting)
    kept = {key: tree[key] for key in ("num_classes", "holdout", "class_order")}
    kept["holdout"] = own.pop("holdout", kept["holdout"])
    return {"dataset": dataset, "setting": own, "seed": seed, **kept}


def setting_config(params: Params, dataset: str, setting: str) -> Tree:
    """A setting with nothing left to default."""
    return {"name": setting, "reversed": False, **params.datasets[dataset]["settings"][setting]}


def resolve(params: Params, run: Run) -> Tree:
    """The resolved configuration of a run, without its key; what `traced` says is raised."""
    dataset, protocol = params.datasets[run.dataset], params.protocols[run.protocol]
    method, optimizer, stage, _ = traced(params, run)
    return {
        "run": run.id,
        "dataset": {
            "name": run.dataset,
            **{key: dataset[key] for key in ("num_classes", "image_size", "mean", "std", "augment")},
        },
        "setting": setting_config(params, run.dataset, run.setting),
        "split_config_sha256": digest(split_config(params, run.dataset, run.setting, run.seed)),
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
        "plan": _plan(run, stage),
        "seed": run.seed,
        "draw_seed": _draw_seed(run),
    }


class Source(NamedTuple):
    """Where a value stands: a file, and the block in it, such as ("where", "digits/*") or ("overrides",)."""

    file: str
    block: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ", ".join([self.file, *([" ".join(self.block)] if self.block else [])])


class Traced(NamedTuple):
    """A method as its run has it, and where the value of each `component.option` comes from."""

    method: Tree
    optimizer: Tree
    stage: Stage
    sources: dict[str, Source]


def traced(params: Params, run: Run) -> Traced:
    """The method of a run, with nothing left to choose; a run of no dataset and setting has what no `where` changes.

    The protocol's optimiser comes first, then the method's own, then the method's `where` entries that match
    `<dataset>/<setting>` in their order, then the protocol's overrides, then what an ablation changes, so that it holds
    in every setting and protocol, and last what the plan changes in this stage. A protocol's ratio of unlabeled to
    labeled images holds for every method that takes any.
    Raises ParamsError when the plan has no such stage, or cannot share out the steps.
    """
    protocol, method = params.protocols[run.protocol], copy_tree(params.methods[run.recipe])
    method.setdefault("addons", [])
    if method["unlabeled_ratio"]:  # a method of labels alone stays one
        method["unlabeled_ratio"] = protocol.get("unlabeled_ratio", method["unlabeled_ratio"])
    own = method.get("optimizer", {})
    optimizer = {**protocol["optimizer"], **own}
    mine = Source(params.file("method", method.get("of", run.recipe)))
    theirs = Source(params.file("protocol", run.protocol))
    sources = {f"optimizer.{key}": mine if key in own else theirs for key in optimizer}
    sources |= {f"{part['name']}.{key}": mine for _, part in parts(method) for key in part}

    def apply(changes: Mapping[str, Any], source: Source) -> None:
        sources.update({key: source for key, value in changes.items() if put(key, value, method, optimizer)})

    for pattern, changes in method.get("where", {}).items():
        if fnmatchcase(f"{run.dataset}/{run.setting}", pattern):
            apply(changes, Source(mine.file, ("where", pattern)))
    apply(protocol.get("overrides", {}), Source(theirs.file, ("overrides",)))
    apply(method.get("change", {}), Source(params.file("method", run.recipe), ("change",)))
    stage = _stage(run, method, protocol["steps"])
    apply(stage.changes, Source(mine.file, ("plan",)))
    return Traced(method, optimizer, stage, sources)


def copy_tree(tree: Any) -> Any:
    """A copy of dicts and lists at every level; `copy.deepcopy` takes five times as long."""
    if isinstance(tree, dict):
        return {key: copy_tree(value) for key, value in tree.items()}
    return [copy_tree(value) for value in tree] if isinstance(tree, list) else tree


def plan_of(method: Tree) -> Plan:
    """The plan that a method names; without one it is a single stage."""
    options = dict(method.get("plan", {}))
    return load(PLANS[options.pop("name")])(**options) if options else Plan()


def stages_of(method: Tree, steps: int) -> tuple[Stage, ...]:
    """The stages of a method whose options are final, under a protocol of so many steps."""
    parts = (method["learner"], *method["addons"])
    options = {f"{part['name']}.{key}": value for part in parts for key, value in part.items() if key != "name"}
    stages = plan_of(method).stages(steps, options)
    if needs_estimate(options) and not stages[-1].estimate:
        raise ParamsError(
            "add-on 'darp': prior 'estimated' waits for an estimate that this method's plan does not make; say "
            "plan: {name: prior, by: supervised_survey}, or give sizes by prior 'given'"
        )
    return stages


def _stage(run: Run, method: Tree, steps: int) -> Stage:
    stages = {stage.name: stage for stage in stages_of(method, steps)}
    if run.stage not in stages:
        words = [name for name in stages if name]
        raise ParamsError(f"{run.id}: '{run.recipe}' has no stage '{run.stage}'{did_you_mean(run.stage, words)}")
    return stages[run.stage]


def _plan(run: Run, stage: Stage) -> Tree:
    """What the stage takes from other runs, by their ids, and what it is to leave for others."""
    plan: Tree = {}
    match stage.split:
        case Expanded(by, exponent):
            plan["split"] = {"of": run._replace(method=f"{run.recipe}.{by}").id, "exponent": exponent}
        case HeldOut(per_class):
            plan["split"] = {"held_out": per_class}
    if stage.encoder:
        upstream_run = run._replace(method=stage.encoder.of)
        plan["encoder"] = {"of": upstream_run.id, "statistics": stage.encoder.statistics}
    if stage.estimate:
        plan["estimate"] = {"of": run._replace(method=stage.estimate.of).id, "into": stage.estimate.into}
    if stage.survey:
        plan["survey"] = True
    if stage.name:
        plan["answers"] = True  # to the unlabeled images
    return plan


def _draw_seed(run: Run) -> int:
    """What networks, batches and views are drawn with: the seed, but no two generations start alike."""
    if not run.stage:
        return run.seed
    return int.from_bytes(hashlib.sha256(f"{run.seed}/{run.stage}".encode()).digest()[:4], "little")
