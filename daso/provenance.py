"""Snakemake's record of every output, kept beside the outputs so that DVC and Git move both together.

    .snakemake/metadata/<base64 of the path>  <->  <owner>/provenance.json = {path: record}

`sync` imports an owner's file that Git or DVC has changed, `export` writes the files, `mend` replaces records of
Snakemake that are damaged, `orphans` names the outputs that have no record, of which Snakemake could not tell that they
are stale. The owners are the folders that DVC stores.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from daso.data.files import SEAL, digest, read_json, read_sealed, whole_file
from daso.errors import DasoError, DataError

OWNERS = ("data/store", "data/splits", "runs", "metrics", "reports/*")
FILE = "provenance.json"
# What differs between two equal results; a record without them is valid.
VOLATILE = ("starttime", "endtime", "job_hash", "external_jobid")
META, INCOMPLETE, SEEN = (Path(".snakemake") / name for name in ("metadata", "incomplete", "provenance.seen"))
# Snakemake cuts a name of its metadata into folders of this length, each but the last marked by "@".
NAME_LENGTH = 254
Record = dict[str, Any]


def sync() -> None:
    """Import the records of every owner whose file is not the one this working copy has last seen."""
    seen, now = _seen(), {owner: _digest(Path(owner, FILE)) for owner in _owners()}
    for owner in (owner for owner, here in now.items() if here and seen.get(owner) != here):
        for output, record in _imported(Path(owner, FILE)).items():
            _restore(output, record)
    INCOMPLETE.mkdir(parents=True, exist_ok=True)  # Snakemake makes it only together with metadata/
    _write(SEEN, json.dumps(now))


def export() -> None:
    """Write the records of the outputs that exist into their owners' files, where something has changed."""
    found: dict[str, dict[str, Record]] = {}
    for output, path in _records():
        owner = owner_of(output)
        if owner and complete(output):
            record = _record(path)
            found.setdefault(owner, {})[output] = {k: v for k, v in record.items() if k not in VOLATILE}
    for owner, records in found.items():
        text = json.dumps({**records, SEAL: digest(records)}, indent=0, sort_keys=True) + "\n"
        file = Path(owner, FILE)
        if not file.exists() or file.read_text() != text:
            _write(file, text)
    _write(SEEN, json.dumps({owner: _digest(Path(owner, FILE)) for owner in _owners()}))


def mend() -> None:
    """Take each damaged record from its owner's file; where it is not in there, call the job of its output open.

    The others stay: the owners' files know only what had happened when the last call of Snakemake ended by itself.
    """
    for output, path in list(_records()):
        if _readable(path) or _open(output):
            continue
        file = Path(owner_of(output) or "", FILE)
        kept = _imported(file).get(output) if file.exists() else None
        if kept:
            _restore(output, kept)
            sys.stdout.write(f"{output}: its record is back from {file}\n")
            continue
        path.unlink()
        if Path(output).exists():
            mark([output])
            sys.stdout.write(f"{output}: no record of it is kept; `snakemake` makes it again\n")


def orphans(outputs: Iterable[str]) -> list[str]:
    """Outputs that are there without a record, and that no interrupted job has left behind.

    Raises DasoError where a record is damaged: Snakemake would drop it, and take its output for current.
    """
    return [output for output in outputs if Path(output).exists() and not _known(output)]


def complete(output: str) -> bool:
    """Whether Snakemake has recorded an output, and no job is making it again or was killed while it did."""
    return Path(output).exists() and (META / record_name(output)).exists() and not _open(output)


def recorded(output: str, key: str) -> bool:
    """Whether Snakemake has recorded an output as that of a key, and it is complete."""
    path = META / record_name(output)
    if not complete(output) or not _readable(path):
        return False
    params = _record(path).get("params")
    return isinstance(params, list) and repr(key) in params  # texts as Python writes them


def doubt(outputs: Iterable[str]) -> None:
    """Mark outputs without a record as those of an interrupted job."""
    mark(orphans(outputs))


def mark(outputs: Iterable[str]) -> None:
    """Mark outputs as those of an interrupted job, which Snakemake makes again when it needs them."""
    for output in outputs:
        _write(INCOMPLETE / record_name(output), json.dumps({"external_jobid": None}))


def _known(output: str) -> bool:
    """Whether there is a record or an open job, whose record may be half written."""
    path = META / record_name(output)
    return _open(output) or (path.exists() and bool(_record(path)))


def _open(output: str) -> bool:
    """Whether a job is making an output, or was killed while it did."""
    return (INCOMPLETE / record_name(output)).exists()


def owner_of(output: str) -> str | None:
    """The folder whose file keeps the record of `output`."""
    parts = Path(output).parts
    for pattern in (Path(owner).parts for owner in OWNERS):
        if len(parts) > len(pattern) and all(want in ("*", part) for want, part in zip(pattern, parts, strict=False)):
            return "/".join(parts[: len(pattern)])
    return None


def record_name(output: str) -> Path:
    """The path of an output's record below `.snakemake/metadata`."""
    text = base64.urlsafe_b64encode(output.encode()).decode()
    parts = [text[i : i + NAME_LENGTH] for i in range(0, len(text), NAME_LENGTH)]
    return Path(*("@" + part for part in parts[:-1]), parts[-1])


def _records() -> Iterator[tuple[str, Path]]:
    for path in sorted(META.rglob("*")):
        if path.is_file() and path.suffix != ".part":
            name = "".join(part.removeprefix("@") for part in path.relative_to(META).parts)
            yield base64.urlsafe_b64decode(name).decode(), path


def _owners() -> list[str]:
    return sorted(path.as_posix() for owner in OWNERS for path in Path().glob(owner) if path.is_dir())


def _seen() -> dict[str, str]:
    """Digest of each owner's file when it was last imported or written; nothing when the records are gone."""
    return _read(SEEN, "delete it") if SEEN.exists() and META.is_dir() else {}


def _imported(path: Path) -> dict[str, Record]:
    if any(owner_of(output) == path.parent.as_posix() for output, _ in _records()):
        mend = f"have it written anew from Snakemake's own records by `rm {path}`"
    else:
        mend = f"restore it alone by `dvc checkout --force {path}`"
    try:
        records = read_sealed(path, "record", mend)
    except DataError:
        raise DasoError(f"{path}: the file is damaged; {mend}") from None
    del records[SEAL]
    for output, record in records.items():
        if not isinstance(record, dict) or owner_of(output) != path.parent.as_posix():
            raise DasoError(f"{path}: '{output}' has no record of an output of {path.parent}; {mend}")
    return records


def _record(path: Path) -> Record:
    """What Snakemake has noted of an output."""
    return _read(path, "mend it, and what else is damaged, by `python -m daso.provenance mend`")


def _readable(path: Path) -> bool:
    try:
        return bool(_record(path))
    except DasoError:
        return False


def _restore(output: str, record: Record) -> None:
    """Give Snakemake a record back; its output counts as made when its file was."""
    time = Path(output).stat().st_mtime if Path(output).exists() else 0.0
    text = json.dumps({**record, "starttime": time, "endtime": time})
    _write(META / record_name(output), text, durable=False)  # there may be thousands, and `mend` knows where they lie


def _read(path: Path, mend: str) -> dict[str, Any]:
    try:
        return read_json(path, "record", mend)
    except DataError:
        raise DasoError(f"{path}: the file is damaged; {mend}") from None


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""


def _write(path: Path, text: str, *, durable: bool = True) -> None:
    with whole_file(
        path, durable=durable
    ) as file:  # replaced, never written into: it may be a link into the cache of DVC
        file.write(text.encode())


def main(arguments: list[str]) -> int:
    """`python -m daso.provenance export|sync|mend`."""
    verbs = {"export": export, "sync": sync, "mend": mend}
    if len(arguments) != 1 or arguments[0] not in verbs:
        sys.stderr.write("usage: python -m daso.provenance export|sync|mend\n")
        return 2
    try:
        verbs[arguments[0]]()
    except DasoError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
