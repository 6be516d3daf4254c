import pytest

from tools.bench.measure import interleaved, rates, ratios, scaled, spread


def test_each_round_measures_every_contender_and_begins_with_a_different_one():
    order = []

    def contender(name, seconds):
        def measure():
            order.append(name)
            return seconds + len(order)

        return measure

    times = interleaved({"a": contender("a", 0), "b": contender("b", 10), "c": contender("c", 20)}, 4)
    assert "".join(order) == "abc" + "bca" + "cab" + "abc"
    assert times == {"a": [1, 6, 8, 10], "b": [12, 14, 19, 21], "c": [23, 25, 27, 32]}


def test_spread_is_median_minimum_maximum_and_number():
    assert spread([3.0, 1.0, 2.0]) == (2.0, 1.0, 3.0, 3)
    assert spread([4.0, 1.0]) == (2.5, 1.0, 4.0, 2)
    assert rates([0.5, 0.25, 0.1]) == pytest.approx((4.0, 2.0, 10.0, 3))
    assert scaled([0.5, 0.25, 1.0], 1e3) == (500.0, 250.0, 1000.0, 3)


def test_ratio_is_the_median_of_ratios_within_rounds():
    """2/1, 4/4 and 9/3 have the median 2; the ratio of the medians would be 4/3."""
    assert ratios([2.0, 4.0, 9.0], [1.0, 4.0, 3.0]) == (2.0, 1.0, 3.0, 3)
