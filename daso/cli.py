"""Command line: `daso <command>`.

Commands that train read resolved JSON, so that they run where no YAML reader is installed; every command imports its
modules when it is called.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from daso.commands import data, debias, inspect, results, train
from daso.commands.flags import OPTIONS, Option
from daso.errors import DasoError, error_line

Command = Callable[[argparse.Namespace], None]
COMMANDS: dict[str, Command] = {
    # Read-only.
    "list": inspect.list_,
    "watch": inspect.watch,
    "explain": inspect.explain,
    "cell": inspect.cell,
    "plan": inspect.plan,
    "resolve": train.resolve,
    # Results in drafts/, outside of the workflow.
    "train": train.train,
    "report": results.report,
    "contradictions": results.contradictions,
    "debias": debias.debias,
    # Runs from other machines, archives, DVC.
    "bundle": train.bundle,
    "adopt": results.adopt,
    "revalidate": results.revalidate,
    "keep": results.keep,
    "reference": results.reference,
    "publish": results.publish,
    "prune": results.prune,
    # Called by the rules of the workflow, as `train`, `report` and `contradictions` are.
    "download": data.download,
    "split": data.split,
    "derive": data.derive,
    "estimate": data.estimate,
    "evaluate": train.evaluate,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command of `daso`; return the exit status."""
    if (here := Path("daso").resolve()) != (code := Path(__file__).resolve().parent) and (here / "cli.py").exists():
        sys.stderr.write(
            f"daso: this folder, {here.parent}, is not the working copy that is installed, {code.parent}; "
            "run `python -m daso` here, or install it: `pip install --no-deps --no-build-isolation -e .`\n"
        )
        return 1
    return execute(parser("daso", "Class-imbalanced semi-supervised learning.", COMMANDS, OPTIONS), argv)


def execute(parser: argparse.ArgumentParser, argv: Sequence[str] | None = None) -> int:
    """Run the command that `parser` reads and return the exit status; print an error that a user can fix on stderr."""
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        command: Command = args.command
        command(args)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of the pipe, such as `head`, has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (DasoError, OSError) as error:
        sys.stderr.write(f"{error_line(error)}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def parser(
    prog: str, description: str, commands: Mapping[str, Command], options: Mapping[str, Sequence[Option]]
) -> argparse.ArgumentParser:
    """Return a parser with a subcommand for each command, whose docstring is its help text."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument("--version", action="version", version=f"daso {_version()}")
    parser.set_defaults(command=lambda args: parser.print_help())
    subparsers = parser.add_subparsers(title="commands", metavar="command")
    for name, command in commands.items():
        sub = subparsers.add_parser(name, help=(command.__doc__ or "").splitlines()[0], description=command.__doc__)
        sub.set_defaults(command=command)
        for flag, settings in options[name]:
            sub.add_argument(flag, **settings)
    return parser


def _version() -> str:
    project = Path(__file__).resolve().parents[1] / "pyproject.toml"
    return str(tomllib.loads(project.read_text())["project"]["version"]) if project.exists() else "of unknown version"
