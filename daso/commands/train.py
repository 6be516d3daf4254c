"""Commands that train and evaluate runs, print their configurations, and pack them for another machine."""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daso.commands.flags import configuration
from daso.errors import DasoError

if TYPE_CHECKING:
    from daso.runs.train import Job

Args = argparse.Namespace
JOB_PATHS = ("store", "split", "out", "scratch", "encoder", "estimate", "journal")


def train(args: Args) -> None:
    """Train a run, from its checkpoint if there is one.

    The results of a run given by its name alone go to drafts/; only the workflow and `adopt` write to runs/.
    """
    from daso.engine.lock import device_slot

    with device_slot() if args.device in ("auto", "cuda") else nullcontext():
        from daso.engine.environment import choose_cudnn, choose_device
        from daso.runs.train import Execution, train

        device = choose_device(args.device)
        choose_cudnn(args.cudnn)
        execution = Execution(device, args.mode, args.replicas, args.resume, bool(args.bundle), args.managed)
        if args.bundle:
            from daso.data.bundle import read_contents
            from daso.runs.bundle import train_bundle

            os.environ.setdefault("DASO_COMMIT", read_contents(args.bundle)["commit"])
            train_bundle(args.bundle, execution)
        else:
            train([_job(args)], execution)


def _job(args: Args) -> Job:
    """Return the run of the arguments and its paths."""
    from daso.config.validate import config_error
    from daso.paths import require_inputs
    from daso.runs.train import Job

    config = resolved_run(args.run) if args.run else None
    paths: dict[str, Path] = {}
    if config:
        paths = require_inputs(args.run, config["plan"])
        paths |= {"out": Path("drafts", args.run), "scratch": Path("drafts/scratch", args.run)}
    paths |= {name: path for name in JOB_PATHS if (path := getattr(args, name))}
    if {"store", "split", "out", "scratch"} - paths.keys() or bool(args.run) == bool(args.config):
        raise DasoError(
            "train: expected a run, or --config, --store, --split, --out and --scratch, or --bundle; give one of these"
        )
    return Job(config or configuration(args.config, config_error), **paths)


def evaluate(args: Args) -> None:
    """Write the metrics of a finished run."""
    from daso.data.files import atomic_write, checksummed
    from daso.engine.metrics import run_metrics

    metrics = run_metrics(args.run, args.key)
    with atomic_write(args.out) as file:
        file.write(checksummed(metrics))


def resolve(args: Args) -> None:
    """Print the resolved configuration of a run."""
    sys.stdout.write(json.dumps(resolved_run(args.run), indent=1, sort_keys=True) + "\n")


def bundle(args: Args) -> None:
    """Pack runs into a folder that can be trained on a machine without Snakemake and DVC.

    Upstream runs are packed too, unless they are done.
    """
    from daso.config.checks import check_run
    from daso.config.keys import Keys
    from daso.config.load import load
    from daso.config.resolve import parse_run, with_upstream
    from daso.data.bundle import write_bundle
    from daso.engine.environment import code_commit
    from daso.planning.status import run_statuses

    params = load()
    keys, named = Keys(params), [parse_run(params, run) for run in args.runs]
    for run in named:
        check_run(params, run)
    chain = with_upstream(params, named)
    status = run_statuses(keys, chain)
    packed = [keys.resolved(run) for run in chain if run in named or status[run.id] != "done"]
    write_bundle(args.out, packed, commit=code_commit())


def resolved_run(run: str) -> dict[str, Any]:
    """Return the resolved configuration of a run; raises DasoError if params/ do not allow it."""
    from daso.config.checks import check_run
    from daso.config.keys import Keys
    from daso.config.load import load
    from daso.config.resolve import parse_run

    params = load()
    named = parse_run(params, run)
    check_run(params, named)
    return Keys(params).resolved(named)
