"""Choose few methods that together have all traits of the others."""

from daso.aliases import Tree
from daso.config.params import components


def changes_text_or_disables(methods: dict[str, Tree], name: str) -> bool:
    """Return True for a complete method, or an ablation that changes a text option or sets one to zero or nothing."""
    method = methods[name]
    base = methods.get(method.get("of"), {})
    before = (
        {f"{part['name']}.{key}": value for _, part in components(base) for key, value in part.items()} if base else {}
    )
    values = (value for key, value in method.get("change", {}).items() for value in (value, before.get(key)))
    return not base or any(isinstance(value, str) or not value for value in values)


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
