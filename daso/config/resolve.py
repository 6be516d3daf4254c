"""params + run -> the resolved configuration: just what this run uses, in one JSON object."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from daso.config.params import Params, Tree, nearest
from daso.errors import ParamsError


class Run(NamedTuple):
    """The parts of a run's id."""

    dataset: str
    setting: str
    protocol: str
    method: str
    seed: int

    @property
    def id(self) -> str:
        """`<dataset>/<setting>/<protocol>/<method>/s<seed>`."""
        return f"{self.dataset}/{self.setting}/{self.protocol}/{self.method}/s{self.seed}"


def parse_run(params: Params, run_id: str) -> Run:
    """The run of an id; raise ParamsError when a part of it is not known."""
    parts = run_id.strip("/").split("/")
    if len(parts) != 5 or parts[4][:1] != "s" or not parts[4][1:].isdecimal():
        raise ParamsError(f"{run_id}: a run is written <dataset>/<setting>/<protocol>/<method>/s<seed>")
    run = Run(parts[0], parts[1], parts[2], parts[3], int(parts[4][1:]))
    for kind, word, known in (
        ("dataset", run.dataset, params.datasets),
        ("setting", run.setting, params.datasets.get(run.dataset, {}).get("settings", {})),
        ("protocol", run.protocol, params.protocols),
        ("method", run.method, params.methods),
    ):
        if word not in known:
            raise ParamsError(f"{run_id}: there is no {kind} '{word}'{nearest(word, known)}")
    return run


def suite_of(params: Params, name: str) -> Tree:
    """The suite of that name; raise ParamsError when there is none."""
    if name not in params.suites:
        raise ParamsError(f"{params.root}/suites: there is no suite '{name}'{nearest(name, params.suites)}")
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


def expanded(params: Params, suite: str) -> Tree:
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
    """What a split is drawn from."""
    tree = params.datasets[dataset]
    kept = {key: tree[key] for key in ("num_classes", "holdout", "class_order")}
    return {"dataset": dataset, "setting": setting_config(params, dataset, setting), "seed": seed, **kept}


def setting_config(params: Params, dataset: str, setting: str) -> Tree:
    """A setting with nothing left to default."""
    return {"name": setting, "reversed": False, **params.datasets[dataset]["settings"][setting]}


def resolve(params: Params, run: Run) -> Tree:
    """The resolved configuration of a run, without its key."""
    dataset, protocol = params.datasets[run.dataset], params.protocols[run.protocol]
    method, optimizer, _ = recipe(params, run.method, run.protocol, f"{run.dataset}/{run.setting}")
    return {
        "run": run.id,
        "dataset": {
            "name": run.dataset,
            **{key: dataset[key] for key in ("num_classes", "image_size", "mean", "std", "augment")},
        },
        "setting": setting_config(params, run.dataset, run.setting),
        "protocol": {
            "name": run.protocol,
            **{
                key: protocol[key]
                for key in ("steps", "batch_size", "precision", "network", "teacher", "evaluation", "checkpoint_every")
            },
        },
        "method": {"name": run.method, **{key: method[key] for key in ("unlabeled_ratio", "learner", "addons")}},
        "optimizer": optimizer,
        "seed": run.seed,
    }


class Source(NamedTuple):
    """Where a value stands: a file, and the block in it, such as ("where", "digits/*") or ("overrides",)."""

    file: str
    block: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ", ".join([self.file, *([" ".join(self.block)] if self.block else [])])


class Recipe(NamedTuple):
    """A method as a protocol and a setting leave it, and where the value of each `component.option` comes from."""

    method: Tree
    optimizer: Tree
    sources: dict[str, Source]


def recipe(params: Params, name: str, protocol: str, place: str = "") -> Recipe:
    """The method `name` under a protocol, at `place`, a <dataset>/<setting>.

    The protocol's optimiser comes first, then the method's own, then the method's `where` entries that match the place
    in their order, and last the protocol's overrides.
    """
    tree, method = params.protocols[protocol], copy.deepcopy(params.methods[name])
    method.setdefault("addons", [])
    own = method.get("optimizer", {})
    optimizer = {**tree["optimizer"], **own}
    mine, theirs = Source(params.file("method", name)), Source(params.file("protocol", protocol))
    sources = {f"optimizer.{key}": mine if key in own else theirs for key in optimizer}
    sources |= {f"{part['name']}.{key}": mine for part in (method["learner"], *method["addons"]) for key in part}
    for key, value, source in _changes(params, name, protocol, place):
        if _apply(key, value, method, optimizer):
            sources[key] = source
    return Recipe(method, optimizer, sources)


def _changes(params: Params, name: str, protocol: str, place: str) -> Iterator[tuple[str, Any, Source]]:
    """Every `component.option` that is changed, its value, and where that is said."""
    for pattern, changes in params.methods[name].get("where", {}).items():
        source = Source(params.file("method", name), ("where", pattern))
        if fnmatchcase(place, pattern):
            yield from ((key, value, source) for key, value in changes.items())
    source = Source(params.file("protocol", protocol), ("overrides",))
    yield from ((key, value, source) for key, value in params.protocols[protocol].get("overrides", {}).items())


def _apply(key: str, value: Any, method: Tree, optimizer: Tree) -> bool:
    """Set `component.option` where the method has that component, `optimizer.option` where it has its own block."""
    component, option = key.split(".")
    if component == "optimizer":
        mine = [optimizer] if "optimizer" in method else []
    else:
        mine = [part for part in (method["learner"], *method["addons"]) if part["name"] == component]
    for part in mine:
        part[option] = value
    return bool(mine)
