"""Results of upstream runs that a run loads: encoder, network and estimate."""

import pytest
import torch

from daso.data.files import checksummed, format_json
from daso.engine import checkpoint
from daso.errors import CheckpointError, DasoError, DataError
from daso.runs import train as training
from daso.runs.train import Job
from tests.engine.world import CONFIG

PLAN = {
    "encoder": {"of": "d/s/p/base/s0", "key": "e1", "statistics": "frozen"},
    "network": {"of": "d/s/p/base/s0", "key": "e1"},
    "estimate": {"of": "d/s/p/survey/s0", "key": "k1", "into": "darp.estimate"},
}


@pytest.fixture
def files(tmp_path):
    """Return the files of two upstream runs: networks of key e1 and an estimate of key k1."""
    networks = {"student": {"weight": torch.ones(2)}, "teacher": {"weight": torch.zeros(2)}}
    checkpoint.save(tmp_path / "final.pt", {"key": "e1"} | networks)
    (tmp_path / "estimate.json").write_bytes(checksummed({"key": "k1", "sizes": [3.0, 1.0]}))
    (tmp_path / "config.json").write_bytes(format_json(CONFIG))
    final = tmp_path / "final.pt"
    return {"encoder": final, "network": final, "estimate": tmp_path / "estimate.json"}


def job(plan, **upstream):
    return Job({**CONFIG, "plan": plan}, *(None,) * 4, **upstream)


def test_results_of_upstream_runs_are_loaded(files):
    """The encoder is the student, the evaluation model of a supervised run; the network is the evaluation model.

    The method of this run evaluates the EMA model. The sizes are set as their option.
    """
    assert training._load_upstream(job({})) == training.UpstreamResults(None, {})
    upstream = training._load_upstream(job(PLAN, **files))
    assert upstream.encoder["weight"].tolist() == [1, 1]
    assert upstream.network["weight"].tolist() == [0, 0]
    assert upstream.options == {"darp.estimate": [3.0, 1.0]}


@pytest.mark.parametrize("name", PLAN)
def test_upstream_file_is_required_if_and_only_if_the_plan_loads_it(files, name):
    with pytest.raises(
        DasoError, match=f"^tiny: missing --{name}; name the file of its upstream run {PLAN[name]['of']}$"
    ):
        training._load_upstream(job({name: PLAN[name]}))
    with pytest.raises(
        DasoError, match=f"^tiny: --{name}: not allowed with a plan that loads no {name}; leave it out$"
    ):
        training._load_upstream(job({}, **{name: files[name]}))


def test_upstream_file_with_a_different_key_is_refused(files):
    for name, error, match in (
        ("encoder", CheckpointError, "belongs to configuration e1, this run is other"),
        ("network", CheckpointError, "belongs to configuration e1, this run is other"),
        ("estimate", DataError, r"estimate\.json: not the estimate other; delete it and create it again"),
    ):
        with pytest.raises(error, match=match):
            training._load_upstream(job({name: PLAN[name] | {"key": "other"}}, **{name: files[name]}))
