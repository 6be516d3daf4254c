"""Command line: `daso <command>`.

`train --config` and `train --bundle` read resolved JSON, so that they run where no YAML reader is installed; every
command imports its modules when it is called.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from daso.commands import data, debias, deploy, export, inspect, labels, lists, results, train
from daso.errors import DasoError, error_line

PANELS: dict[str, list[click.Command]] = {
    "Run": [train.train, inspect.plan, inspect.watch, train.resolve, train.bundle],
    "Look": [inspect.list_, inspect.explain, inspect.cell],
    "Results": [
        results.report,
        train.corrections,
        results.contradictions,
        results.adopt,
        results.revalidate,
        results.keep,
        results.reference,
        results.publish,
        results.prune,
    ],
    "Photographs": [
        deploy.predict,
        export.export,
        lists.pseudo_labels,
        lists.suspects,
        lists.next_,
        lists.outliers,
        labels.label,
        labels.label_studio,
    ],
    "Data": [data.init, data.download, data.split, data.oracle_labels, debias.debias],
    "Called by the workflow": [data.encode, data.fit, data.derive, data.estimate, train.evaluate],
}
EAGER: dict[str, Any] = {"is_flag": True, "is_eager": True, "expose_value": False}


class Commands(click.Group):
    """Commands under headings; errors that a user can fix are one line on stderr."""

    def __init__(self, panels: Mapping[str, Sequence[click.Command]], **settings: object) -> None:
        super().__init__(
            commands=[command for panel in panels.values() for command in panel],
            context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
            **settings,  # type: ignore[arg-type]
        )
        self.panels = panels

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Print the help if there are no arguments."""
        return super().parse_args(ctx, args or ["--help"])

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section for each panel."""
        width = max(map(len, self.commands))
        for title, commands in self.panels.items():
            with formatter.section(title):
                formatter.write_dl([(f"{each.name:{width}}", (each.help or "").split("\n")[0]) for each in commands])

    def invoke(self, ctx: click.Context) -> None:
        """Run a command; exit with status 1 after a printed error, 130 after Ctrl-C, 141 after a closed pipe."""
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
        try:
            _check_working_copy()
            super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:  # the reader of the pipe, such as `head`, has closed it
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(141)
        except (DasoError, OSError) as error:
            sys.stderr.write(f"{error_line(error)}\n")
            ctx.exit(1)
        except KeyboardInterrupt:
            ctx.exit(130)

    def run(self, name: str, argv: Sequence[str] | None = None) -> int:
        """Run the command that the arguments name; return the exit status."""
        try:
            self.main(argv, name)
        except SystemExit as status:
            return int(status.code or 0)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command of `daso`; return the exit status."""
    return daso.run("daso", argv)


def _check_working_copy() -> None:
    """Raise DasoError if the code of another working copy than the current folder runs."""
    here, code = Path("daso").resolve(), Path(__file__).resolve().parent
    if here != code and (here / "cli.py").exists():
        raise DasoError(
            f"daso: this folder, {here.parent}, is not the working copy that is installed, {code.parent}; "
            "run `python -m daso` here, or install it: `pip install --no-deps --no-build-isolation -e .`"
        )


def _print_version(ctx: click.Context, option: click.Parameter, wanted: bool) -> None:
    if wanted:
        from daso.report.results.project import read_project

        click.echo(f"daso {read_project().version}")
        ctx.exit()


@click.group(cls=Commands, panels=PANELS)
@click.option("--version", **EAGER, callback=_print_version, help="Print the version and exit.")
def daso() -> None:
    """Class-imbalanced semi-supervised learning: train, evaluate and report runs.

    In bash, the TAB key completes commands, options, run ids and names after
    `eval "$(_DASO_COMPLETE=bash_source daso)"`; zsh and fish have `zsh_source` and `fish_source`.
    """
