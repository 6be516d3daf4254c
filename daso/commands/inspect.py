"""The verbs that answer: what exists, how a method is run, what stands behind a published cell, what a suite takes."""

from __future__ import annotations

import argparse
import sys

from daso.errors import DasoError

Args = argparse.Namespace


def list_(args: Args) -> None:
    """A line for each of the methods, datasets, settings, suites or protocols, or for each run of a suite.

    `list methods` and so on; `list runs`, those of the default suite; `list runs smoke`, in short `list smoke`. A run
    is done, stale (of another configuration or code), damaged, running or missing.
    """
    from daso.config.load import load
    from daso.planning.status import format_list

    sys.stdout.write(format_list(load(), args.what, args.suite))


def explain(args: Args) -> None:
    """Print the recipe of a method: each option, its value, and where the value comes from.

    A method is named by its file, or in the paper's words, add-ons in any order: fixmatch+la+daso, remixmatch+crest+.
    """
    from daso.config.explain import explain, incompatibilities, method_of
    from daso.config.load import load

    params = load()
    method = method_of(params, args.method)
    sys.stdout.write(explain(params, method, args.protocol, args.setting))
    if args.setting and (found := incompatibilities(params, method, args.protocol, args.setting)):
        raise DasoError(*found)


def cell(args: Args) -> None:
    """Name the runs behind a cell of Oh et al. 2022: how far they are, the command, and what they cost.

    A cell is written "table 1, row 6, column 3" or t1 r6 c3; "table 1" shows the table with its numbers. Rows are its
    methods and columns its settings, from 1, as they are printed from top to bottom and from left to right, headings
    not counted. Table 4 has two columns for each setting, the last evaluation and the median.
    """
    from daso.config.load import load
    from daso.planning.cell import cell

    for text in cell(load(), " ".join(args.words) or f"table {args.table}", args.row, args.setting):
        sys.stdout.write(text)


def plan(args: Args) -> None:
    """Say what a suite still has to do and what that takes here: runs, device-hours, time, disk.

    Paces are those of finished runs on this device; `--measure` takes some steps of the methods that have none. What
    is expected of runs that are not done is kept in journal/plans/, and their report puts it beside what they took.
    """
    from daso.config.load import load
    from daso.planning.forecast import forecast

    params = load()
    for line in forecast(params, args.suite or params.suite, measure=args.measure):
        sys.stdout.write(f"{line}\n")
