"""Delete images, splits, runs and reports that no suite refers to, and checkpoints of finished runs."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

from daso.config.keys import Keys
from daso.config.load import load_params
from daso.config.open_sets import stores_of
from daso.config.params import Params
from daso.config.registry import trains_on_features
from daso.config.resolve import Run, runs, with_upstream
from daso.data.run_files import RUN_FILES, load_finished_run
from daso.data.weights import run_named
from daso.errors import DataError
from daso.paths import (
    CONTRADICTIONS,
    CORRECTIONS,
    DRAWN_SPLITS,
    FEATURES,
    FITS,
    METRICS,
    REPORTS,
    RUNS,
    SCRATCH,
    STORES,
    drawn_split,
    feature_rows,
    features_manifest,
    fit_file,
    report_folder,
)

_logger = logging.getLogger(__name__)  # not the root logger, to which Snakemake's messages go too


def unreferenced(*, delete: bool = False) -> list[Path]:
    """Return the images, splits, files of runs and suites that no suite refers to; delete them if `delete`."""
    params = load_params()
    named = set(with_upstream(params, (run for suite in params.suites for run in runs(params, suite))))
    datasets = {name for run in named for name in stores_of(params, run.dataset, run.setting)}
    reports = {page.parent for page in Path(REPORTS).glob("*/index.html")}
    reports -= {report_folder(name) for name in (*params.suites, CONTRADICTIONS)}
    corrected = {path for path in Path(CORRECTIONS).glob("*.done") if path.stem not in params.suites}
    loaded = {run_named(protocol["network"]) for protocol in params.protocols.values()}
    kept = {run.id for run in named} | loaded
    stale_paths = sorted({*_data(params, named, datasets), *_run_files(kept), *corrected, *reports})
    for path in stale_paths if delete else ():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        _remove_empty(path.parent)
    return stale_paths


def finished_checkpoints() -> None:
    """Delete the checkpoints of finished runs, except of damaged ones; log a checkpoint that cannot be deleted."""
    for checkpoint in Path(SCRATCH).glob("*/*/*/*/s*/*.pt"):
        folder = Path(RUNS, checkpoint.parent.relative_to(SCRATCH))
        try:
            finished = load_finished_run(folder, checkpoint.stem)
            for name in RUN_FILES:
                finished.read(name)
            checkpoint.unlink(missing_ok=True)
        except DataError:
            continue
        except OSError as error:
            _logger.warning("%s: cannot be deleted (%s); its run is finished, delete it", checkpoint, error.strerror)


def _data(params: Params, named: set[Run], datasets: set[str]) -> Iterator[Path]:
    """Yield unused data; downloaded archives stay, since data/raw is not an output of the workflow."""
    yield from (path for path in Path(STORES).glob("*/") if path.name not in datasets)
    yield from _features(params, named)
    splits = {drawn_split(run.id) for run in named}
    drawn = [path for suffix in (".json", ".key") for path in Path(DRAWN_SPLITS).glob(f"*/*/s*{suffix}")]
    yield from (path for path in drawn if path.with_suffix(".json") not in splits)
    fits = {
        fit_file(run.dataset, run.setting, run.protocol, run.seed)
        for run in named
        if "fit" in params.protocols[run.protocol]
    }
    fitted = [path for suffix in (".json", ".npz", ".key") for path in Path(FITS).glob(f"*/*/*/s*{suffix}")]
    yield from (path for path in fitted if path.with_suffix(".json") not in fits)


def _features(params: Params, named: set[Run]) -> Iterator[Path]:
    """Yield unused features of datasets, and the rows that no features in use have."""
    used = {features_manifest(run.dataset, run.protocol).parent for run in named if _on_features(params, run)}
    yield from (path for path in Path(FEATURES).glob("*/*/") if path.parent.name != "rows" and path not in used)
    rows = {feature_rows(Keys(params).encoded_rows(*path.parts[2:])).parent for path in used}
    yield from (path for path in Path(FEATURES, "rows").glob("*/") if path not in rows)


def _on_features(params: Params, run: Run) -> bool:
    return trains_on_features(params.protocols[run.protocol]["network"])


def _run_files(named: set[str]) -> Iterator[Path]:
    for folder, suffix in (
        (RUNS, ""),
        (SCRATCH, ""),
        (SCRATCH, ".lock"),
        (METRICS, ".json"),
        (METRICS, ".key"),
        (CORRECTIONS, ".json"),
        ("journal", ".json"),
    ):
        for path in Path(folder).glob(f"*/*/*/*/s*{suffix}"):
            run = path.relative_to(folder).as_posix().removesuffix(suffix)
            if run not in named and path.suffix == suffix:
                yield path


def _remove_empty(folder: Path) -> None:
    """Remove a folder, if it is empty, and then its parents that have become empty."""
    while len(folder.parts) > 1 and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
