"""Whether the parts of a method suit each other: one rule, for parts that are built and for those only read about."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator


def incompatibilities(
    learner: str,
    makes: Collection[str],
    views: Collection[str],
    addons: Iterable[tuple[str, frozenset[str], frozenset[str]]],
    unlabeled_ratio: int,
) -> Iterator[str]:
    """What is wrong where an add-on reads what its learner never makes, two bend the same logits, or batches lack some.

    `learner` and `addons` are named by their classes; `makes` and the second of each add-on are keys of `step.out`, the
    third the roles that it adjusts, `views` those of unlabeled images.
    """
    taken: dict[str, str] = {}
    for addon, needs, adjusts in addons:
        if lacking := needs - {"key", *makes}:
            yield (
                f"add-on '{addon}' reads {', '.join(sorted(lacking))}, which '{learner}' does not make; "
                "choose another learner"
            )
        for role in sorted(adjusts & taken.keys()):
            yield f"add-ons '{taken[role]}' and '{addon}' both adjust the logits of the role '{role}'; leave it to one"
        taken |= dict.fromkeys(adjusts, addon)
    if bool(views) != bool(unlabeled_ratio):
        yield (
            f"unlabeled_ratio: {unlabeled_ratio} does not suit '{learner}', which reads "
            f"{'unlabeled images' if views else 'labeled images only'}"
        )


def no_unlabeled(method: str) -> str:
    """Return the line for a method that trains on unlabeled images, in a setting that leaves none."""
    return (
        f"no unlabeled images, which method '{method}' requires; set another number of images in the setting, or use a "
        "method with unlabeled_ratio: 0, such as supervised"
    )
