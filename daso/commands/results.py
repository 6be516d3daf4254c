"""Commands that render, import, keep, publish and delete results."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path

import click

from daso.commands.options import PATH, RUN_ID, command, files_of, run_ids
from daso.errors import DasoError


@command("daso report --suite quickstart")
@click.option("--suite", required=True, help="Name of a suite in params/suites.", shell_complete=files_of("suites"))
@click.option("--out", type=PATH, help="Folder for the report; default: drafts/reports/SUITE.")
@click.option("--key", help="Key of the report, written beside it by the workflow.")
def report(suite: str, out: Path | None, key: str | None) -> None:
    """Write the report of a suite, and print its numbers."""
    from daso.config.load import load_params
    from daso.report.suite_report import write_report

    out = out or Path("drafts/reports", suite)
    if key:
        from daso.workspace.current import report_key, shown_names, tables_digest
        from daso.workspace.rounds import record_round

        record_round(suite)  # of the present labels, with which later ones are compared
        # The key is computed before the metrics are read, so that a concurrent change makes the report stale.
        params = load_params()
        key = report_key(params, suite, key, shown_names(params, suite))
    write_report(suite, out)
    if key:
        _keep_model(suite, out)
        _write_key(out, f"{key} {tables_digest(out)}")
    sys.stdout.write(
        f"{(out / 'summary.txt').read_text()}written: {out / 'index.html'}; "
        "report.md, metrics.json, CSV files and tables/ are beside it\n"
    )


@command("daso contradictions")
@click.option("--out", type=PATH, default=Path("drafts/contradictions"), show_default=True, help="Folder for the page.")
@click.option("--key", help="Key of the page, written beside it by the workflow.")
def contradictions(out: Path, key: str | None) -> None:
    """Render the page of cells whose published numbers differ."""
    from daso.report.contradictions_page import write_contradictions

    write_contradictions(out)
    _write_key(out, key)
    sys.stdout.write(f"written: {out / 'index.html'}\n")


@command("daso adopt bundles/daso")
@click.argument("bundle", type=PATH, help="Folder of the trained bundle.")
def adopt(bundle: Path) -> None:
    """Copy the finished runs of a trained bundle into runs/."""
    from daso.workspace import workflow_lock
    from daso.workspace.adopt import adopt_bundle

    with workflow_lock.held("adopt"):
        for run in adopt_bundle(bundle):
            logging.info("%s: adopted", run)


@command("daso revalidate smoke")
@click.argument(
    "names",
    nargs=-1,
    metavar="[RUN_OR_SUITE]...",
    help="Runs and suites; default: the suite in params/pipeline.yaml.",
    shell_complete=lambda *start: [*files_of("suites")(*start), *run_ids(*start)],
)
def revalidate(names: tuple[str, ...]) -> None:
    """Mark stale runs as current if their bits are reproduced.

    Only code may have changed since: 12 steps are trained on the CPU with both versions and compared bit for bit.
    """
    from daso.workspace import workflow_lock
    from daso.workspace.revalidate import revalidate

    with workflow_lock.held("revalidate"):
        kept = _print_lines(revalidate(names))
    logging.info("%d runs marked as current%s", kept, "" if kept else "; no finished run is stale")


@command("daso keep --bundle bundles/daso")
@click.argument(
    "runs",
    nargs=-1,
    metavar="[RUN]...",
    help=f"{RUN_ID}, evaluated; with --bundle, some of its runs.",
    shell_complete=run_ids,
)
@click.option("--bundle", type=PATH, help="Folder of a trained bundle; without RUN, all of its finished runs.")
def keep(runs: tuple[str, ...], bundle: Path | None) -> None:
    """Keep metrics and history of runs in reports/measured/."""
    from daso.workspace.archive import keep, keep_bundle

    if not (runs or bundle):
        raise DasoError("keep: expected runs or a --bundle of finished runs, got neither; name them")
    for folder in keep_bundle(bundle, runs) if bundle else map(keep, runs):
        logging.info("%s: kept", folder)


@command("daso reference quickstart")
@click.argument("suite", help="Name of a suite whose runs are all finished.", shell_complete=files_of("suites"))
def reference(suite: str) -> None:
    """Write the numbers of a finished suite to reports/reference/.

    Later reports of the suite are compared with them.
    """
    from daso.report.suite_report import write_reference

    logging.info("%s: written", write_reference(suite))


@command("daso publish")
@click.option(
    "--suite",
    help="Stop with an error if params/pipeline.yaml names a different suite.",
    shell_complete=files_of("suites"),
)
def publish(suite: str | None) -> None:
    """Record the default suite's results in DVC and push them."""
    from daso.workspace import workflow_lock
    from daso.workspace.publish import publish

    with workflow_lock.held("publish"):
        _print_lines(publish(suite))


@command("daso prune", "daso prune --yes")
@click.option("--yes", is_flag=True, help="Delete the listed files; default: list them only.")
def prune(yes: bool) -> None:
    """List, or delete with --yes, files that no suite refers to."""
    from daso.workspace import workflow_lock
    from daso.workspace.prune import unreferenced

    with workflow_lock.held("prune") if yes else nullcontext():
        paths = _print_lines(unreferenced(delete=yes))
    if paths:
        logging.info("%d paths %s", paths, "deleted" if yes else "to delete; `daso prune --yes` deletes them")
    else:
        logging.info("nothing to delete")


def _keep_model(suite: str, out: Path) -> None:
    """Keep the recommended model of a report, if it has one, for predictions after the runs have changed."""
    from daso.paths import RECOMMENDED_FILE

    if (out / "tables" / RECOMMENDED_FILE).exists():
        from daso.deploy.find import keep_model

        try:
            logging.info("%s: model kept", keep_model(suite))
        except DasoError as error:  # such as features that are not on this machine
            logging.warning("no model kept: %s", error)


def _write_key(folder: Path, key: str | None) -> None:
    """Write the key of a page, if any, after the page: it makes the page current."""
    from daso.data.files import write_file

    if key:
        write_file(folder / "key", f"{key}\n".encode())


def _print_lines(lines: Iterable[object]) -> int:
    """Print each line as soon as it is known; return their number."""
    count = 0
    for line in lines:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
        count += 1
    return count
