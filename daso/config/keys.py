"""Compute the key of every output: the digest of its configuration, its code and the keys of its inputs.

An output is stale if its key has changed, and only then. Versions of Python and libraries are recorded with the results
but are not part of a key, so that an upgrade does not retrain everything.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from daso import paths
from daso.aliases import Tree
from daso.config.code import TRAIN, closure, code_digest
from daso.config.fidelity import marks_digest
from daso.config.fit import CONTROL, fitted_options
from daso.config.network import encode_config
from daso.config.open_sets import stores_of
from daso.config.params import Params, copy_tree
from daso.config.registry import NETWORKS, specs_of
from daso.config.resolve import (
    Run,
    data_config,
    expand_suite,
    parse_run,
    resolve,
    runs,
    split_config,
)
from daso.config.signature import ROOT
from daso.data.files import digest
from daso.data.folder_digest import digest_folder, source_path
from daso.data.oracle_record import SHA256, read_oracle_record
from daso.engine import journal
from daso.errors import DataError, ParamsError, did_you_mean
from daso.paths import MANIFEST, RESULT_FILE, run_folder, store_folder

# Entry points of the code of each step of the workflow. The command line only passes paths on and is not part of a key.
ENTRIES = {
    "data": ("daso.data.catalog",),
    "encode": ("daso.engine.encode", "daso.data.features"),
    "split": ("daso.data.split", "daso.data.store"),
    "fit": ("daso.runs.fit",),
    "train": TRAIN,
    "evaluate": ("daso.engine.metrics",),
    "corrections": ("daso.runs.corrections",),
    "report": ("daso.report.suite_report",),
    "contradictions": ("daso.report.contradictions_page",),
    "derive": ("daso.data.derive",),
    "estimate": ("daso.engine.estimate",),
}
# Files that a report reads besides params/ and metrics/: files of the code, and archived runs of the project.
REPORT_INPUTS = ("reports/templates", "reports/paper", "docs/fidelity.md", "pyproject.toml")
ARCHIVE = "reports/measured"
PLANS_FOLDER = "journal/plans"  # forecast cost of the runs of each suite
REFERENCES = "reports/reference"  # numbers of some suites as this project measured them
# Options of sources in own folders that change no image.
LOCATION_OPTIONS = ("path", "override", "skip_unreadable", "archives", "lists_url", "oracle_lists")
# Options of a protocol that change no result; the network's `sha256` identifies its pretrained weights.
NOT_IN_KEY = ("checkpoint_every", "network.weights")


class Keys:
    """Keys of every output, for one state of params/ and of the code below `root`."""

    def __init__(self, params: Params, root: Path = ROOT) -> None:
        self.params, self.root = params, root
        self._code: dict[tuple[str, ...], str] = {}
        self._listings: dict[str, str] = {}
        self._trained: dict[Run, str] = {}
        self._configs: dict[Run, Tree] = {}

    def data(self, dataset: str) -> str:
        """Return the key of a dataset's store; for own images it depends on them or on their lists, not on the path."""
        config, listings = data_config(self.params, dataset), self._listing(dataset)
        config.pop("images", None)  # only checked
        if "path" in config["source"]:
            source = {name: value for name, value in config["source"].items() if name not in LOCATION_OPTIONS}
            config = {**config, "source": source}
        return self._key("data", config, *listings)

    def encode(self, dataset: str, protocol: str) -> str:
        """Return the key of a dataset's features."""
        return self._key("encode", self.encoded_rows(dataset, protocol), self.data(dataset))

    def encoded_rows(self, dataset: str, protocol: str) -> str:
        """Return the folder of rows of features: the key of network, augmentation and code, whatever the images are.

        Rows of a dataset that must not be redistributed have folders of their own, which DVC ignores.
        """
        config = encode_config(self.params, dataset, protocol)
        network = {name: value for name, value in config["network"].items() if name != "weights"}
        views = {"network": network, "image_size": config["image_size"], "augment": config["augment"]}
        key = self._key("encode", views, specs=(NETWORKS[network["name"]],))
        return key if self.params.datasets[dataset].get("redistribute", True) else f"{dataset}-{key}"

    def split(self, dataset: str, setting: str, seed: int) -> str:
        """Return the key of a split."""
        config = split_config(self.params, dataset, setting, seed)
        return self._key("split", config, *map(self.data, stores_of(self.params, dataset, setting)))

    def fit(self, run: Run) -> str:
        """Return the key of the values that are fitted to the drawn split of a run under its protocol."""
        return str(self.fit_config(run)["key"])

    def fit_config(self, run: Run) -> Tree:
        """Return the configuration of a fit: that of the run whose recipe is fitted, the grid, and the fit's key.

        Raises ParamsError if the protocol has no fit.
        """
        if "fit" not in self.params.protocols[run.protocol]:
            raise ParamsError(f"{self.params.file('protocol', run.protocol)}: missing fit; add it, or request no fit")
        config = resolve(self.params, run._replace(method=CONTROL))
        config["plan"] = {"features": {"key": self.encode(run.dataset, run.protocol)}}
        config["fit"] = copy_tree(self.params.protocols[run.protocol]["fit"])
        in_key = {**config, "protocol": _in_key(config["protocol"])}
        key = self._key("fit", in_key, self.split(run.dataset, run.setting, run.seed))
        return {**config, "key": key}

    def derived(self, run: Run) -> str:
        """Return the key of a derived split, on which a stage of a plan trains instead of the split as drawn."""
        plan = self._config(run)["plan"]
        if "split" not in plan:
            raise ParamsError(f"{run.id}: has no derived split; create the drawn split {paths.drawn_split(run.id)}")
        drawn = self.split(run.dataset, run.setting, run.seed)
        return self._key("derive", [plan["split"], run.seed], drawn)

    def estimate(self, run: Run) -> str:
        """Return the key of a survey's estimate."""
        return self._revalidated(run, self._key("estimate", [], self.train(run)))

    def train(self, run: Run) -> str:
        """Return the key of a trained run, which covers only the code of its own components."""
        if run not in self._trained:
            config = self._config(run)
            specs = specs_of(config)
            config = {**config, "protocol": _in_key(config["protocol"])}
            derived = "split" in config["plan"]
            split = self.derived(run) if derived else self.split(run.dataset, run.setting, run.seed)
            self._trained[run] = self._revalidated(run, self._key("train", [config, specs], split, specs=specs))
        return self._trained[run]

    def _config(self, run: Run) -> Tree:
        """Return the cached resolved configuration of a run with the keys of its upstream runs; do not change it."""
        if run not in self._configs:
            config = resolve(self.params, run)
            self._check_super_classes(run.dataset, config["dataset"].get("super_classes", {}))
            if "features" in config["plan"]:
                config["plan"]["features"] = {"key": self.encode(run.dataset, run.protocol)}
            if "fit" in config["plan"]:
                change = self.params.methods[run.method_file].get("change", {})
                config["plan"]["fit"] = {"key": self.fit(run), "into": fitted_options(config["method"], change)}
            for name, part in config["plan"].items():
                if isinstance(part, dict) and "of" in part:
                    upstream = parse_run(self.params, part["of"])
                    part["key"] = self.estimate(upstream) if name == "estimate" else self.train(upstream)
            self._configs[run] = config
        return self._configs[run]

    def evaluate(self, run: Run) -> str:
        """Return the key of a run's metrics, which oracle labels beside its images change."""
        oracle = read_oracle_record(self.params.root.parent / paths.store(run.id))
        return self._key("evaluate", [] if oracle is None else [oracle[SHA256]], self.train(run))

    def corrections(self, run: Run) -> str:
        """Return the key of the corrections of a run after training."""
        return self._key("corrections", [], self.train(run))

    def report(self, suite: str) -> str:
        """Return the key of a suite's report: tables, texts, templates, archived runs, cost, reference and its inputs.

        These are the metrics and the corrections of its runs.
        """
        own = runs(self.params, suite)
        made_from = [key for run in own for key in (self.evaluate(run), self.corrections(run))]
        paths = [self.params.root.parent / folder / f"{suite}.json" for folder in (PLANS_FOLDER, REFERENCES)]
        digests = [hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "" for path in paths]
        return self._key("report", [expand_suite(self.params, suite), self._report_files, digests], *made_from)

    def contradictions(self) -> str:
        """Return the key of the page of contradictions: published numbers, their sources and templates."""
        return self._key("contradictions", self._digests(*((self.root, self.root / name) for name in REPORT_INPUTS)))

    def resolved(self, run: Run) -> Tree:
        """Return the content of `config.json`: a run's resolved configuration, its key and the digest of its code."""
        config = self._config(run)
        return {**copy_tree(config), "key": self.train(run), "code": self._code_of("train", specs_of(config))}

    def modules(self, step: str, specs: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Return the modules of a step of the workflow and of the components `specs`, each "module:Class"."""
        return closure([*ENTRIES[step], *(spec.partition(":")[0] for spec in specs)], self.root)

    def _check_super_classes(self, dataset: str, super_classes: Mapping[str, Sequence[str]]) -> None:
        """Raise ParamsError if super-classes name a class that current stored images do not have.

        A run with such super-classes would fail in its job, for which Snakemake has removed its finished results.
        """
        key = self.params.root.parent / store_folder(dataset) / "key"
        if not super_classes or not key.exists() or key.read_text(encoding="utf-8").strip() != self.data(dataset):
            return
        classes = _recorded_manifest(self.params.root.parent, dataset).get("classes", ())
        for name in itertools.chain(*super_classes.values()):
            if name not in classes:
                file = self.params.file("dataset", dataset)
                raise ParamsError(f"{file}: super_classes: unknown class '{name}'{did_you_mean(name, classes)}")

    def _listing(self, dataset: str) -> tuple[str, ...]:
        """Return the listing of an image folder; if the folder is missing, the listing that the store was made from."""
        source = self.params.datasets[dataset]["source"]
        if source["kind"] != "image_folder":
            return ()
        if dataset not in self._listings:
            path = Path(source_path(source)).expanduser()
            present = digest_folder(path, super_class_folders=source.get("super_class_folders", False))
            if present is None and (name := source.get("override")) and os.environ.get(name):
                raise DataError(f"{path}: missing, but {name} points to it; correct or unset {name}")
            self._listings[dataset] = (
                _recorded_listing(self.params.root.parent, dataset) if present is None else present
            )
        return (self._listings[dataset],)

    def _revalidated(self, run: Run, key: str) -> str:
        """Return the key of the run's results if these, from earlier code, were revalidated for `key`; else `key`."""
        root = self.params.root.parent
        return journal.revalidated_key(root / journal.entry_path(run.id), root / run_folder(run.id) / RESULT_FILE, key)

    def _key(self, step: str, config: object, *inputs: str, specs: tuple[str, ...] = ()) -> str:
        return digest([step, config, self._code_of(step, specs), *inputs])[:16]

    def _code_of(self, step: str, specs: tuple[str, ...]) -> str:
        if (step, *specs) not in self._code:
            self._code[(step, *specs)] = code_digest(self.modules(step, specs), self.root)
        return self._code[(step, *specs)]

    @cached_property
    def _report_files(self) -> list[list[str]]:
        project = self.params.root.parent
        folders = [*((self.root, self.root / name) for name in REPORT_INPUTS), (project, project / ARCHIVE)]
        return [*self._digests(*folders), ["marks", marks_digest(self.root)]]

    @staticmethod
    def _digests(*folders: tuple[Path, Path]) -> list[list[str]]:
        """Return path and digest of every file of the folders, each given with the folder that paths start from."""
        files = [(root, path) for root, name in folders for path in (name, *sorted(name.rglob("*"))) if path.is_file()]
        return [
            [path.relative_to(root).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()] for root, path in files
        ]


def _in_key(tree: Mapping[str, Any], prefix: str = "") -> Tree:
    """Return a protocol without the options of NOT_IN_KEY."""
    kept = {name: value for name, value in tree.items() if f"{prefix}{name}" not in NOT_IN_KEY}
    return {
        name: _in_key(value, f"{prefix}{name}.") if isinstance(value, dict) else value for name, value in kept.items()
    }


def _recorded_listing(project: Path, dataset: str) -> str:
    try:
        return str(_recorded_manifest(project, dataset)["source"]["listing"])
    except (KeyError, TypeError):
        return ""  # there is no store, or its source is not an image folder


def _recorded_manifest(project: Path, dataset: str) -> Tree:
    """Return the manifest of a dataset's store, {} if there is none."""
    try:
        manifest: Tree = json.loads((project / store_folder(dataset) / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return manifest
