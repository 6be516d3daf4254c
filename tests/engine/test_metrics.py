from daso.engine.metrics import summary


def test_summary():
    """The best is the test accuracy where validation was highest first, not the highest test accuracy."""
    series, validation = [0.1, 0.9, 0.5, 0.7, 0.6], [0.2, 0.3, 0.8, 0.8, 0.1]
    assert summary(series, validation, 3) == {"last": 0.6, "best": 0.5, "median": 0.6, "median_of": 3}
    assert summary(series, [], 20) == {"last": 0.6, "best": None, "median": 0.6, "median_of": 5}
