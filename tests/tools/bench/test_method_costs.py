"""Cost of a step in units of another method's."""

import pytest

from tools.bench import method_costs


@pytest.mark.parametrize(("protocol", "method"), [("smoke", "acr"), ("photos", "alpha_tim")])
def test_times_of_methods_are_measured_in_rounds(monkeypatch, protocol, method):
    """alpha-TIM trains on features alone."""
    monkeypatch.setattr(method_costs, "SETTING", "digits/n20-m80-l20-u10r")
    times = method_costs.measure(["fixmatch", method], protocol, steps=1, repeats=2, device="cpu")
    assert list(times) == ["fixmatch", method]
    assert all(len(seconds) == 2 and min(seconds) > 0 for seconds in times.values())


@pytest.mark.parametrize("row", ["| FixMatch | 2 | 1.00 (1.00 to 1.00) |", "| ACR | 3.5 | 1.75 (1.50 to 2.00) |"])
def test_table_has_the_median_of_ratios_within_rounds(row):
    """3 / 2 and 4 / 2 have the median 1.75, the times 3 and 4 the median 3.5."""
    table = list(method_costs.markdown({"fixmatch": [2.0, 2.0], "acr": [3.0, 4.0]}, ["FixMatch", "ACR"], "command"))
    assert row in table
