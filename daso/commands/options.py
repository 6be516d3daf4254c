"""Flags that several commands share, completion of their values, and the reader of a configuration."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from daso.errors import DasoError, closest

PATH = click.Path(path_type=Path, readable=False)
EXISTING_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
RUN_ID = "dataset/setting/protocol/method/s<seed>"
STORE = "Folder of the dataset's images, such as data/store/digits."
MODE_CHOICES = "auto, eager, compiled, graph or compiled_graph"

Completion = Callable[[click.Context, click.Parameter, str], list[str]]
device = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")


class Command(click.Command):
    """Command that names its arguments and options if a given option is unknown and not close to one of them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments, as click does."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if error.possibilities:
                raise
            parameters = self.get_params(ctx)
            arguments = [name for each in parameters if isinstance(each, click.Argument) for name in each.opts]
            options = [name for each in parameters if isinstance(each, click.Option) for name in each.opts[-1:]]
            name = closest(error.option_name.lstrip("-"), arguments)
            hint = f"Give {name.upper()} without an option." if name else f"Choose one of {', '.join(options)}."
            raise click.NoSuchOption(error.option_name, f"{error.message} {hint}", ctx=ctx) from None


def command(*examples: str, name: str | None = None) -> Callable[[Callable[..., None]], click.Command]:
    """Return a decorator that makes a command, whose help is the docstring, ending with these examples."""
    heading = "Example:" if len(examples) == 1 else "Examples:"
    return click.command(name, cls=Command, epilog="\n  ".join((f"\b\n{heading}", *examples)))


def files_of(kind: str) -> Completion:
    """Return the completion of a name by the files of `params/<kind>/`."""
    return lambda context, parameter, start: sorted(path.stem for path in Path("params", kind).glob(f"{start}*.yaml"))


def run_ids(context: click.Context, parameter: click.Parameter, start: str) -> list[str]:
    """Complete the id of a run of any suite; return nothing if params/ have an error."""
    from daso.config.load import load_params
    from daso.config.resolve import runs

    try:
        params = load_params()
        return sorted({run.id for suite in params.suites for run in runs(params, suite) if run.id.startswith(start)})
    except DasoError:
        return []


def reject(options: dict[str, Any], fix: str) -> None:
    """Raise UsageError if an option is set that has no effect here; `options` are all such by name, None if not set."""
    if given := [name for name, value in options.items() if value is not None]:
        raise click.UsageError(f"{', '.join(given)}: not allowed {fix}")


def configuration(path: Path, find_error: Callable[[dict[str, Any]], str | None] = lambda tree: None) -> dict[str, Any]:
    """Return the object of a JSON file, or of stdin if `path` is -.

    Raises DasoError if it is not a JSON object, or if `find_error` returns an error in it.
    """
    from daso.data.files import MAX_JSON_BYTES

    try:
        with nullcontext(sys.stdin.buffer) if str(path) == "-" else path.open("rb") as file:
            tree: dict[str, Any] = json.loads(file.read(MAX_JSON_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise DasoError(f"{path}: not a readable JSON configuration ({error})") from error
    if not isinstance(tree, dict):
        raise DasoError(f"{path}: expected a configuration, got a {type(tree).__name__}; `daso resolve` prints one")
    if problem := find_error(tree):
        raise DasoError(f"{path}: not a configuration of this command: {problem}; `daso resolve` prints a run's")
    return tree
