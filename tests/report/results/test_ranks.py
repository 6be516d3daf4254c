"""Best methods, ranks and Kendall's tau, counted by hand."""

import pytest

from daso.report.results.collect import Cell, MeanStd
from daso.report.results.judged import JudgedCell
from daso.report.results.published import Published
from daso.report.results.ranks import best, kendall, rank, setting_ranks
from daso.report.results.verdicts import Verdict


def test_best_includes_means_within_its_standard_deviation():
    """76.0 - 0.4 = 75.6 is within, 75.5 is not, whatever its own deviation."""
    means = {"a": MeanStd(76.0, 0.4, 3), "b": MeanStd(75.6, 0.1, 3), "c": MeanStd(75.5, 2.0, 3)}
    assert best(means) == {"a", "b"}


def test_means_that_print_alike_are_both_best():
    """One run each: 76.04 and 75.96 are printed as 76.0, 75.94 as 75.9."""
    means = {"a": 76.04, "b": 75.96, "c": 75.94}
    assert best({method: MeanStd(mean, None, 1) for method, mean in means.items()}) == {"a", "b"}
    assert best({}) == set()


def test_equal_values_share_the_better_rank():
    assert rank({"a": 3.0, "b": 5.0, "c": 3.0, "d": 1.0}) == {"b": 1, "a": 2, "c": 2, "d": 4}


def test_kendall_of_four_methods():
    """1234 against 1243: of six pairs five agree and one does not, (5 - 1) / 6.

    With a tie, 1234 against 1133: four pairs agree, two are tied in one: 4 / sqrt(6 * 4) = 0.8165.
    """
    assert kendall([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(4 / 6)
    assert kendall([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1.0)
    assert kendall([1, 2, 3, 4], [1, 1, 3, 3]) == pytest.approx(0.8165, abs=1e-4)
    assert kendall([1, 2, 3], [5, 5, 5]) is None


def judged(method, ours, published, verdict="agrees"):
    target = None if published is None else Published(published, 0.5, "table 1")
    mean = None if ours is None else MeanStd(ours, 0.5, 3)
    return JudgedCell(Cell("t", "s", method, f"d/s/p/{method}", (0,)), mean, target, Verdict(verdict))


def test_ranks_are_over_methods_with_both_numbers():
    """Ours a > b > c, published a > c > b; d has no published number, e is not run, f is not comparable."""
    cells = [judged("a", 80.0, 79.0), judged("b", 70.0, 60.0), judged("c", 65.0, 66.0)]
    others = [judged("d", 90.0, None, "not comparable"), judged("e", None, 95.0, "not run")]
    others.append(judged("f", 85.0, 85.0, "not comparable"))
    ranks = setting_ranks([*cells, *others])
    assert ranks == ({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 3, "c": 2}, pytest.approx(1 / 3))
    assert setting_ranks([*cells[:2], *others]) is None
