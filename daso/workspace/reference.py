"""Write the reference of a suite from its finished runs."""

from __future__ import annotations

from pathlib import Path

from daso.config.keys import Keys
from daso.config.load import load_params
from daso.config.resolve import expand_suite, runs
from daso.data.files import atomic_write, checksummed
from daso.report.results.collect import collect
from daso.report.results.reference import reference_content, reference_path


def write_reference(suite: str) -> Path:
    """Write `reports/reference/<suite>.json` from the metrics of a suite's runs; return its path.

    Raises ParamsError for an unknown suite, and DataError, with nothing written, if a run is missing or stale, or if
    the runs were not trained on one device with the same versions.
    """
    params = load_params()
    keys = Keys(params)
    expected = {run.id: keys.train(run) for run in runs(params, suite)}
    cells = collect(expand_suite(params, suite), Path("metrics"), Path("scratch"), expected)
    path, content = reference_path(suite), reference_content(suite, cells)
    with atomic_write(path) as file:
        file.write(checksummed(content))
    return path
