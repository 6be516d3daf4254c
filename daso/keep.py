"""Keep a run's numbers with the project, so that they outlive its key: what another machine has measured, for git."""

from __future__ import annotations

import re
from pathlib import Path

from daso.config.keys import MEASURED
from daso.config.params import load
from daso.config.resolve import parse_run
from daso.data.files import read_sealed, sealed, whole_file
from daso.data.finished import finished
from daso.data.shape import misfit
from daso.engine import journal
from daso.errors import DataError
from daso.places import again

COMMIT = re.compile(r"[0-9a-f]{7,40}")


def keep(name: str) -> Path:
    """Copy the metrics and the history of a run into reports/measured/; the folder that holds them.

    What was kept of the run before is replaced. Raises ParamsError when params/ know no such run, and DataError, with
    nothing copied, when it is not evaluated, its metrics are of another training, or nobody can check out its commit.
    """
    run = parse_run(load(), name).id
    source, folder, metrics = Path("runs", run), Path(MEASURED, run), Path("metrics", f"{run}.json")
    for path in (metrics, source / "train.json", source / "history.csv"):
        if not path.exists():
            raise DataError(f"{path}: there is no such file to keep; make it with `snakemake {path}`, or `dvc pull` it")
    found, trained = read_sealed(metrics, "file of metrics"), finished(source, name=run)
    if wrong := misfit(found, {"provenance": dict}):
        raise DataError(f"{metrics}: not the metrics of a run: {wrong}; {again(metrics)}")
    if (found.get("run"), found.get("files")) != (run, trained.result.get("files")):
        raise DataError(f"{metrics}: not the metrics of {source}; {again(metrics)}")
    history = trained.read("history.csv")
    commit = str(found.get("provenance", {}).get("commit"))
    if not COMMIT.fullmatch(commit):
        raise DataError(
            f"{metrics}: made from {commit}, which nobody can check out; commit the code, then train again: "
            f"`rm {journal.place(run)} {source / 'train.json'}`, then `snakemake {metrics}`"
        )
    for name, content in {"history.csv": history, "metrics.json": sealed(found)}.items():  # metrics are read: last
        with whole_file(folder / name) as file:
            file.write(content)
    return folder
