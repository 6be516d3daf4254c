import numpy as np
import pytest

from daso.data.class_sizes import long_tail
from daso.data.expansion import sampling_rates, select_pseudo_labels
from daso.errors import DataError

# (N_(K-1-r) / N_0) ** (1/3), computed independently.
MU_500 = [0.215443, 0.251984, 0.296250, 0.358305, 0.423582, 0.503968, 0.598142, 0.710059, 0.842494, 1]
MU_1500 = [0.215443, 0.255436, 0.301230, 0.358305, 0.426045, 0.504842, 0.599382, 0.710939, 0.843120, 1]
MU_STL = [0.464159, 0.502212, 0.550321, 0.597521, 0.648979, 0.706960, 0.771944, 0.840297, 0.917886, 1]


@pytest.mark.parametrize(("n1", "gamma", "expected"), [(500, 100, MU_500), (1500, 100, MU_1500), (150, 10, MU_STL)])
def test_sampling_rates_equal_the_oracle(n1, gamma, expected):
    np.testing.assert_allclose(sampling_rates(long_tail(n1, gamma, 10), 1 / 3), expected, atol=1e-6)


def test_selected_counts_equal_the_oracle():
    """With n1 500 and gamma 100, 5000 ... 3 predicted images give 1077 655 385 179 127 75 35 21 6 3 selected ones."""
    predicted = np.repeat(np.arange(10), [5000, 2600, 1300, 500, 300, 150, 60, 30, 8, 3])
    rows, labels = select_pseudo_labels(
        np.eye(10, dtype=np.float32)[predicted], sampling_rates(long_tail(500, 100, 10), 1 / 3)
    )
    assert np.bincount(labels).tolist() == [1077, 655, 385, 179, 127, 75, 35, 21, 6, 3]
    assert (predicted[rows] == labels).all()
    assert len(set(rows.tolist())) == len(rows)


def test_most_confident_pseudo_labels_are_selected():
    """At rate 1/2, of class 0's margins 1, 4, 2, 3 those with 4 and 3 are selected; of class 1's single one, none."""
    logits = np.array([[1, 0], [4, 0], [2, 0], [3, 0], [0, 9]], dtype=np.float32)
    rows, labels = select_pseudo_labels(logits, np.array([0.5, 0.5]))
    assert (rows.tolist(), labels.tolist()) == ([1, 3], [0, 0])


def test_confidence_is_the_softmax_over_all_classes():
    """e^2 / (e^2 + 2) = .787 exceeds e^2.1 / (e^2.1 + e^2 + 1) = .493: the larger logit is less confident."""
    rows, _ = select_pseudo_labels(np.array([[2.1, 2, 0], [2, 0, 0]], dtype=np.float32), np.array([0.5, 1, 1]))
    assert rows.tolist() == [1]


def test_sampling_rates_do_not_depend_on_the_numbering_of_classes():
    sorted_rates = sampling_rates((80, 40, 10), 0.5)
    np.testing.assert_array_equal(sampling_rates((10, 80, 40), 0.5), sorted_rates[[2, 0, 1]])


def test_selection_does_not_depend_on_the_numbering_of_classes():
    logits = np.random.RandomState(0).randn(200, 4).astype(np.float32)
    order, counts = np.array([2, 0, 3, 1]), np.array([40, 20, 10, 5])
    rows, labels = select_pseudo_labels(logits, sampling_rates(counts, 1 / 3))
    rows_again, labels_again = select_pseudo_labels(logits[:, order], sampling_rates(counts[order], 1 / 3))
    assert dict(zip(rows.tolist(), labels.tolist(), strict=True)) == dict(
        zip(rows_again.tolist(), order[labels_again].tolist(), strict=True)
    )


def test_class_without_labels_and_non_finite_logits_are_refused():
    with pytest.raises(DataError, match="class 1 has no labeled images, so its sampling rate is undefined; label"):
        sampling_rates((3, 0), 1 / 3)
    with pytest.raises(DataError, match="not finite"):
        select_pseudo_labels(np.array([[np.nan, 0]], dtype=np.float32), np.ones(2))
