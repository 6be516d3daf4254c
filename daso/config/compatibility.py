"""Check that the components of a method are compatible, whether they are built or only parsed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator


def incompatibilities(
    learner: str,
    provides: Collection[str],
    views: Collection[str],
    addons: Iterable[tuple[str, frozenset[str], frozenset[str]]],
    unlabeled_ratio: int,
) -> Iterator[str]:
    """Yield an error for each missing output, each role that two add-ons adjust, and an unsuitable unlabeled ratio.

    `learner` is its name, `provides` the keys of `step.out` that it produces, `views` its views of
    unlabeled images. Each add-on is its name, the keys of `step.out` that it reads, and the roles that it
    adjusts.
    """
    adjusted: dict[str, str] = {}
    for addon, needs, adjusts in addons:
        if missing := needs - {"labeled_teacher", "blank", *provides}:
            yield (
                f"add-on '{addon}' reads {', '.join(sorted(missing))}, which learner '{learner}' does not produce; "
                "choose a different learner"
            )
        for role in sorted(adjusts & adjusted.keys()):
            yield f"add-ons '{adjusted[role]}' and '{addon}' both adjust the logits of role '{role}'; remove one"
        adjusted |= dict.fromkeys(adjusts, addon)
    if bool(views) != bool(unlabeled_ratio):
        images, fix = ("unlabeled images", "1 or more") if views else ("labeled images only", "0")
        yield (
            f"unlabeled_ratio: {unlabeled_ratio} is not allowed with learner '{learner}', which reads {images}; "
            f"set it to {fix}"
        )


def no_unlabeled(method: str) -> str:
    """Return the error for a method that requires unlabeled images in a setting that has none."""
    return (
        f"no unlabeled images, which method '{method}' requires; change the number of images in the setting, or use a "
        "method without them, such as supervised"
    )
