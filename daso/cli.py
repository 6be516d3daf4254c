"""The command line: `python -m daso <verb>`.

Verbs of training read resolved JSON and files, so that they run where there is no YAML reader; each verb imports what
it needs when it is called.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daso.commands import data, inspect
from daso.commands.flags import OPTIONS, Option, configuration
from daso.errors import DasoError, told

if TYPE_CHECKING:
    from daso.runs.train import Job

Args = argparse.Namespace
PLACES_OF_A_RUN = ("store", "split", "out", "scratch", "encoder", "estimate", "journal")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb of `python -m daso`; returns the exit status."""
    return execute(parser("python -m daso", "Class-imbalanced semi-supervised learning.", VERBS, OPTIONS), argv)


def execute(parser: argparse.ArgumentParser, argv: Sequence[str] | None = None) -> int:
    """Run the verb that `parser` reads; errors a user can mend become one line on stderr and exit status 1."""
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        verb: Callable[[Args], None] = args.verb
        verb(args)
        sys.stdout.flush()
    except BrokenPipeError:  # who reads, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (DasoError, OSError) as error:
        sys.stderr.write(f"{told(error)}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def train(args: Args) -> None:
    """Train a run to its end, from its saved state if there is one.

    A run that is only named goes to drafts/: runs/ is the workflow's.
    """
    from daso.engine.lock import device_slot

    with device_slot() if args.device in ("auto", "cuda") else nullcontext():
        from daso.engine.environment import choose_cudnn, choose_device
        from daso.runs.train import Way, train

        device = choose_device(args.device)
        choose_cudnn(args.cudnn)
        way = Way(device, args.mode, args.replicas, args.resume, bool(args.bundle), args.managed)
        if args.bundle:
            from daso.data.bundle import contents
            from daso.runs.bundle import train_bundle

            os.environ.setdefault("DASO_COMMIT", contents(args.bundle)["commit"])
            train_bundle(args.bundle, way)
        else:
            train([_job(args)], way)


def _job(args: Args) -> Job:
    """The run that the arguments name, with the places they give."""
    from daso.config.validate import malformed
    from daso.paths import found
    from daso.runs.train import Job

    config = resolved_run(args.run) if args.run else None
    paths: dict[str, Path] = {}
    if config:
        paths = found(args.run, config["plan"])
        paths |= {"out": Path("drafts", args.run), "scratch": Path("drafts/scratch", args.run)}
    paths |= {name: path for name in PLACES_OF_A_RUN if (path := getattr(args, name))}
    if {"store", "split", "out", "scratch"} - paths.keys() or bool(args.run) == bool(args.config):
        raise DasoError("train: name a run, or give --config, --store, --split, --out and --scratch, or a --bundle")
    return Job(config or configuration(args.config, malformed), **paths)


def evaluate(args: Args) -> None:
    """Write the metrics of a finished run."""
    from daso.data.files import sealed, whole_file
    from daso.engine.metrics import run_metrics

    metrics = run_metrics(args.run, args.key)
    with whole_file(args.out) as file:
        file.write(sealed(metrics))


def report(args: Args) -> None:
    """Render a suite's tables and figures from the metrics there are; to drafts/reports/ unless told otherwise."""
    from daso.config.load import load
    from daso.data.files import whole_file
    from daso.report.suite_report import write_report

    out, key = args.out or Path("drafts/reports", args.suite), ""
    if args.key:  # before the metrics are read: if one changes meanwhile, the report is stale
        from daso.workspace.current import report_key

        key = report_key(load(), args.suite, args.key)
    write_report(args.suite, out)
    if key:  # written last: it makes the report current
        with whole_file(out / "key") as file:
            file.write(f"{key}\n".encode())


def resolve(args: Args) -> None:
    """Print the resolved configuration of a run."""
    sys.stdout.write(json.dumps(resolved_run(args.run), indent=1, sort_keys=True) + "\n")


def bundle(args: Args) -> None:
    """Pack runs into a folder that trains where only PyTorch and its like are installed.

    The runs whose results they take come along, unless these are here.
    """
    from daso.config.checks import refuse
    from daso.config.keys import Keys
    from daso.config.load import load
    from daso.config.resolve import parse_run, with_lenders
    from daso.data.bundle import write_bundle
    from daso.engine.environment import commit
    from daso.planning.status import states

    params = load()
    keys, asked = Keys(params), [parse_run(params, run) for run in args.runs]
    for run in asked:
        refuse(params, run)
    chain = with_lenders(params, asked)
    far = states(keys, chain)
    packed = [keys.resolved(run) for run in chain if run in asked or far[run.id] != "done"]
    write_bundle(args.out, packed, commit=commit())


def adopt(args: Args) -> None:
    """Take the results of a trained bundle as the runs' own."""
    from daso.workspace import workflow_lock
    from daso.workspace.adopt import adopt_bundle

    with workflow_lock.held("adopt"):
        for run in adopt_bundle(args.bundle):
            logging.info("%s: adopted", run)


def revalidate(args: Args) -> None:
    """Keep stale runs that the present code gives the same bits as the code that trained them."""
    from daso.workspace import workflow_lock
    from daso.workspace.revalidate import revalidate

    with workflow_lock.held("revalidate"):
        for line in revalidate(args.names):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()


def keep(args: Args) -> None:
    """Keep the metrics and history of runs, or of a bundle's, in reports/measured/, for git and every later report."""
    from daso.workspace.archive import keep, keep_bundle

    if not (args.runs or args.bundle):
        raise DasoError("keep: name runs, or a --bundle of finished runs")
    for folder in keep_bundle(args.bundle, args.runs) if args.bundle else map(keep, args.runs):
        logging.info("%s: kept", folder)


def publish(args: Args) -> None:
    """Record the finished results of the default suite under DVC without running anything, and push them."""
    from daso.workspace import workflow_lock
    from daso.workspace.publish import publish

    with workflow_lock.held("publish"):
        for line in publish(args.suite):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()


def debias(args: Args) -> None:
    """Take the mean prediction out of a classifier's saved logits; writes probabilities and an analysis."""
    from daso.zero_shot import debias_file, summary

    found = debias_file(args.logits, args.labels, args.out, args.strength, args.momentum, args.seed)
    sys.stdout.write(f"{summary(found)}\n")


def prune(args: Args) -> None:
    """List, or delete, what no suite names any more."""
    from daso.workspace import workflow_lock
    from daso.workspace.prune import stale

    with workflow_lock.held("prune") if args.yes else nullcontext():
        for path in stale(delete=args.yes):
            sys.stdout.write(f"{path}\n")


VERBS: dict[str, Callable[[Args], None]] = {
    "download": data.download,
    "split": data.split,
    "derive": data.derive,
    "train": train,
    "estimate": data.estimate,
    "evaluate": evaluate,
    "report": report,
    "list": inspect.list_,
    "explain": inspect.explain,
    "cell": inspect.cell,
    "plan": inspect.plan,
    "resolve": resolve,
    "bundle": bundle,
    "adopt": adopt,
    "revalidate": revalidate,
    "keep": keep,
    "publish": publish,
    "debias": debias,
    "prune": prune,
}


def resolved_run(run: str) -> dict[str, Any]:
    """Return the resolved configuration of a run that params/ allow; raises DasoError otherwise."""
    from daso.config.checks import refuse
    from daso.config.keys import Keys
    from daso.config.load import load
    from daso.config.resolve import parse_run

    params = load()
    named = parse_run(params, run)
    refuse(params, named)
    return Keys(params).resolved(named)


def parser(
    prog: str,
    description: str,
    verbs: Mapping[str, Callable[[Args], None]],
    options: Mapping[str, Sequence[Option]],
) -> argparse.ArgumentParser:
    """Return a parser with one subcommand for each verb, whose docstring is its help."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    subparsers = parser.add_subparsers(required=True, metavar="verb")
    for name, verb in verbs.items():
        sub = subparsers.add_parser(name, help=(verb.__doc__ or "").splitlines()[0], description=verb.__doc__)
        sub.set_defaults(verb=verb)
        for flag, settings in options[name]:
            sub.add_argument(flag, **settings)
    return parser
