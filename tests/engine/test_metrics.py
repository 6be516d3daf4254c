from daso.engine.metrics import summarise


def test_best_accuracy_is_selected_by_validation():
    """`best` is the test accuracy at the first maximum of the validation accuracy, not the highest test accuracy."""
    series, validation = [0.1, 0.9, 0.5, 0.7, 0.6], [0.2, 0.3, 0.8, 0.8, 0.1]
    assert summarise(series, validation, 3) == {"last": 0.6, "best": 0.5, "median": 0.6, "median_of": 3}
    assert summarise(series, [], 20) == {"last": 0.6, "best": None, "median": 0.6, "median_of": 5}
