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
    """The resolved configuration of a run, without its key.

    The protocol's optimiser comes first, then the method's own, then the method's `where` entries that match
    `<dataset>/<setting>` in their order, and last the protocol's overrides.
    """
    dataset, protocol = params.datasets[run.dataset], params.protocols[run.protocol]
    method = copy.deepcopy(params.methods[run.method])
    method.setdefault("addons", [])
    optimizer = {**protocol["optimizer"], **method.get("optimizer", {})}
    for key, value in _changes(run, method, protocol):
        _apply(key, value, method, optimizer)
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


def _changes(run: Run, method: Tree, protocol: Tree) -> Iterator[tuple[str, Any]]:
    for pattern, changes in method.get("where", {}).items():
        if fnmatchcase(f"{run.dataset}/{run.setting}", pattern):
            yield from changes.items()
    yield from protocol.get("overrides", {}).items()


def _apply(key: str, value: Any, method: Tree, optimizer: Tree) -> None:
    """Set `component.option` where the method has that component, `optimizer.option` where it has its own block."""
    component, option = key.split(".")
    if component == "optimizer":
        if "optimizer" in method:
            optimizer[option] = value
        return
    for part in (method["learner"], *method["addons"]):
        if part["name"] == component:
            part[option] = value
