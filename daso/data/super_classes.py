"""Super-classes of a dataset, groups of its classes, by name: the names of the classes of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from daso.errors import DataError, one_line


def super_class_names(super_classes: Mapping[str, Sequence[str]], classes: Sequence[str]) -> list[str]:
    """Return the name of the super-class of each class; raises DataError for a class that has none."""
    name_of = {each: name for name, own in super_classes.items() for each in own}
    if missing := [one_line(each) for each in classes if each not in name_of]:
        raise DataError(f"super_classes: missing class {', '.join(missing)}; add it to a super-class of the dataset")
    return [name_of[each] for each in classes]


def super_class_numbers(super_classes: Mapping[str, Sequence[str]], classes: Sequence[str]) -> tuple[int, ...]:
    """Return the number of the super-class of each class, by name; raises as `super_class_names` does.

    Super-classes without any of these classes have no number, so that an open set has only those of its target classes.
    """
    names = super_class_names(super_classes, classes)
    return tuple(map(sorted(set(names)).index, names))
