import pytest

from daso.config.build import _check_compatibility
from daso.config.compatibility import incompatibilities
from daso.config.registry import load
from daso.errors import ParamsError

PAIR, NONE = frozenset({"weak", "strong"}), frozenset()


@pytest.mark.parametrize(
    ("makes", "views", "addons", "ratio", "want"),
    [
        (PAIR, ("weak",), [("One", PAIR, NONE), ("Two", frozenset({"key"}), NONE)], 2, []),
        ({"weak"}, ("weak",), [("One", PAIR, NONE)], 1, ["add-on 'One' reads strong, which 'Some' does not make"]),
        (set(), ("weak",), [("One", PAIR, NONE)], 1, ["add-on 'One' reads strong, weak, which 'Some' does not make"]),
        (PAIR, ("weak",), [("One", NONE, frozenset({"guess"})), ("Two", NONE, frozenset({"eval"}))], 2, []),
        (
            PAIR,
            ("weak",),
            [("One", NONE, frozenset({"guess", "eval"})), ("Two", NONE, frozenset({"guess"}))],
            2,
            ["add-ons 'One' and 'Two' both adjust the logits of the role 'guess'; leave it to one"],
        ),
        (PAIR, ("weak",), [], 0, ["unlabeled_ratio: 0 does not suit 'Some', which reads unlabeled images"]),
        (PAIR, (), [], 2, ["unlabeled_ratio: 2 does not suit 'Some', which reads labeled images only"]),
    ],
)
def test_parts_that_do_not_suit_each_other(makes, views, addons, ratio, want):
    found = list(incompatibilities("Some", makes, views, addons, ratio))
    assert len(found) == len(want)
    assert all(line.startswith(start) for line, start in zip(found, want, strict=True))


def test_what_is_built_is_held_to_the_same_rule():
    class Learner:
        makes, chain = frozenset({"weak"}), ()
        views = load("daso.methods.base:Views")(("weak",), ("weak",))

    _check_compatibility(Learner(), 1)
    with pytest.raises(ParamsError, match="unlabeled_ratio: 0 does not suit 'Learner'"):
        _check_compatibility(Learner(), 0)
