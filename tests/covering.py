"""Fewer methods that together have all that the others are made of."""

from daso.config.params import Tree, parts


def traits(method: Tree) -> set[tuple]:
    """The learner, the add-ons and the plan of a method, and every choice among their options."""
    words = ((part["name"], item) for _, part in parts(method) for item in part.items())
    return {(part, *item) for part, item in words if isinstance(item[1], str | bool)}


def covering(methods: dict[str, Tree]) -> list[str]:
    """Methods that together have every trait; the next one is always that with the most new ones."""
    of = {name: traits(method) for name, method in methods.items()}
    found, left = [], set().union(*of.values())
    while left:
        found.append(max(of, key=lambda name: len(of[name] & left)))
        left -= of[found[-1]]
    return found
