"""Proposals of known words for unknown ones."""

import pytest

from daso.errors import closest, did_you_mean


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        ("wieght", ["weight", "width"], "weight"),
        ("steps", ["sweeps", "period"], None),  # 2 * 4 letters in common of 11: 0.727
        ("prior", ["period", "alpha"], None),
        ("daos", ["daso", "darp"], "daso"),  # 2 * 3 of 8: 0.75
        ("held", ["held_out", "seed"], "held_out"),  # begins with it
        ("dist", ["dist_temperature", "dist_weight"], None),  # both begin with it
        ("", ["daso"], None),
        (3, ["daso"], None),
    ],
)
def test_closest_word_is_a_misspelt_or_shortened_one(word, known, expected):
    assert closest(word, known) == expected


def test_unknown_words_without_a_close_one_list_the_known_words():
    assert did_you_mean("steps", ["sweeps", "period"]) == "; choose one of sweeps, period"
