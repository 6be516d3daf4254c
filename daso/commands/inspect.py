"""Read-only commands: list params/ and runs, watch runs, explain a method, find a published cell, forecast a cost."""

from __future__ import annotations

import argparse
import sys

from daso.errors import DasoError

Args = argparse.Namespace


def list_(args: Args) -> None:
    """List methods, datasets, settings, suites, protocols, or runs and their status.

    `list runs` lists the runs of the default suite, `list runs smoke` or `list smoke` those of the suite smoke. A run
    is done, stale (params/ or code have changed since), running, damaged or missing.
    """
    from daso.config.load import load
    from daso.planning.status import format_list

    sys.stdout.write(format_list(load(), args.what, args.suite))


def watch(args: Args) -> None:
    """Show step, accuracy and time left of the runs of a suite that train now, until all runs are done.

    On a terminal the view is renewed every two seconds; Ctrl-C ends it and not the trainings. Otherwise it is printed
    once.
    """
    import time

    from daso.config.load import load
    from daso.planning.watch import INTERVAL, views

    params = load()
    shown = views(params, args.suite or params.suite)
    if not sys.stdout.isatty():
        sys.stdout.write(next(shown))
        return
    from rich.live import Live
    from rich.text import Text

    with Live(auto_refresh=False) as live:
        for view in shown:
            live.update(Text(view), refresh=True)
            time.sleep(INTERVAL)


def explain(args: Args) -> None:
    """Print a method: each option, its value, and the file that sets it.

    The name is a file name in params/methods, or the paper's name with add-ons in any order: fixmatch+la+daso,
    remixmatch+crest+.
    """
    from daso.config.explain import explain, find_method, incompatibilities
    from daso.config.load import load

    params = load()
    method = find_method(params, args.method)
    sys.stdout.write(explain(params, method, args.protocol, args.setting))
    if args.setting and (reasons := incompatibilities(params, method, args.protocol, args.setting)):
        raise DasoError(*reasons)


def cell(args: Args) -> None:
    """Print the runs behind a cell of a table of Oh et al. 2022: status, command, cost.

    A cell is written "table 1, row 6, column 3" or t1 r6 c3; "table 1" prints the table with numbered rows and columns.
    Rows are methods, from top to bottom, and columns settings, from left to right; both are counted from 1 without
    headings. Table 4 has two columns for each setting: the last evaluation and the median.
    """
    from daso.config.load import load
    from daso.planning.cell import cell

    for text in cell(load(), " ".join(args.words) or f"table {args.table}", args.row, args.setting):
        sys.stdout.write(text)


def plan(args: Args) -> None:
    """Forecast the needs of a suite on this machine: runs, device-hours, time, disk space.

    The time of a step is measured by finished runs on this device; --measure times some steps of the methods without
    such runs. The expected times of unfinished runs are saved in journal/plans/; the suite's report compares them with
    the measured times.
    """
    from daso.config.load import load
    from daso.planning.forecast import forecast

    params = load()
    for line in forecast(params, args.suite or params.suite, measure=args.measure):
        sys.stdout.write(f"{line}\n")
