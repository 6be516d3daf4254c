import pytest

from daso.ops.super_classes import local_shares, super_class_sizes


def test_sizes_of_super_classes():
    assert super_class_sizes((100, 50, 25, 10, 5), (0, 1, 1, 0, 1)) == (110, 80)


def test_local_shares_are_relative_to_the_largest_class_of_the_super_class():
    """20 of 40 and 40 of 40 in {0, 2}; the class 1 is alone."""
    rows = local_shares((20, 7, 40), (1, 0, 1)).tolist()
    assert rows == [pytest.approx([1, 1, 1]), pytest.approx([0.5, 1, 1])]


def test_super_class_without_images_has_finite_shares():
    assert local_shares((0, 5), (0, 1)).tolist() == [[0, 1], [1, 1]]
