"""A key for every output: the digest of what it is made from, that is configuration, code and the keys of its inputs.

An output whose key has changed is stale; nothing else makes it so. Versions of Python and libraries are recorded with
the results and are in no key: an upgrade does not retrain everything.
"""

from __future__ import annotations

import hashlib
import json
import os
from functools import cached_property
from pathlib import Path

from daso import paths
from daso.config.code import TRAIN, closure, digest_of
from daso.config.params import Params, Tree
from daso.config.registry import specs_of
from daso.config.resolve import Run, copy_tree, data_config, expand_suite, parse_run, resolve, runs, split_config
from daso.config.signature import ROOT
from daso.data.files import digest
from daso.data.folder_digest import listing, place
from daso.engine import journal
from daso.errors import DataError, ParamsError

# Where the code of each stage begins. The command line only hands paths over and is in no key.
ENTRIES = {
    "data": ("daso.data.catalog",),
    "split": ("daso.data.split", "daso.data.store"),
    "train": TRAIN,
    "evaluate": ("daso.engine.metrics",),
    "report": ("daso.report.suite_report",),
    "derive": ("daso.data.derive",),
    "estimate": ("daso.engine.survey",),
}
# What a report reads besides params/ and metrics/: files that come with the code, and runs that the project keeps.
REPORT_FILES = ("reports/templates", "reports/paper")
MEASURED = "reports/measured"
PLANS = "journal/plans"  # what the runs of a suite were expected to take
# Where images lie, and whether unreadable ones stop the reading, change no image.
ABOUT_THE_PLACE = ("path", "override", "skip_unreadable")
# How often a run saves itself moves no number.
IMMATERIAL = ("checkpoint_every",)


class Keys:
    """Keys of every stage, for one state of params/ and of the code below `root`."""

    def __init__(self, params: Params, root: Path = ROOT) -> None:
        self.params, self.root = params, root
        self._code: dict[tuple[str, ...], str] = {}
        self._listings: dict[str, str] = {}
        self._trained: dict[Run, str] = {}
        self._configs: dict[Run, Tree] = {}

    def data(self, dataset: str) -> str:
        """The key of a dataset's store: of images of one's own what they are, not where they lie."""
        config, listed = data_config(self.params, dataset), self._listing(dataset)
        if listed:
            source = {name: value for name, value in config["source"].items() if name not in ABOUT_THE_PLACE}
            config = {**config, "source": source}
        return self._key("data", config, *listed)

    def split(self, dataset: str, setting: str, seed: int) -> str:
        """The key of a split."""
        config = split_config(self.params, dataset, setting, seed)
        return self._key("split", config, self.data(dataset))

    def derived(self, run: Run) -> str:
        """The key of the split of a stage that does not train on the split as drawn."""
        plan = self._config(run)["plan"]
        if "split" not in plan:
            raise ParamsError(f"{run.id}: has no split of its own; make that of its seed, {paths.drawn_split(run.id)}")
        way, drawn = plan["split"], self.split(run.dataset, run.setting, run.seed)
        return self._key("derive", [way, run.seed], drawn)

    def estimate(self, run: Run) -> str:
        """The key of what a survey finds."""
        return self._kept(run, self._key("estimate", [], self.train(run)))

    def train(self, run: Run) -> str:
        """The key of a trained run; only the code that its own method names is in it."""
        if run not in self._trained:
            config = self._config(run)
            specs = specs_of(config)
            material = {name: value for name, value in config["protocol"].items() if name not in IMMATERIAL}
            config = {**config, "protocol": material}
            derived = "split" in config["plan"]
            split = self.derived(run) if derived else self.split(run.dataset, run.setting, run.seed)
            self._trained[run] = self._kept(run, self._key("train", [config, specs], split, specs=specs))
        return self._trained[run]

    def _config(self, run: Run) -> Tree:
        """The resolved configuration of a run, with the keys of its upstream runs; made once, not to be changed."""
        if run not in self._configs:
            config = resolve(self.params, run)
            for name, part in config["plan"].items():
                if isinstance(part, dict) and "of" in part:
                    upstream_run = parse_run(self.params, part["of"])
                    part["key"] = self.estimate(upstream_run) if name == "estimate" else self.train(upstream_run)
            self._configs[run] = config
        return self._configs[run]

    def evaluate(self, run: Run) -> str:
        """The key of a run's metrics."""
        return self._key("evaluate", [], self.train(run))

    def report(self, suite: str) -> str:
        """The key of a suite's report: tables, titles and notes, templates, kept runs, its plan and its metrics."""
        metrics = (self.evaluate(run) for run in runs(self.params, suite))
        plan = self.params.root.parent / PLANS / f"{suite}.json"
        planned = hashlib.sha256(plan.read_bytes()).hexdigest() if plan.exists() else ""
        return self._key("report", [expand_suite(self.params, suite), self._report_files, planned], *metrics)

    def resolved(self, run: Run) -> Tree:
        """The resolved configuration of a run with its key and the digest of its code: what `config.json` holds."""
        config = self._config(run)
        return {**copy_tree(config), "key": self.train(run), "code": self._code_of("train", specs_of(config))}

    def modules(self, stage: str, specs: tuple[str, ...] = ()) -> tuple[str, ...]:
        """The modules of a stage and of the components `specs`, each "module:Class"."""
        return closure([*ENTRIES[stage], *(spec.partition(":")[0] for spec in specs)], self.root)

    def _listing(self, dataset: str) -> tuple[str, ...]:
        """The listing of an image folder; without the folder, the one that the store was made from."""
        source = self.params.datasets[dataset]["source"]
        if source["kind"] != "image_folder":
            return ()
        if dataset not in self._listings:
            path = Path(place(source)).expanduser()
            found = listing(path)
            if found is None and (name := source.get("override")) and os.environ.get(name):
                raise DataError(f"{path}: there is no such file or folder; {name} names it, set it right or unset it")
            self._listings[dataset] = _recorded(self.params.root.parent, dataset) if found is None else found
        return (self._listings[dataset],)

    def _kept(self, run: Run, key: str) -> str:
        """Return the key of finished results that were revalidated for this one, which earlier code has made."""
        root = self.params.root.parent
        return journal.revalidated_key(root / journal.entry_path(run.id), root / "runs" / run.id / "train.json", key)

    def _key(self, stage: str, config: object, *inputs: str, specs: tuple[str, ...] = ()) -> str:
        return digest([stage, config, self._code_of(stage, specs), *inputs])[:16]

    def _code_of(self, stage: str, specs: tuple[str, ...]) -> str:
        if (stage, *specs) not in self._code:
            self._code[(stage, *specs)] = digest_of(self.modules(stage, specs), self.root)
        return self._code[(stage, *specs)]

    @cached_property
    def _report_files(self) -> list[list[str]]:
        project = self.params.root.parent
        folders = [*((self.root, self.root / name) for name in REPORT_FILES), (project, project / MEASURED)]
        files = [(root, path) for root, folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
        return [
            [path.relative_to(root).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()] for root, path in files
        ]


def _recorded(project: Path, dataset: str) -> str:
    try:
        manifest = json.loads((project / "data/store" / dataset / "manifest.json").read_text(encoding="utf-8"))
        return str(manifest["source"]["listing"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""  # no store, or none of an image folder
