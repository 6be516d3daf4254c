"""Colours of lines are distinct for readers with protanopia or deuteranopia, and texts are legible."""

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from daso.config.resolve import expand_suite
from daso.report.figures.palette import MAX_LINES, kind_style, method_groups, method_styles, rank_colours

TEMPLATES = Path(__file__).resolve().parents[3] / "reports" / "templates"
# Machado, Oliveira & Fernandes 2009, severity 1.0, for linear RGB.
VISION = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "all cones": np.eye(3),
}
XYZ = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]


def read_colours():
    """Return the CSS variables of the light and the dark page as {theme: {name: hex}}."""
    text = "".join((TEMPLATES / name).read_text().split("@media print")[0] for name in ("report.css", "palette.css"))
    dark = re.compile(r"@media screen and \(prefers-color-scheme: dark\) \{(.*?)\n\}", re.DOTALL)
    declarations = r"--([\w-]+): (#[0-9a-f]{6})"
    themes = {"light": dark.sub("", text), "dark": "".join(dark.findall(text))}
    return {theme: dict(re.findall(declarations, block)) for theme, block in themes.items()}


COLOURS = read_colours()
SUITES = sorted(path.stem for path in (TEMPLATES.parents[1] / "params/suites").glob("*.yaml"))


def linear(colour):
    srgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """Return CIELAB of linear RGB under D65."""
    t = (np.array(XYZ) @ np.clip(rgb, 0, 1)) / np.sum(XYZ, axis=1)
    x, y, z = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def difference(one, other, vision):
    """Return the CIE76 difference of two colours under a matrix of VISION."""
    return np.linalg.norm(lab(np.array(vision) @ linear(one)) - lab(np.array(vision) @ linear(other)))


def contrast(one, other):
    """Return the contrast of two colours in linear RGB, as WCAG 2 defines it."""
    high, low = sorted((np.array(XYZ[1]) @ one, np.array(XYZ[1]) @ other), reverse=True)
    return (high + 0.05) / (low + 0.05)


def value(css, theme):
    return COLOURS[theme][css.removeprefix("var(--").removesuffix(")")]


@pytest.mark.parametrize(
    ("colour", "expected"),
    [("#ffffff", (100, 0, 0)), ("#ff0000", (53.24, 80.09, 67.20)), ("#0000ff", (32.30, 79.19, -107.86))],
)
def test_conversion_to_lab_matches_published_values(colour, expected):
    """CIELAB of white, red and blue under D65, as Lindbloom's calculator prints them."""
    assert lab(linear(colour)) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_lines_of_every_panel_differ_by_at_least_10(params, theme):
    panels, closest = 0, []
    for suite in SUITES:
        for table in expand_suite(params, suite)["tables"]:
            styles = method_styles(table["methods"])
            for group in method_groups(table["methods"]):
                assert len(group.methods) <= MAX_LINES
                panels += 1
                for one, other in combinations([styles[method["name"]].colour for method in group.methods], 2):
                    for vision, matrix in VISION.items():
                        distance = difference(value(one, theme), value(other, theme), matrix)
                        closest.append((distance, suite, group.title, one, other, vision))
    assert panels > 50
    assert min(closest)[0] >= 10, min(closest)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_of_kinds_and_groups_differ_by_at_least_10(theme):
    """A panel has at most one intermediate kind of pseudo-label."""
    kinds = [kind_style(kind).colour for kind in ("linear", "semantic", "final")]
    for colours in (kinds, rank_colours(3)):
        for one, other in combinations([value(colour, theme) for colour in colours], 2):
            assert min(difference(one, other, matrix) for matrix in VISION.values()) >= 10


def test_every_method_is_in_a_panel_and_has_one_colour_in_all_suites(params):
    """Variants, as levels of an ablation are, have the colours of their order in the table."""
    seen = {}
    for suite in SUITES:
        for table in expand_suite(params, suite)["tables"]:
            drawn = {method["name"] for group in method_groups(table["methods"]) for method in group.methods}
            assert drawn == {method["name"] for method in table["methods"]}
            titles = {method["name"]: method["title"] for method in table["methods"]}
            for name, style in method_styles(table["methods"]).items():
                assert "," in titles[name] or seen.setdefault(name, style) == style


def test_panels_of_table_1_have_a_base_with_its_add_ons(params):
    (table, *_) = expand_suite(params, "paper-table-1")["tables"]
    groups = method_groups(table["methods"])
    assert [group.title for group in groups] == ["Supervised", "FixMatch", "FixMatch + LA", "FixMatch + ABC"]
    labels = [[group.label(method) for method in group.methods] for group in groups]
    assert labels[1] == ["FixMatch", "+ DARP", "+ CReST+", "+ DASO", "+ LA", "+ ABC"]
    assert labels[2] == ["FixMatch + LA", "+ DARP", "+ CReST+", "+ DASO"]


def test_daso_has_the_hue_of_its_base_in_a_thicker_line(params):
    (table, *_) = expand_suite(params, "paper-table-1")["tables"]
    styles = method_styles(table["methods"])
    for base in ("fixmatch", "fixmatch_la", "fixmatch_abc"):
        plain, strong = styles[base], styles[f"{base}_daso"]
        assert strong.colour == plain.colour.replace(")", "-strong)")
        assert strong.width > plain.width


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_numbers_in_matrices_have_a_contrast_of_4_5(theme):
    """Fields of a matrix are the colour `heat` over the page, with opacities from 0 to 1."""
    paper, heat, ink = (
        np.array([int(COLOURS[theme][name][i : i + 2], 16) for i in (1, 3, 5)]) for name in ("paper", "heat", "ink")
    )
    to_linear = lambda rgb: linear("#" + "".join(f"{round(part):02x}" for part in rgb))  # noqa: E731
    for opacity in np.linspace(0, 1, 51):
        assert contrast(to_linear(opacity * heat + (1 - opacity) * paper), to_linear(ink)) >= 4.5
