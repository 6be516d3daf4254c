from daso.engine.metrics import summarise


def test_best_accuracy_is_selected_by_validation():
    """`best` is the test accuracy at the first maximum of the validation accuracy, not the highest test accuracy."""
    series, validation = [0.1, 0.9, 0.5, 0.7, 0.6], [0.2, 0.3, 0.8, 0.8, 0.1]
    assert summarise(series, validation, 3) == {"last": 0.6, "best": 0.5, "median": 0.6, "median_of": 3}
    assert summarise(series, [], 20) == {"last": 0.6, "best": None, "median": 0.6, "median_of": 5}


def test_last_evaluation_and_median_of_the_last_twenty():
    """The last 20 of 22 evaluations are 52, ..., 60; in order, their 10th and 11th are both 53. Never the maximum."""
    history = [50, 51, 52, 53, 54, 55, 54, 53, 52, 51, 50, 52, 54, 56, 58, 57, 55, 53, 51, 49, 47, 60]
    assert summarise(history, [], 20) == {"last": 60, "best": None, "median": 53.0, "median_of": 20}
    assert summarise([40, 41, 42], [], 20) == {"last": 42, "best": None, "median": 41.0, "median_of": 3}
