"""Check the targets of a call of `snakemake`: one line for a misspelled one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from daso.config.params import Params, did_you_mean
from daso.config.resolve import parse_run, suite_of
from daso.errors import ParamsError

RULES = ("all", "data", "splits", "runs", "metrics")  # those without wildcards


def check_targets(params: Params, targets: Iterable[str]) -> None:
    """Raise ParamsError for a target that is not a rule and names an unknown suite, data set, setting or run."""
    for target in targets:
        if target in RULES or Path(target).exists():
            continue
        if target in params.suites:
            raise ParamsError(f"{target}: a suite, not a rule; run `snakemake --config suite={target}`")
        match Path(target).parts:
            case [_]:
                raise ParamsError(f"{target}: unknown rule or suite{did_you_mean(target, [*RULES, *params.suites])}")
            case ["reports", suite, *_]:
                suite_of(params, suite)
            case ["data", "store", dataset, *_]:
                _known("data set", dataset, params.datasets)
            case ["data", "splits", dataset, setting, *_]:
                _known("data set", dataset, params.datasets)
                _known("setting", setting, params.datasets[dataset]["settings"])
            case ["runs" | "metrics", *run] if len(run) >= 5:
                parse_run(params, "/".join([*run[:4], run[4].partition(".")[0]]))


def _known(kind: str, word: str, known: Iterable[str]) -> None:
    if word not in known:
        raise ParamsError(f"{word}: unknown {kind}{did_you_mean(word, known)}")
