"""Records that a kill or a broken disk has left half written: told or passed over, and nothing done is lost."""

import json
import re
import shlex

import pytest

from daso.provenance import record_name
from tests.workflow.conftest import weigh
from tests.workflow.project import METHODS, SETTING, jobs

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("workflow")]
PLACE = f"digits/{SETTING}/tiny"
RUNS = [f"{PLACE}/{method}/s0" for method in METHODS]
FILES = ("config.json", "history.csv", "predictions.npz", "final.pt", "train.json")


def record(project, output, folder="metadata"):
    return project.path / ".snakemake" / folder / record_name(output)


def told(project, path):
    """The line that a call ends with at a damaged file, and the words of the command that it names."""
    line = project.snakemake(fails=True).splitlines()[-1]
    assert line.startswith(f"{path.relative_to(project.path)}: the file is damaged; "), line
    return shlex.split(re.fullmatch(r".*`(.+)`", line)[1])


@pytest.fixture
def struck(project):
    """Both runs trained anew by a call that was killed before its end, so that no record has gone out and no state."""
    project.edit("protocols/tiny.yaml", lambda tree: tree["optimizer"].update(weight_decay=1e-5))
    before, rules = project.read("runs/provenance.json"), project.read("workflow/rules/common.smk")
    project.replace("workflow/rules/common.smk", "provenance.export()", "return")
    project.snakemake("runs")
    project.write("workflow/rules/common.smk", rules)
    assert project.read("runs/provenance.json") == before
    assert len(list(project.path.glob("scratch/**/*.pt"))) == 2
    project.want = {run: {name: (project.path / "runs" / run / name).read_bytes() for name in FILES} for run in RUNS}
    return project


def assert_no_step_is_repeated(project):
    """Of the two runs only the second is called again, and goes on from its last state, which is the end."""
    said = project.snakemake()
    assert jobs(said)[f"train {METHODS[1]} 0"] == 1
    assert jobs(said)[f"train {METHODS[0]} 0"] == 0
    assert "resumes at step 6 of 6" in project.read(f"logs/train/{RUNS[1]}.log")


def assert_kept(project):
    """The results are those there were, and what is spent is gone."""
    for run in RUNS:
        for name in FILES:
            assert (project.path / "runs" / run / name).read_bytes() == project.want[run][name], f"{run}/{name}"
    assert not list(project.path.glob("scratch/**/*.pt"))
    assert "Nothing to be done" in project.snakemake()


def test_a_kill_while_a_record_is_written_costs_no_step(struck):
    """Its job is still open."""
    output = f"runs/{RUNS[1]}/predictions.npz"
    record(struck, output).write_text("")
    record(struck, output, "incomplete").parent.mkdir(exist_ok=True)
    record(struck, output, "incomplete").write_text('{"external_jobid": null}')
    assert_no_step_is_repeated(struck)
    assert_kept(struck)


def test_a_damaged_record_that_is_nowhere_else_costs_no_step(struck):
    """What comes back from beside the results is the record of the training before."""
    path = record(struck, f"runs/{RUNS[1]}/predictions.npz")
    path.write_text("")
    struck.call(*told(struck, path))
    assert_no_step_is_repeated(struck)
    assert_kept(struck)


def test_damaged_records_come_back(project):
    """All of a run, as a lack of power may leave them."""
    for name in FILES:
        record(project, f"runs/{RUNS[1]}/{name}").write_text("")
    project.call(*told(project, record(project, f"runs/{RUNS[1]}/config.json")))
    assert "Nothing to be done" in project.snakemake()


def test_a_damaged_result_beside_a_left_over_state_stops_no_other_run(project):
    key = json.loads(project.read(f"runs/{RUNS[0]}/train.json"))["key"]
    project.write(f"scratch/{RUNS[0]}/{key}.pt", "the last state")
    project.write(f"runs/{RUNS[0]}/train.json", "{")
    project.edit(f"methods/{METHODS[1]}.yaml", weigh(0.5))
    project.snakemake(f"runs/{RUNS[1]}/train.json")
    assert (project.path / f"scratch/{RUNS[0]}/{key}.pt").exists()


def test_damaged_records_beside_results_of_today_cost_none_of_them(project):
    """The command touches no result: DVC knows only those of yesterday."""
    project.edit(f"methods/{METHODS[1]}.yaml", weigh(0.5))
    project.snakemake()
    new = (project.path / f"runs/{RUNS[1]}/final.pt").read_bytes()
    file = project.path / "runs/provenance.json"
    kept = file.read_bytes()
    file.write_bytes(kept[: len(kept) // 2])
    project.call(*told(project, file))
    assert "Nothing to be done" in project.snakemake()
    assert (project.path / f"runs/{RUNS[1]}/final.pt").read_bytes() == new
    assert file.read_bytes() == kept


def test_damaged_records_that_are_nowhere_else_come_from_dvc_and_nothing_else_does(project):
    project.call("rm", "-r", ".snakemake")
    file, other = project.path / "runs/provenance.json", f"runs/{RUNS[1]}/history.csv"
    kept = file.read_bytes()
    file.write_bytes(kept[: len(kept) // 2])
    project.write(other, "of today")
    project.call(*told(project, file))
    assert file.read_bytes() == kept
    assert project.read(other) == "of today"
    project.snakemake("-n")
