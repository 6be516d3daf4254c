"""States of cells and statistics over seeds, against numbers worked by hand."""

import math

import pytest

from daso.data.files import checksummed
from daso.errors import DataError
from daso.report.collect import collect, spread


def one_cell(suite_of, project, keys=None):
    return collect(suite_of, project.metrics, project.scratch, keys)[0]


@pytest.fixture
def suite(make_suite):
    return make_suite(methods=("fixmatch",), settings=("n500-m4000-l100-u100",))


RUN = "cifar10-lt/n500-m4000-l100-u100/paper/fixmatch"


def test_spread_by_hand():
    """70, 71, 75: mean 72, squares 4 + 1 + 9 = 14, over n - 1 = 2: sqrt 7."""
    found = spread([70.0, 71.0, 75.0])
    assert found.mean == pytest.approx(72.0)
    assert found.std == pytest.approx(math.sqrt(7))
    assert found.n == 3


def test_spread_of_one_and_of_none():
    assert spread([70.0]) == (70.0, None, 1)
    assert spread([]) is None


def test_done(project, suite, make_metrics):
    for seed, level in enumerate((0.70, 0.71, 0.75)):
        project.write_metrics(make_metrics(f"{RUN}/s{seed}", level, seed))
    cell = one_cell(suite, project)
    assert (cell.state, sorted(cell.done)) == ("done", [0, 1, 2])
    assert cell.spread().mean == pytest.approx(72.0)
    assert cell.spread("last").mean == pytest.approx(71.9)
    assert cell.spread("best").mean == pytest.approx(72.2)
    assert cell.spread("adjusted").std == pytest.approx(math.sqrt(7))


def test_partial_running_and_missing(project, suite, make_metrics):
    assert one_cell(suite, project).state == "missing"
    project.resume_state(f"{RUN}/s0")
    cell = one_cell(suite, project)
    assert (cell.state, cell.running, cell.spread()) == ("running", (0,), None)
    project.write_metrics(make_metrics(f"{RUN}/s1", 0.7, 1))
    cell = one_cell(suite, project)
    assert (cell.state, cell.running, cell.spread().n) == ("partial", (0,), 1)


def test_stale_metrics_never_count(project, suite, make_metrics):
    for seed in range(3):
        project.write_metrics(make_metrics(f"{RUN}/s{seed}", 0.7, seed))
    keys = {f"{RUN}/s0": "another key", f"{RUN}/s1": "k" * 16}
    cell = one_cell(suite, project, keys)
    assert (cell.state, sorted(cell.done), cell.stale) == ("partial", [1, 2], (0,))


def test_resume_state_of_another_key_is_not_running(project, suite):
    project.resume_state(f"{RUN}/s0", key="old")
    assert one_cell(suite, project, {f"{RUN}/s0": "new"}).running == ()
    assert one_cell(suite, project, {f"{RUN}/s0": "old"}).running == (0,)


def test_a_measure_that_was_not_taken(project, suite, make_metrics):
    metrics = make_metrics(f"{RUN}/s0", 0.7)
    metrics["top1"]["best"] = None
    project.write_metrics(metrics)
    cell = one_cell(suite, project)
    assert cell.spread("best") is None
    assert cell.spread("few").n == 1


def test_metrics_of_another_run_or_no_json(project, suite, make_metrics):
    metrics = make_metrics(f"{RUN}/s0", 0.7)
    project.write_metrics(metrics)
    path = project.metrics / f"{RUN}/s0.json"
    path.write_bytes(checksummed({**metrics, "run": f"{RUN}/s1"}))
    with pytest.raises(DataError, match="not the metrics of"):
        one_cell(suite, project)
    path.write_bytes(checksummed(metrics).replace(b"0.7", b"0.8"))
    with pytest.raises(DataError, match="checksum mismatch"):
        one_cell(suite, project)
    path.write_text("{")
    with pytest.raises(DataError, match="not a readable file of metrics"):
        one_cell(suite, project)


def test_metrics_need_a_name_for_each_class(project, suite, make_metrics):
    metrics = make_metrics(f"{RUN}/s0", 0.7)
    project.write_metrics({**metrics, "classes": metrics["classes"][1:]})
    with pytest.raises(DataError, match="classes does not have a name for each class"):
        one_cell(suite, project)


def test_order_is_the_suites(project, make_suite):
    cells = collect(make_suite(), project.metrics, project.scratch)
    assert [(c.setting[:5], c.method) for c in cells[2:4]] == [("n500-", "fixmatch_daso"), ("n1500", "supervised")]
