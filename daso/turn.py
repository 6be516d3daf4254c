"""One Snakemake at a time in a working copy.

Snakemake's own lock knows files, not processes: it outlives a killed call, and the end of any call takes it away from
the others. A lock of the kernel does neither.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from snakemake.cli import get_argument_parser

FILE = Path(".snakemake/turn.lock")
OWN = Path(".snakemake/locks")  # Snakemake's
# Options of calls that change no output, and of one that wants no lock.
LOOKS = (
    *("dryrun", "summary", "detailed_summary", "list_changes", "list_input_changes", "list_params_changes"),
    *("list_rules", "list_target_rules", "list_untracked", "dag", "rulegraph", "filegraph", "d3dag"),
    *("report", "lint", "print_compilation", "unlock", "nolock"),
)


def take(arguments: Sequence[str]) -> IO[str] | None:
    """Wait until no other call works in this folder, saying for which one; the lock lasts as long as the file is open.

    `arguments` are those of `snakemake`; a call that only looks has no need to wait, and gets None. What a killed call
    has left of Snakemake's own lock is removed.
    """
    options, _ = get_argument_parser().parse_known_args(list(arguments))
    if any(getattr(options, name, None) for name in LOOKS):
        return None
    FILE.parent.mkdir(exist_ok=True)
    file = FILE.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = FILE.read_text().strip() or "it has just begun"
        sys.stderr.write(f"waiting for the call that works in this folder ({holder})\n")
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError:
        sys.stderr.write(f"{FILE}: this file system has no locks; let one snakemake at a time work here\n")
        return file
    file.truncate(0)
    file.write(f"process {os.getpid()} on {os.uname().nodename}: snakemake {shlex.join(arguments)}\n")
    file.flush()
    shutil.rmtree(OWN, ignore_errors=True)
    OWN.mkdir()
    return file
