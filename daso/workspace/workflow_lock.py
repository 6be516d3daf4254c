"""Lock that lets one `snakemake`, or one command that changes its outputs, work in a working copy at a time.

Snakemake's own lock, which the profiles turn off, outlives a killed call, and the end of any call removes it for all.
A lock of the kernel ends with its process.
"""

from __future__ import annotations

import os
import shlex
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from daso.data.files import wait_for_lock

FILE = Path(".snakemake/turn.lock")
HOLDER = "DASO_TURN"  # the process that has the turn, for the `snakemake` that it calls itself
# Options of calls that change no output.
GRAPHS = ("dag", "rulegraph", "filegraph", "d3dag", "report")
READ_ONLY = (
    *("dryrun", "summary", "detailed_summary", "list_changes", "list_input_changes", "list_params_changes"),
    *("list_rules", "list_target_rules", "list_untracked", "lint", "print_compilation", "unlock"),
    *GRAPHS,
)


def is_read_only(given: Namespace) -> bool:
    """Return True for a call that changes no output."""
    return any(getattr(given, name, None) for name in READ_ONLY)


def shows_graph(given: Namespace) -> bool:
    """Return True for a call that draws the graph of all jobs, whether current or not."""
    return any(getattr(given, name, None) for name in GRAPHS)


def options(arguments: Sequence[str]) -> Namespace:
    """Return the options of a call of `snakemake`, those of its profile left out."""
    from snakemake.cli import get_argument_parser

    given: Namespace = get_argument_parser().parse_known_args(list(arguments))[0]
    return given


def acquire(arguments: Sequence[str]) -> IO[str] | None:
    """Wait until no other call works in this folder, saying for which one; the lock lasts as long as the file is open.

    `arguments` are those of `snakemake`; a call that only looks has no need to wait, and gets None, and so does one
    whose caller holds the turn.
    """
    given = options(arguments)
    if is_read_only(given) or os.environ.get(HOLDER) == str(os.getppid()):
        return None
    return _taken(f"snakemake {shlex.join(arguments)}")


@contextmanager
def held(verb: str) -> Iterator[None]:
    """Hold the turn while a verb works in this folder; what it calls of Snakemake works in the same turn."""
    with _taken(f"daso {verb}"):
        os.environ[HOLDER] = str(os.getpid())
        try:
            yield
        finally:
            del os.environ[HOLDER]


def _taken(call: str) -> IO[str]:
    FILE.parent.mkdir(exist_ok=True)
    file = FILE.open("a+")
    locked = wait_for_lock(
        file.fileno(),
        lambda: f"waiting for the call that works in this folder ({FILE.read_text().strip() or 'it has just begun'})",
        f"{FILE}: this file system has no locks; let one call at a time work here",
    )
    if locked:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {os.uname().nodename}: {call}\n")
        file.flush()
    return file
