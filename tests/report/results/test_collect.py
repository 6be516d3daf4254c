"""Status of cells and statistics over seeds, against numbers computed by hand."""

import math

import pytest

from daso.data.files import checksummed
from daso.errors import DataError
from daso.report.results.collect import collect, mean_std


def one_cell(suite, project, keys=None):
    return collect(suite, project.metrics, project.scratch, keys)[0]


@pytest.fixture
def suite(make_suite):
    return make_suite(methods=("fixmatch",), settings=("n500-m4000-l100-u100",))


RUN = "cifar10-lt/n500-m4000-l100-u100/paper/fixmatch"


def test_mean_std_of_three_values():
    """70, 71, 75: mean 72, squares 4 + 1 + 9 = 14, over n - 1 = 2: sqrt 7."""
    result = mean_std([70.0, 71.0, 75.0])
    assert result.mean == pytest.approx(72.0)
    assert result.std == pytest.approx(math.sqrt(7))
    assert result.n == 3


def test_mean_std_of_one_value_and_of_an_empty_list():
    assert mean_std([70.0]) == (70.0, None, 1)
    assert mean_std([]) is None


def test_done_cell_has_mean_and_std_of_its_measures(project, suite, make_metrics):
    for seed, level in enumerate((0.70, 0.71, 0.75)):
        project.write_metrics(make_metrics(f"{RUN}/s{seed}", level, seed))
    cell = one_cell(suite, project)
    assert (cell.status, sorted(cell.done)) == ("done", [0, 1, 2])
    assert cell.mean_std().mean == pytest.approx(72.0)
    assert cell.mean_std("last").mean == pytest.approx(71.9)
    assert cell.mean_std("best").mean == pytest.approx(72.2)
    assert cell.mean_std("adjusted").std == pytest.approx(math.sqrt(7))


def test_status_is_missing_running_or_partial(project, suite, make_metrics):
    assert one_cell(suite, project).status == "missing"
    project.write_checkpoint(f"{RUN}/s0")
    cell = one_cell(suite, project)
    assert (cell.status, cell.running, cell.mean_std()) == ("running", (0,), None)
    project.write_metrics(make_metrics(f"{RUN}/s1", 0.7, 1))
    cell = one_cell(suite, project)
    assert (cell.status, cell.running, cell.mean_std().n) == ("partial", (0,), 1)


def test_stale_metrics_never_count(project, suite, make_metrics):
    for seed in range(3):
        project.write_metrics(make_metrics(f"{RUN}/s{seed}", 0.7, seed))
    keys = {f"{RUN}/s0": "another key", f"{RUN}/s1": "k" * 16}
    cell = one_cell(suite, project, keys)
    assert (cell.status, sorted(cell.done), cell.stale) == ("partial", [1, 2], (0,))


def test_checkpoint_with_a_different_key_is_not_running(project, suite):
    project.write_checkpoint(f"{RUN}/s0", key="old")
    assert one_cell(suite, project, {f"{RUN}/s0": "new"}).running == ()
    assert one_cell(suite, project, {f"{RUN}/s0": "old"}).running == (0,)


def test_missing_measure_has_no_mean(project, suite, make_metrics):
    metrics = make_metrics(f"{RUN}/s0", 0.7)
    metrics["top1"]["best"] = None
    project.write_metrics(metrics)
    cell = one_cell(suite, project)
    assert cell.mean_std("best") is None
    assert cell.mean_std("few").n == 1


def test_metrics_of_a_different_run_damaged_or_not_json_raise(project, suite, make_metrics):
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
    with pytest.raises(DataError, match="not a readable metrics file"):
        one_cell(suite, project)


def test_cells_are_in_the_order_of_the_suite(project, make_suite):
    cells = collect(make_suite(), project.metrics, project.scratch)
    assert [(c.setting[:5], c.method) for c in cells[2:4]] == [("n500-", "fixmatch_daso"), ("n1500", "supervised")]


def test_equal_means_compare_equal():
    """Both triples sum to 237.35; their float sums differ in the last bit."""
    assert mean_std([71.97, 86.41, 78.97]).mean == mean_std([72.03, 86.35, 78.97]).mean
