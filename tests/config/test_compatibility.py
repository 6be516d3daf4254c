import pytest

from daso.config.build import _check_compatibility
from daso.config.compatibility import incompatibilities
from daso.config.registry import import_component
from daso.errors import ParamsError

PAIR, NONE = frozenset({"weak", "strong"}), frozenset()


@pytest.mark.parametrize(
    ("provides", "views", "addons", "ratio", "expected"),
    [
        (PAIR, ("weak",), [("One", PAIR, NONE), ("Two", frozenset({"labeled_teacher", "blank"}), NONE)], 2, []),
        (
            {"weak"},
            ("weak",),
            [("One", PAIR, NONE)],
            1,
            ["add-on 'One' reads strong, which learner 'Some' does not produce"],
        ),
        (PAIR, ("weak",), [("One", NONE, frozenset({"pseudo_label"})), ("Two", NONE, frozenset({"eval"}))], 2, []),
        (
            PAIR,
            ("weak",),
            [("One", NONE, frozenset({"pseudo_label", "eval"})), ("Two", NONE, frozenset({"pseudo_label"}))],
            2,
            ["add-ons 'One' and 'Two' both adjust the logits of role 'pseudo_label'; remove one"],
        ),
        (
            PAIR,
            ("weak",),
            [],
            0,
            ["unlabeled_ratio: 0 is not allowed with learner 'Some', which reads unlabeled images"],
        ),
        (PAIR, (), [], 2, ["unlabeled_ratio: 2 is not allowed with learner 'Some', which reads labeled images only"]),
    ],
)
def test_incompatible_components(provides, views, addons, ratio, expected):
    lines = list(incompatibilities("Some", provides, views, addons, ratio))
    assert len(lines) == len(expected)
    assert all(line.startswith(start) for line, start in zip(lines, expected, strict=True))


def test_built_components_are_checked_by_the_same_rule():
    method = {"learner": {"name": "fixmatch"}, "addons": []}

    class Learner:
        provides, chain = frozenset({"weak"}), ()
        views = import_component("daso.methods.base:Views")(("weak",), ("weak",))

    _check_compatibility(Learner(), method | {"unlabeled_ratio": 1})
    with pytest.raises(ParamsError, match="unlabeled_ratio: 0 is not allowed with learner 'fixmatch'"):
        _check_compatibility(Learner(), method | {"unlabeled_ratio": 0})
