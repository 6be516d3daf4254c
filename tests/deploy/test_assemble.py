"""Runs of which a model is assembled."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from daso.deploy import assemble
from daso.errors import DataError

CONFIG = {
    "method": {"name": "cdmad"},
    "plan": {"features": {"key": "k"}},
    **{part: {} for part in ("protocol", "optimizer", "dataset", "setting")},
}


@pytest.mark.parametrize("change", [{"method": {"name": "fixmatch"}}, {"plan": {"features": {"key": "other"}}}])
def test_runs_of_another_method_or_on_other_features_are_refused(change, monkeypatch):
    names = ["flowers/all/photos/cdmad/s0", "flowers/all/photos/cdmad/s1"]
    runs = {
        name: SimpleNamespace(folder=Path(name), config=config, result={"provenance": {"data_sha256": "d"}})
        for name, config in zip(names, (CONFIG, CONFIG | change), strict=True)
    }
    monkeypatch.setattr(assemble, "load_finished_run", lambda folder, name: runs[name])
    monkeypatch.setattr(assemble, "load_store", lambda folder: SimpleNamespace(sha256="d"))
    with pytest.raises(DataError) as error:
        assemble.model_of_runs("flowers", names)
    assert str(error.value) == (
        f"{names[0]}: has changed since {names[1]} was trained; run `snakemake {names[1]}/train.json`"
    )
