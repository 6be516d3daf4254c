"""Paths of all outputs of the workflow, and hints how to create them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from daso.errors import DasoError

RUNS, SCRATCH, METRICS, REPORTS = "runs", "scratch", "metrics", "reports"
CORRECTIONS = "corrections"
STORES, DRAWN_SPLITS, FEATURES, FITS = "data/store", "data/splits", "data/features", "data/fits"
WORKFLOW = ("data", RUNS, METRICS, REPORTS)  # folders that Snakemake writes
DRAFTS = "drafts"  # folder of results of commands that are run by hand
CONTENTS = "bundle.json"  # file that lists the files of a bundle
CONTRADICTIONS = "contradictions"  # name of a report that belongs to no suite
MANIFEST = "manifest.json"  # of a store, written last
RESULT_FILE = "train.json"  # of a run, written last, with the digests of the others
CONFIG_FILE, HISTORY_FILE, PREDICTIONS_FILE, WEIGHTS_FILE = "config.json", "history.csv", "predictions.npz", "final.pt"
ROWS_FILE = "rows.bin"  # of features
RECOMMENDED_FILE = "recommended.json"  # of a report, beside its tables: the recommended models of a suite with controls
SPLIT_FILE, ESTIMATE_FILE = "split.json", "estimate.json"  # of a run whose plan makes them
# Key of a plan -> file of the upstream run.
UPSTREAM_FILES = {"encoder": WEIGHTS_FILE, "network": WEIGHTS_FILE, "estimate": ESTIMATE_FILE}


def store_folder(dataset: str) -> Path:
    """Return the folder of a dataset's images."""
    return Path(STORES, dataset)


def store(run: str) -> Path:
    """Return the folder of a run's images."""
    return store_folder(run.split("/")[0])


def split_file(dataset: str, setting: str, seed: int | str) -> Path:
    """Return the path of a split as drawn, before any plan changes it."""
    return Path(DRAWN_SPLITS, dataset, setting, f"s{seed}.json")


def drawn_split(run: str) -> Path:
    """Return the path of a run's split as drawn."""
    dataset, setting, *_, seed = run.split("/")
    return split_file(dataset, setting, seed.removeprefix("s"))


def run_folder(run: str) -> Path:
    """Return the folder of a run's results."""
    return Path(RUNS, run)


def checkpoint_file(run: str, key: str) -> Path:
    """Return the path of the checkpoint of an unfinished run with a key."""
    return Path(SCRATCH, run, f"{key}.pt")


def metrics_file(run: str) -> Path:
    """Return the path of a run's metrics."""
    return Path(METRICS, f"{run}.json")


def corrections_file(run: str) -> Path:
    """Return the path of the corrections of a run after training."""
    return Path(CORRECTIONS, f"{run}.json")


def corrected_suite(suite: str) -> Path:
    """Return the path of an empty file, which exists once all runs of a suite have been corrected."""
    return Path(CORRECTIONS, f"{suite}.done")


def report_folder(suite: str) -> Path:
    """Return the folder of a suite's report."""
    return Path(REPORTS, suite)


def features_manifest(dataset: str, protocol: str) -> Path:
    """Return the path of the manifest of a dataset's features by the frozen network of a protocol."""
    return Path(FEATURES, dataset, protocol, MANIFEST)


def fit_file(dataset: str, setting: str, protocol: str, seed: int | str) -> Path:
    """Return the path of the values that are fitted to the labeled images of a split, under a protocol."""
    return Path(FITS, dataset, setting, protocol, f"s{seed}.json")


def feature_rows(folder: str) -> Path:
    """Return the path of rows of features, given the name of their folder."""
    return Path(FEATURES, "rows", folder, ROWS_FILE)


def packed_weights(sha256: str) -> Path:
    """Return the path of a file of pretrained weights in a bundle; `sha256` are the digits in the configuration."""
    return Path("data/weights", f"{sha256}.pth")


def parse_split_path(path: Path) -> tuple[str, str, int] | None:
    """Return dataset, setting and seed of the workflow's split at a path, or None for any other path."""
    match = re.fullmatch(r"data/splits/([^/]+)/([^/]+)/s(\d+)\.json", path.as_posix())
    return (match[1], match[2], int(match[3])) if match else None


def input_files(run: str, plan: Mapping[str, Any]) -> dict[str, Path]:
    """Return the files that a run reads besides its images, by the name of the option for each."""
    split = run_folder(run) / SPLIT_FILE if "split" in plan else drawn_split(run)
    dataset, setting, protocol, _, seed = run.split("/")
    return {
        "split": split,
        **({"features": features_manifest(dataset, protocol)} if "features" in plan else {}),
        **({"fit": fit_file(dataset, setting, protocol, seed.removeprefix("s"))} if "fit" in plan else {}),
        **{name: run_folder(plan[name]["of"]) / file for name, file in UPSTREAM_FILES.items() if name in plan},
    }


def require_inputs(run: str, plan: Mapping[str, Any]) -> dict[str, Path]:
    """Return the files of `input_files` and the folder of the images; raise DasoError if a file is missing."""
    files = input_files(run, plan)
    for name, path in files.items():
        if not path.exists():
            raise DasoError(f"{path}: missing {name} of {run}; create it with `snakemake {path}`")
    return {"store": store(run), **files}


def create_hint(path: Path) -> str:
    """Return the hint how to create a missing file, for the end of an error."""
    if path.parts[:1] and path.parts[0] in WORKFLOW:
        return f"create it with `snakemake {path}`"
    return "name a different file or create it first"


def rebuild_hint(path: Path, delete: Path | str | None = None) -> str:
    """Return the hint how to rebuild a damaged file, for the end of an error; `delete` replaces the file in it."""
    if path.parts[:1] and path.parts[0] in WORKFLOW:
        return f"delete {delete or 'it'} and run `snakemake {path}` again"
    if path.parts[:1] == (DRAFTS,) and len(path.parts) == 7:  # drafts/<the five of a run id>/<file>
        return f"delete {path.parent} and run `daso train {path.parent.relative_to(DRAFTS)}` again"
    for folder in path.parents:
        if (folder / CONTENTS).is_file():
            return f"delete {path.parent} and run `daso train --bundle {folder}` again"
    return f"delete {delete or 'it'} and create it again"
