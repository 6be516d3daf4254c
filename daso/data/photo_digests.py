"""Digest the content of each photo of a folder; the digests of unchanged files are cached."""

from __future__ import annotations

import hashlib
import json
import stat
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from daso.data.files import file_digest, write_file
from daso.errors import DataError

DIGEST_CACHE = Path(".snakemake/daso")
SETTLED_SECONDS = 2  # a file changed more recently may change again without another time stamp
MAX_FILE_BYTES = 2**28  # bytes of the largest image file
State = list[int]  # size, times of the last change of content and of metadata, inode


def content_digests(root: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of files below a folder by name, empty for a file that cannot be read as an image.

    In a working copy (a folder with a Snakefile), digests are cached by path, size, times and inode of each file.
    """
    cache = DIGEST_CACHE / f"photos-{hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]}.json"
    known = _read_cache(cache)
    cached, digests, now = {}, {}, time.time()
    for name in names:
        state = _state(root / name)
        if state is None:
            digests[name] = ""
            continue
        stored, digest = known.get(name, ([], ""))
        if stored != state:
            try:
                digest = file_digest(root / name, "sha256")
            except OSError:
                digest = ""
        digests[name] = digest
        if digest and max(state[1:3]) < (now - SETTLED_SECONDS) * 1e9:
            cached[name] = (state, digest)
    if cached != known and Path("Snakefile").is_file():
        with suppress(DataError):
            write_file(cache, json.dumps(cached).encode(), durable=False)
    return digests


def _state(path: Path) -> State | None:
    """Return the state of a file; None if it is missing, not a regular file or too large."""
    try:
        status = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_FILE_BYTES:
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _read_cache(path: Path) -> dict[str, tuple[State, str]]:
    """Return state and digest of each file in the cache; empty if it is missing or damaged."""
    with suppress(OSError, ValueError, TypeError, AttributeError):
        tree = json.loads(path.read_text(encoding="utf-8")) if Path("Snakefile").is_file() else {}
        return {name: (list(state), str(digest)) for name, (state, digest) in tree.items()}
    return {}
