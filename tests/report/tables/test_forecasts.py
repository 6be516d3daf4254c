"""Forecast and measured times: sums and ratios computed by hand, and runs that are left out."""

import json

import pytest

from daso.config.keys import Keys
from daso.config.load import load_params
from daso.errors import DataError
from daso.report.results.collect import Cell
from daso.report.tables import forecasts
from daso.report.tables.forecasts import forecast_table

CPU = {"device": "cpu: made up", "threads": 1}
TITLES = {"fixmatch": "FixMatch"}


def cell(*seconds, key="k", provenance=CPU):
    """Return a cell of FixMatch whose seeds took these numbers of seconds."""
    runs = [{"key": key, "speed": {"seconds": time}, "provenance": provenance} for time in seconds]
    done = dict(enumerate(runs))
    return Cell("t", "s", "fixmatch", "d/s/p/fixmatch", tuple(done), done)


def make_forecast(*seconds, key="k", device="cpu: made up, 1 thread"):
    return {f"d/s/p/fixmatch/s{seed}": {"key": key, "device": device, "seconds": s} for seed, s in enumerate(seconds)}


def test_forecast_and_measured_times_are_summed():
    """40 + 80 s forecast, 30 + 60 s measured: 0.75. Two minutes or more are printed in minutes."""
    assert forecast_table([cell(30.0, 60.0)], make_forecast(40.0, 80.0), TITLES).rows == [
        ("cpu: made up, 1 thread", "FixMatch", "2", "2.0 min", "90.0 s", "0.750")
    ]


def test_settings_of_a_method_are_summed():
    other = Cell("t", "r", "fixmatch", "d/r/p/fixmatch", (0,), cell(10.0).done)
    both = make_forecast(40.0) | {"d/r/p/fixmatch/s0": make_forecast(20.0)["d/s/p/fixmatch/s0"]}
    (row,) = forecast_table([cell(50.0), other], both, TITLES).rows
    assert row[2:] == ("2", "60.0 s", "60.0 s", "1.00")


def test_no_ratio_if_the_runs_were_forecast_on_a_different_device():
    (row,) = forecast_table([cell(30.0)], make_forecast(40.0, device="cuda: H"), TITLES).rows
    assert (row[0], row[-1]) == ("cpu: made up, 1 thread, forecast on cuda: H", "–")


@pytest.mark.parametrize(
    ("cells", "forecast"),
    [
        ([cell(30.0)], {}),
        ([cell()], make_forecast(40.0)),
        ([cell(30.0)], make_forecast(40.0, key="another configuration")),
        ([cell(None)], make_forecast(40.0)),
    ],
    ids=["not forecast", "not run", "changed since", "no time"],
)
def test_runs_without_forecast_metrics_or_time_are_left_out(cells, forecast):
    assert forecast_table(cells, forecast, TITLES).rows == []


def test_forecast_is_read_as_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert forecasts.read_forecast("demo") == {}
    forecasts.write_forecast("demo", make_forecast(40.0))
    assert forecasts.read_forecast("demo") == make_forecast(40.0)
    (tmp_path / "journal/plans/demo.json").write_text("{")
    with pytest.raises(DataError, match=r"journal/plans/demo.json: not a readable forecast of a suite"):
        forecasts.read_forecast("demo")


def test_report_has_forecast_times_only_with_a_forecast(project, make_suite, run_ids):
    """Three seeds of each method, 60 s each by the fixture, 50 s each forecast: 3.0 and 2.5 min, ratio 1.20."""
    suite = make_suite(methods=("supervised", "fixmatch"), settings=("n500-m4000-l100-u100",))
    project.fill(suite)
    without = project.build(suite)
    assert "Forecast and measured" not in (without / "index.html").read_text() + (without / "report.md").read_text()
    forecast = {
        run: {"key": "k" * 16, "device": "cpu: made up, 1 thread", "seconds": 50.0} for *_, run in run_ids(suite)
    }
    out = project.build(suite, forecast=forecast)
    row = "| cpu: made up, 1 thread | FixMatch | 3 | 2.5 min | 3.0 min | 1.20 |"
    assert row in (out / "report.md").read_text()
    page = (out / "index.html").read_text()
    assert page.count("".join(f'<td class="number">{value}</td>' for value in ("3", "2.5 min", "3.0 min", "1.20"))) == 2


def test_forecast_changes_only_the_key_of_its_own_report(workspace):
    params = load_params()
    keys = [Keys(params).report(suite) for suite in ("smoke", "quickstart")]
    forecasts.write_forecast("smoke", make_forecast(40.0))
    smoke, quickstart = (Keys(params).report(suite) for suite in ("smoke", "quickstart"))
    assert (smoke != keys[0], quickstart == keys[1]) == (True, True)
    assert json.loads((workspace / "journal/plans/smoke.json").read_text())["suite"] == "smoke"
