"""Fewer methods that together have all that the others are made of."""

from daso.config.params import Tree, parts


def chooses(methods: dict[str, Tree], name: str) -> bool:
    """Return True for a whole recipe, or an ablation that changes a word, to a word, or to nothing."""
    method = methods[name]
    base = methods.get(method.get("of"), {})
    before = {f"{part['name']}.{key}": value for _, part in parts(base) for key, value in part.items()} if base else {}
    words = (value for key, value in method.get("change", {}).items() for value in (value, before.get(key)))
    return not base or any(isinstance(value, str) or not value for value in words)


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
