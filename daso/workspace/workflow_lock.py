"""Workflow lock: one `snakemake`, or one command that changes its outputs, at a time in a working copy.

Snakemake's own lock stays behind after a kill and is removed by the call that ends first, so the profiles disable it. A
kernel lock ends with its process.
"""

from __future__ import annotations

import os
import shlex
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from daso.locks import wait_for_lock, write_holder

FILE = Path(".snakemake/workflow.lock")
HOLDER_VARIABLE = "DASO_WORKFLOW_LOCK"  # process id of the holder; a `snakemake` started by the holder does not wait
GRAPHS = ("dag", "rulegraph", "filegraph", "d3dag", "report")
READ_ONLY = (  # options of calls that change no output
    *("dryrun", "summary", "detailed_summary", "list_changes", "list_input_changes", "list_params_changes"),
    *("list_rules", "list_target_rules", "list_untracked", "lint", "print_compilation", "unlock"),
    *GRAPHS,
)


def is_read_only(given: Namespace) -> bool:
    """Return True for a call that changes no output."""
    return any(getattr(given, name, None) for name in READ_ONLY)


def shows_graph(given: Namespace) -> bool:
    """Return True for a call that draws the graph of all jobs, current ones included."""
    return any(getattr(given, name, None) for name in GRAPHS)


def snakemake_options(arguments: Sequence[str]) -> Namespace:
    """Return the options of a call of `snakemake`, without the options of its profile."""
    from snakemake.cli import get_argument_parser

    given: Namespace = get_argument_parser().parse_known_args(list(arguments))[0]
    return given


def acquire(arguments: Sequence[str]) -> IO[str] | None:
    """Lock this folder for `snakemake` with these arguments; the lock lasts until the returned file is closed.

    Waits for another holder, after a line that names it. Returns None, without a lock, for a read-only call and for a
    call by the holder itself.
    """
    given = snakemake_options(arguments)
    if is_read_only(given) or os.environ.get(HOLDER_VARIABLE) == str(os.getppid()):
        return None
    return _lock(f"snakemake {shlex.join(arguments)}")


@contextmanager
def held(command: str) -> Iterator[None]:
    """Hold the lock while a command works in this folder; a `snakemake` that it calls does not wait for it."""
    with _lock(f"daso {command}"):
        os.environ[HOLDER_VARIABLE] = str(os.getpid())
        try:
            yield
        finally:
            del os.environ[HOLDER_VARIABLE]


def _lock(call: str) -> IO[str]:
    FILE.parent.mkdir(exist_ok=True)
    file = FILE.open("a+")
    wait_for_lock(
        file, FILE, lambda: f"waiting for another call in this folder ({FILE.read_text().strip() or 'just started'})"
    )
    write_holder(file, call)
    return file
