"""Read the record of a store's oracle labels, see `daso.data.oracle`, without numpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from daso.data.files import read_checksummed

ORACLE_RECORD = "oracle.json"
SHA256 = "labels_sha256"  # field of the digest that metrics depend on
ORACLE_FIX = "run `daso oracle-labels` again, or delete it"


def read_oracle_record(folder: Path) -> dict[str, Any] | None:
    """Return the record beside a store, None without oracle labels; raises DataError if it is damaged."""
    path = folder / ORACLE_RECORD
    return read_checksummed(path, "record of oracle labels", ORACLE_FIX) if path.exists() else None
