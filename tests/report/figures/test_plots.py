"""Plots are reproducible byte for byte and use the colours of the page."""

import re

import numpy as np
import pytest

from daso.report.figures import plots
from daso.report.figures.classes import ClassNames, class_table
from daso.report.figures.plots import Line
from daso.report.results.curves import Curve


def curve(classes=10, seeds=3):
    x = np.arange(1.0, classes + 1)
    return Curve(x, 50.0 + x, np.full(classes, 2.0 if seeds > 1 else np.nan), seeds)


def make_table(classes=10):
    names = [f"class {k}" for k in range(classes)]
    return class_table(ClassNames(names, shared=True), {"recall": ["50.0"] * classes})


PLOTS = {
    "steps": lambda name: plots.over_steps([Line(0, curve()), Line(9, curve(seeds=1))], name, "a title", "%"),
    "rank": lambda name: plots.by_rank([Line(1, curve())], make_table(), name, "a title"),
    "many ranks": lambda name: plots.by_rank([Line(1, curve(100))], make_table(100), name, "a title"),
    "sizes": lambda name: plots.class_sizes({"labeled": [20, 2], "unlabeled": [8, 80]}, make_table(2), name, "a title"),
    "labels only": lambda name: plots.class_sizes({"labeled": [20, 2]}, make_table(2), name, "a title"),
    "confusion": lambda name: plots.confusion_matrix(np.eye(3), make_table(3), name, "a title"),
    "many classes": lambda name: plots.confusion_matrix(np.eye(100), make_table(100), name, "a title"),
}


@pytest.mark.parametrize("kind", PLOTS)
def test_plots_are_reproducible_and_their_ids_unique(kind):
    draw = PLOTS[kind]
    first = draw("one")
    assert first == draw("one")
    ids = re.findall(r'\bid="([^"]*)"', first)
    assert len(ids) == len(set(ids))
    assert all(name.startswith("one-") for name in ids)
    assert not set(ids) & set(re.findall(r'\bid="([^"]*)"', draw("two")))
    for target in re.findall(r'(?:href="|url\()#([^")]*)', first):
        assert target in ids


@pytest.mark.parametrize("kind", PLOTS)
def test_svg_has_no_metadata_links_fonts_or_placeholder_colours(kind):
    svg = PLOTS[kind]("one")
    assert svg.startswith('<svg class="plot" role="img" aria-label="a title" viewBox=')
    assert svg.endswith("</svg>")
    assert "http" not in svg
    assert "metadata" not in svg
    assert "font-family" not in svg  # text has the font of the page
    assert not re.search(r"#000[01]\w\w\b", svg)  # every placeholder colour is replaced by a CSS variable
    assert "var(--soft)" in svg


def test_bands_are_clipped_to_0_and_100_percent():
    """The bands of 1 +- 5 and 99 +- 5 are clipped to 0 to 6 and 94 to 100."""
    ranks = np.arange(1.0, 3.0)
    unclipped = Curve(ranks, np.array([1.0, 99.0]), np.array([5.0, 5.0]), 3)
    low, high = np.array([0.0, 94.0]), np.array([6.0, 100.0])
    clipped = Curve(ranks, (low + high) / 2, (high - low) / 2, 3)
    svgs = [plots.by_rank([Line(0, c)], make_table(2), "x", "t") for c in (unclipped, clipped)]
    bands = [re.search(r"PolyCollection.*?</g>", svg, re.DOTALL) for svg in svgs]
    assert re.findall(r' d="[^"]*"', bands[0][0]) == re.findall(r' d="[^"]*"', bands[1][0]) != []


def test_titles_are_escaped():
    svg = plots.confusion_matrix(np.eye(2), make_table(2), "x", 'a <b> "c"')
    assert 'aria-label="a &lt;b&gt; &quot;c&quot;"' in svg


def test_matrix_cells_are_annotated_from_half_a_percent_on():
    shares = np.array([[0.996, 0.004], [0.25, 0.75]])
    numbers = re.findall(r"font-size: 6px[^>]*>(\d+)<", plots.confusion_matrix(shares, make_table(2), "x", "t"))
    assert numbers == ["100", "25", "75"]


def test_methods_beyond_the_palette_are_dashed():
    solid = plots.over_steps([Line(1, curve())], "x", "t", "%")
    dashed = plots.over_steps([Line(9, curve())], "x", "t", "%")
    assert "var(--c1)" in solid
    assert "var(--c1)" in dashed
    assert dashed.count("stroke-dasharray") > solid.count("stroke-dasharray")
