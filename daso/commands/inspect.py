"""Read-only commands: list params/ and runs, watch runs, explain a method, find a published cell, forecast a cost."""

from __future__ import annotations

import sys

import click

from daso.commands.options import command, files_of, reject
from daso.errors import DasoError

suite_argument = click.argument(
    "suite",
    required=False,
    help="Name of a suite; default: the suite in params/pipeline.yaml.",
    shell_complete=files_of("suites"),
)


def _listable(context: click.Context, parameter: click.Parameter, start: str) -> list[str]:
    from daso.config.inventory import LISTS

    suites = files_of("suites")(context, parameter, start)
    return [*(name for name in (*LISTS, "runs") if name.startswith(start)), *suites]


@command("daso list methods", "daso list runs smoke", name="list")
@click.argument(
    "what",
    default="runs",
    help="methods, datasets, settings, suites, protocols, runs, or a suite, whose runs are listed; default: runs.",
    shell_complete=_listable,
)
@suite_argument
def list_(what: str, suite: str | None) -> None:
    """List methods, datasets, settings, suites or runs by status.

    `list runs` lists the runs of the default suite, `list runs smoke` or `list smoke` those of the suite smoke. A run
    is done, stale (params/ or code have changed since), running, damaged or missing.
    """
    from daso.config.load import load_params
    from daso.planning.status import format_list

    sys.stdout.write(format_list(load_params(), what, suite))


@command("daso watch smoke")
@suite_argument
def watch(suite: str | None) -> None:
    """Show step, accuracy and time left of the runs in training.

    The view ends when all runs of the suite are done. On a terminal it is renewed every two seconds; Ctrl-C ends it
    and not the trainings. Otherwise it is printed once.
    """
    import time

    from daso.config.load import load_params
    from daso.planning.watch import INTERVAL, views

    params = load_params()
    shown = views(params, suite or params.suite)
    if not sys.stdout.isatty():
        sys.stdout.write(next(shown))
        return
    from rich.live import Live
    from rich.text import Text

    with Live(auto_refresh=False) as live:
        for view in shown:
            live.update(Text(view), refresh=True)
            time.sleep(INTERVAL)


@command("daso explain fixmatch+la+daso --setting cifar10-lt/n500-m4000-l100-u100")
@click.argument(
    "method",
    help="Name of a method in params/methods, or in the paper, such as fixmatch+la+daso.",
    shell_complete=files_of("methods"),
)
@click.option("--setting", default="", metavar="DATASET/SETTING", help="Show the values in this setting.")
@click.option(
    "--protocol",
    default="paper",
    show_default=True,
    help="Name of a protocol in params/protocols.",
    shell_complete=files_of("protocols"),
)
def explain(method: str, setting: str, protocol: str) -> None:
    """Print the options of a method, and the file that sets each.

    The name is a file name in params/methods, or the paper's name with add-ons in any order: fixmatch+la+daso,
    remixmatch+crest+.
    """
    from daso.config.explain import explain, find_method, setting_incompatibilities
    from daso.config.load import load_params

    params = load_params()
    method = find_method(params, method)
    sys.stdout.write(explain(params, method, protocol, setting))
    if setting and (reasons := setting_incompatibilities(params, method, protocol, setting)):
        raise DasoError(*reasons)


@command('daso cell "table 1, row 6, column 3"', "daso cell --table 1 --row fixmatch+daso")
@click.argument("words", nargs=-1, metavar="[CELL]", help="Such as t1 r6 c3; t1 alone prints the table.")
@click.option("--table", default="", help="Number of the table, instead of CELL.")
@click.option("--row", default="", help="Number of the row, or the paper's name of its method; with --table.")
@click.option("--setting", default="", metavar="DATASET/SETTING", help="Setting or number of the column; with --table.")
def cell(words: tuple[str, ...], table: str, row: str, setting: str) -> None:
    """Print the runs behind a cell of a table of Oh et al. 2022.

    Each is printed with its status, command and cost. A cell is written "table 1, row 6, column 3" or t1 r6 c3;
    "table 1" prints the table with numbered rows and columns. Rows are methods, from top to bottom, and columns
    settings, from left to right; both are counted from 1 without headings. Table 4 has two columns for each setting:
    the last evaluation and the median.
    """
    from daso.config.load import load_params
    from daso.planning.cell import cell

    if words:
        given = {"--table": table, "--row": row, "--setting": setting}
        reject({name: value or None for name, value in given.items()}, "with CELL; give one of both")
    for text in cell(load_params(), " ".join(words) or (table and f"table {table}"), row, setting):
        sys.stdout.write(text)


@command("daso plan smoke --measure")
@suite_argument
@click.option("--measure", is_flag=True, help="Time some steps of each method not measured on this device yet.")
def plan(suite: str | None, measure: bool) -> None:
    """Forecast the time and disk space that a suite needs here.

    The forecast counts the missing runs of the suite. The time of a step is measured by finished runs on this device;
    --measure times some steps of the methods without such runs. The expected times of unfinished runs are saved in
    journal/plans/; the suite's report compares them with the measured times.
    """
    from daso.config.load import load_params
    from daso.planning.forecast import forecast

    params = load_params()
    for line in forecast(params, suite or params.suite, measure=measure):
        sys.stdout.write(f"{line}\n")
