"""Choose few methods that together have all traits of the others."""

from daso.aliases import Tree
from daso.config.params import components


def traits(method: Tree) -> set[tuple]:
    """Return the learner, the add-ons and the plan of a method, and their options that are texts or flags."""
    options = ((part["name"], item) for _, part in components(method) for item in part.items())
    return {(part, *item) for part, item in options if isinstance(item[1], str | bool)}


def covering(methods: dict[str, Tree]) -> list[str]:
    """Choose methods that together have every trait, greedily: each next method adds the most new traits."""
    of = {name: traits(method) for name, method in methods.items()}
    chosen, left = [], set().union(*of.values())
    while left:
        chosen.append(max(of, key=lambda name: len(of[name] & left)))
        left -= of[chosen[-1]]
    return chosen
