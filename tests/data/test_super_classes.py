import math

import pytest

from daso.data.catalog import OFFICIAL
from daso.data.super_classes import super_class_names, super_class_numbers
from daso.errors import DataError
from tests.repository import PARAMS

BIRDS = {"owl": ["tawny owl", "barn owl"], "finch": ["siskin"], "duck": ["teal"]}


def test_super_classes_are_numbered_by_name():
    """duck 0, finch 1, owl 2, in whatever order they are listed."""
    classes = ["barn owl", "siskin", "tawny owl", "teal"]
    assert super_class_numbers(BIRDS, classes) == (2, 1, 2, 0)
    assert super_class_numbers(dict(reversed(BIRDS.items())), classes) == (2, 1, 2, 0)


def test_super_classes_without_target_classes_have_no_number():
    """In an open set without teal, finch is 0 and owl 1."""
    assert super_class_numbers(BIRDS, ["barn owl", "siskin"]) == (1, 0)


def test_class_without_super_class_is_an_error():
    with pytest.raises(DataError, match="missing class tawny, smew; add it to a super-class"):
        super_class_names(BIRDS, ["tawny", "teal", "smew"])


@pytest.mark.parametrize(("dataset", "kind"), [("cifar10", "cifar10"), ("cifar100", "cifar100"), ("stl10-lt", "stl10")])
def test_official_datasets_have_a_super_class_for_each_four_classes(dataset, kind):
    """Jang et al. 2026: ceil(K / 4), 3 for CIFAR-10 and STL-10, 25 for CIFAR-100."""
    classes = OFFICIAL[kind].classes
    numbers = super_class_numbers(PARAMS.datasets[dataset]["super_classes"], classes)
    assert len(set(numbers)) == math.ceil(len(classes) / 4)


def test_super_classes_of_cifar10_are_those_of_the_released_code():
    groups = PARAMS.datasets["cifar10-lt"]["super_classes"].values()
    numbers = [[OFFICIAL["cifar10"].classes.index(name) for name in group] for group in groups]
    assert numbers == [[0, 1, 8, 9], [2, 6], [3, 4, 5, 7]]
