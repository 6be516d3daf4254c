"""Report and reference of a suite of params/, from the metrics of this project's runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from daso.config.keys import ARCHIVE, Keys
from daso.config.load import load_params
from daso.config.params import Params
from daso.config.resolve import Run, expand_suite, resolve, runs, with_upstream
from daso.data.files import checksummed, write_file
from daso.data.run_files import load_finished_run
from daso.paths import CORRECTIONS, METRICS, RESULT_FILE, RUNS, SCRATCH, STORES, run_folder
from daso.report.render import build_report
from daso.report.results.collect import collect
from daso.report.results.published import PUBLISHED
from daso.report.results.reference import Reference, read_reference, reference_content, reference_path
from daso.report.results.round_records import metrics_digest, read_records
from daso.report.results.summary import UpstreamRuns
from daso.report.tables import forecasts


def write_report(suite: str, out: Path) -> None:
    """Write a suite's report into `out`; metrics of a configuration other than that in params/ are left out as stale.

    Reads `params/`, `metrics/`, `corrections/`, `runs/`, `scratch/`, `data/store/`, `journal/plans/`,
    `journal/rounds/`, `reports/measured/` and `reports/reference/` in the working folder. Raises ParamsError for an
    unknown suite and DataError for an unusable file.
    """
    params = load_params()
    keys, own, reference = Keys(params), runs(params, suite), read_reference(suite)
    build_report(
        expand_suite(params, suite),
        metrics=Path(METRICS),
        runs=Path(RUNS),
        scratch=Path(SCRATCH),
        archived=Path(ARCHIVE),
        published=PUBLISHED,
        out=out,
        stores=Path(STORES),
        home=_path_from(out),
        forecast=forecasts.read_forecast(suite) or _at_pace_of(reference, params, own),
        upstream=_upstream(params, keys, own),
        shared=_shared(params, suite, own),
        reference=reference,
        corrections=Path(CORRECTIONS),
        rounds=read_records(suite, metrics_digest(run.id for run in own)),
        expected_keys={run.id: keys.train(run) for run in own},
    )


def write_reference(suite: str) -> Path:
    """Write `reports/reference/<suite>.json` from the metrics of a suite's runs; return its path.

    Raises ParamsError for an unknown suite, and DataError, with nothing written, if a run is missing or stale, or if
    the runs were not trained on one device with the same versions.
    """
    params = load_params()
    keys = Keys(params)
    expected = {run.id: keys.train(run) for run in runs(params, suite)}
    cells = collect(expand_suite(params, suite), Path(METRICS), Path(SCRATCH), expected)
    path, content = reference_path(suite), reference_content(suite, cells)
    write_file(path, checksummed(content))
    return path


def _at_pace_of(reference: Reference | None, params: Params, own: Sequence[Run]) -> forecasts.Forecast:
    """Return the times of runs at the pace of a reference, without keys: no measured time is compared with them."""
    if reference is None:
        return {}
    return {
        run.id: {
            "device": reference.environment["device"],
            "seconds": seconds * resolve(params, run)["protocol"]["steps"],
        }
        for run in own
        if (seconds := reference.seconds_per_step.get(run.method))
    }


def _path_from(out: Path) -> str:
    """Return the path from a report to the working folder; from reports/<suite> if it lies elsewhere."""
    here, folder = Path.cwd(), out.resolve()
    return "/".join([".."] * len(folder.relative_to(here).parts)) if folder.is_relative_to(here) else "../.."


def _upstream(params: Params, keys: Keys, own: Sequence[Run]) -> UpstreamRuns:
    """Return the runs that the runs of a suite depend on; those in its own tables are counted there."""
    of = {run.id: [each for each in with_upstream(params, [run]) if each not in own] for run in own}
    needed = {each for chain in of.values() for each in chain}
    trained = [each.id for each in needed if _is_trained(each, keys.train(each))]
    return UpstreamRuns({run: [each.id for each in chain] for run, chain in of.items() if chain}, trained)


def _is_trained(run: Run, key: str) -> bool:
    folder = run_folder(run.id)
    return (folder / RESULT_FILE).exists() and load_finished_run(folder, name=run.id).key == key


def _shared(params: Params, suite: str, own: Sequence[Run]) -> dict[str, int]:
    """Return the number of runs that every other suite has in common with this one."""
    common = {other: len(set(runs(params, other)).intersection(own)) for other in params.suites if other != suite}
    return {other: number for other, number in common.items() if number}
