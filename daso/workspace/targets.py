"""Targets of a call of `snakemake`: a misspelled one is an error of one line, a finished one is skipped."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from daso.config.params import Params
from daso.config.resolve import parse_run, suite_of
from daso.errors import ParamsError, did_you_mean
from daso.paths import CONTRADICTIONS, CORRECTIONS
from daso.workspace.workflow_lock import snakemake_options

_logger = logging.getLogger(__name__)  # not the root logger, to which Snakemake's messages go too

# Rules without wildcards.
RULES = ("all", "data", "features", "splits", "fits", "runs", "metrics", CORRECTIONS, CONTRADICTIONS)


def check_targets(params: Params, targets: Iterable[str]) -> None:
    """Raise ParamsError for an unknown rule, or a path with an unknown suite, dataset, setting or run."""
    for target in targets:
        if target in RULES or Path(target).exists():
            continue
        if target in params.suites:
            raise ParamsError(f"{target}: a suite, not a rule; run `snakemake --config suite={target}`")
        match Path(target).parts:
            case [_]:
                raise ParamsError(f"{target}: unknown rule or suite{did_you_mean(target, [*RULES, *params.suites])}")
            case ["reports", suite, *_] | ["corrections", suite] if suite != CONTRADICTIONS:
                suite_of(params, suite.removesuffix(".done"))
            case ["data", "store", dataset, *_]:
                _check_known("dataset", dataset, params.datasets)
            case ["data", "features", dataset, protocol, *_]:
                _check_known("dataset", dataset, params.datasets)
                _check_known("protocol", protocol, params.protocols)
            case ["data", "splits" | "fits", dataset, setting, *rest]:
                _check_of_split(params, dataset, setting, rest[:-1])
            case ["runs" | "metrics", *run] if len(run) >= 5:
                parse_run(params, "/".join([*run[:4], run[4].partition(".")[0]]))


def _check_of_split(params: Params, dataset: str, setting: str, protocols: Iterable[str]) -> None:
    """Check the parts of the path of a split, or of a fit, which has a protocol too."""
    _check_known("dataset", dataset, params.datasets)
    _check_known("setting", setting, params.datasets[dataset]["settings"])
    for protocol in protocols:
        _check_known("protocol", protocol, params.protocols)


def _check_known(kind: str, word: str, known: Iterable[str]) -> None:
    if word not in known:
        raise ParamsError(f"{word}: unknown {kind}{did_you_mean(word, known, f'{kind}s')}")


def without_finished(arguments: Sequence[str], finished: Callable[[Mapping[str, str]], bool]) -> list[str]:
    """Return the arguments of a job's `snakemake` without the trainings that another call has finished.

    A killed call leaves such jobs in the queue of a cluster.
    `finished` returns True for the wildcards of a finished training. The result is empty if no job is left.
    """
    jobs = snakemake_options(arguments).target_jobs or []
    first = list(arguments).index("--target-jobs") + 1 if jobs else 0
    done = []
    for text, job in zip(arguments[first:], jobs, strict=False):
        if job.rulename == "train" and finished(job.wildcards_dict):
            _logger.warning("%s: already finished by another call; not trained again", text)
            done.append(text)
    left = [text for text in arguments if text not in done]
    return [] if done and len(done) == len(jobs) else left
