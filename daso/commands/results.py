"""Commands that render, import, keep, publish and delete results."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path

from daso.errors import DasoError

Args = argparse.Namespace


def report(args: Args) -> None:
    """Render the report of a suite from the available metrics, by default in drafts/reports/, and print its results."""
    from daso.config.load import load
    from daso.report.suite_report import write_report
    from daso.workspace.current import report_key, tables_digest

    out, key = args.out or Path("drafts/reports", args.suite), ""
    if args.key:  # computed before the metrics are read, so that a concurrent change makes the report stale
        key = report_key(load(), args.suite, args.key)
    write_report(args.suite, out)
    _write_key(out, f"{key} {tables_digest(out)}" if key else "")
    sys.stdout.write(f"{(out / 'summary.txt').read_text()}{out / 'index.html'}\n")


def contradictions(args: Args) -> None:
    """Render the page of cells for which publications print different numbers."""
    from daso.report.contradictions import write_contradictions

    write_contradictions(args.out)
    _write_key(args.out, args.key)


def adopt(args: Args) -> None:
    """Copy the finished runs of a trained bundle into runs/."""
    from daso.workspace import workflow_lock
    from daso.workspace.adopt import adopt_bundle

    with workflow_lock.held("adopt"):
        for run in adopt_bundle(args.bundle):
            logging.info("%s: adopted", run)


def revalidate(args: Args) -> None:
    """Keep stale runs if the present code reproduces the bits of the code that trained them."""
    from daso.workspace import workflow_lock
    from daso.workspace.revalidate import revalidate

    with workflow_lock.held("revalidate"):
        _print_lines(revalidate(args.names))


def keep(args: Args) -> None:
    """Archive metrics and history of runs in reports/measured/, for Git and later reports."""
    from daso.workspace.archive import keep, keep_bundle

    if not (args.runs or args.bundle):
        raise DasoError("keep: expected runs or a --bundle of finished runs, got neither; name them")
    for folder in keep_bundle(args.bundle, args.runs) if args.bundle else map(keep, args.runs):
        logging.info("%s: kept", folder)


def reference(args: Args) -> None:
    """Write the numbers of a finished suite to reports/reference/, for Git and for comparison with later reports."""
    from daso.workspace.reference import write_reference

    logging.info("%s: written", write_reference(args.suite))


def publish(args: Args) -> None:
    """Record the results of the finished default suite in DVC and push them."""
    from daso.workspace import workflow_lock
    from daso.workspace.publish import publish

    with workflow_lock.held("publish"):
        _print_lines(publish(args.suite))


def prune(args: Args) -> None:
    """List, or delete with --yes, the files that no suite refers to."""
    from daso.workspace import workflow_lock
    from daso.workspace.prune import unreferenced

    with workflow_lock.held("prune") if args.yes else nullcontext():
        _print_lines(unreferenced(delete=args.yes))


def _write_key(folder: Path, key: str | None) -> None:
    """Write the key of a page, if any, after the page: it makes the page current."""
    from daso.data.files import atomic_write

    if key:
        with atomic_write(folder / "key") as file:
            file.write(f"{key}\n".encode())


def _print_lines(lines: Iterable[object]) -> None:
    """Print each line as soon as it is known."""
    for line in lines:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
