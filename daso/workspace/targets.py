"""Check the targets of a call of `snakemake`; a misspelled one is an error of one line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from daso.config.params import Params
from daso.config.resolve import parse_run, suite_of
from daso.errors import ParamsError, did_you_mean
from daso.workspace.current import CONTRADICTIONS

RULES = ("all", "data", "splits", "runs", "metrics", "contradictions")  # rules without wildcards


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
            case ["reports", suite, *_] if suite != CONTRADICTIONS:
                suite_of(params, suite)
            case ["data", "store", dataset, *_]:
                _check_known("dataset", dataset, params.datasets)
            case ["data", "splits", dataset, setting, *_]:
                _check_known("dataset", dataset, params.datasets)
                _check_known("setting", setting, params.datasets[dataset]["settings"])
            case ["runs" | "metrics", *run] if len(run) >= 5:
                parse_run(params, "/".join([*run[:4], run[4].partition(".")[0]]))


def _check_known(kind: str, word: str, known: Iterable[str]) -> None:
    if word not in known:
        raise ParamsError(f"{word}: unknown {kind}{did_you_mean(word, known, f'{kind}s')}")
