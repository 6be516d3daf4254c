"""Plots: reproducible, in the colours of the page, thinned, labelled at the line."""

import base64
import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from daso.report.figures import plots
from daso.report.figures.canvas import spread
from daso.report.figures.classes import ClassNames, class_table
from daso.report.figures.palette import Style
from daso.report.figures.plots import Line
from daso.report.results.curves import Curve

BLUE = Style("var(--blue)")


def curve(classes=10, seeds=3):
    x = np.arange(1.0, classes + 1)
    return Curve(x, 50.0 + x / classes, np.full(classes, 2.0 if seeds > 1 else np.nan), seeds)


def make_table(classes=10):
    names = [f"class {k}" for k in range(classes)]
    return class_table(ClassNames(names, shared=True), {"recall": ["50.0"] * classes})


PLOTS = {
    "steps": lambda: plots.plot_over_steps([Line(curve(), BLUE, "a"), Line(curve(seeds=1), BLUE)], "a title", "%"),
    "rank": lambda: plots.plot_by_rank([Line(curve(), BLUE)], make_table(), "a title"),
    "many ranks": lambda: plots.plot_by_rank([Line(curve(100), BLUE)], make_table(100), "a title"),
    "sizes": lambda: plots.plot_class_sizes({"labeled": [20, 2], "unlabeled": [8, 80]}, make_table(2), "a title"),
    "labels only": lambda: plots.plot_class_sizes({"labeled": [20, 2]}, make_table(2), "a title"),
    "confusion": lambda: plots.plot_confusion_matrix(np.eye(3), make_table(3), "a title"),
    "many classes": lambda: plots.plot_confusion_matrix(np.eye(100), make_table(100), "a title"),
}


@pytest.mark.parametrize("kind", PLOTS)
def test_plots_are_reproducible_valid_and_in_the_colours_of_the_page(kind):
    svg = PLOTS[kind]()
    assert svg == PLOTS[kind]()
    assert svg.startswith('<svg class="plot" role="img" aria-label="a title" viewBox=')
    ElementTree.fromstring(svg)
    assert not re.search(r"http|font-family|\bid=|#[0-9a-f]{3}|nan|inf", re.sub(r"data:image[^\"]*", "", svg))
    assert set(re.findall(r"var\(--([\w-]+)", svg)) <= {"ink", "soft", "rule", "blue", "heat"}


def numbers(svg, colour):
    """Return the numbers of the path of a line of this colour."""
    (path,) = re.findall(rf'<path d="([^"]*)" fill="none" stroke="var\(--{colour}\)"', svg)
    return [float(number) for number in re.findall(r"-?[\d.]+", path)]


def test_500_evaluations_are_drawn_as_at_most_80_points_with_one_decimal():
    """Every seventh of 500, counted from the last one: 72 points, the first absolute and the others relative."""
    x = np.arange(500.0, 250_001, 500)
    line = Line(Curve(x, 50 + 0.001 * np.arange(500.0), np.full(500, np.nan), 1), BLUE)
    values = numbers(plots.plot_over_steps([line], "t", "%"), "blue")
    assert len(values) == 2 * 72
    assert all(value == round(value, 1) for value in values)
    thinned = plots.thin(line.curve)
    assert list(thinned.x[[0, 1, -1]]) == [x[499 - 7 * 71], x[499 - 7 * 70], 250_000]


def test_moving_average_has_fewer_points_at_the_ends_and_leaves_out_nan():
    """Of 0, 3, NaN, 6, 9, averages of 3: (0 + 3) / 2, 3 / 2 + NaN left out, (3 + 6) / 2, (6 + 9) / 2, (6 + 9) / 2."""
    values = np.array([0.0, 3.0, np.nan, 6.0, 9.0])
    smoothed = plots.smooth(Curve(np.arange(5.0), values, values, 2), 3)
    assert list(smoothed.mean) == [1.5, 1.5, 4.5, 7.5, 7.5]


def test_short_curves_are_neither_thinned_nor_smoothed():
    assert plots.thin(curve(80)) is not None
    assert list(plots.thin(curve(80)).mean) == list(curve(80).mean)


def test_labels_of_curves_do_not_overlap():
    """Three ends at 10, 11 and 12 in a range from 9 to 40, then two at the lower end."""
    assert spread([10, 11, 12], 8, 9, 40) == [10, 18, 26]
    assert spread([38, 39], 8, 9, 40) == [32, 40]
    lines = [
        Line(Curve(np.arange(1.0, 4), np.full(3, y), np.full(3, np.nan), 1), BLUE, f"m{y}") for y in (50, 50.1, 50.2)
    ]
    svg = plots.plot_over_steps(lines, "t", "%")
    at = {text: float(y) for y, text in re.findall(r'y="([\d.]+)"[^>]*><title>[^<]*</title>(m[\d.]+)<', svg)}
    heights = [at[name] for name in ("m50.2", "m50.1", "m50")]
    assert all(lower - upper >= 8.4 for upper, lower in zip(heights, heights[1:], strict=False))
    assert "<title>m50: 50.0, step 3</title>" in svg


def test_axis_of_steps_fits_the_data():
    """Ticks are round numbers below the last step; the y-axis begins near the data, not at 0."""
    x = np.arange(100.0, 1201, 100)
    svg = plots.plot_over_steps([Line(Curve(x, np.linspace(60, 70, 12), np.full(12, np.nan), 1), BLUE)], "t", "%")
    texts = re.findall(r">([^<]+)</text>", svg)
    assert {"0", "500", "1,000"} <= set(texts)
    assert "1.25k" not in texts
    assert "20" not in texts
    assert plots.step_label(50_000, 250_000) == "50k"


def test_bands_are_clipped_to_0_and_100_percent():
    """The bands of 1 +- 5 and 99 +- 5 are clipped to 0 to 6 and 94 to 100."""
    ranks = np.arange(1.0, 3.0)
    unclipped = Curve(ranks, np.array([1.0, 99.0]), np.array([5.0, 5.0]), 3)
    low, high = np.array([0.0, 94.0]), np.array([6.0, 100.0])
    clipped = Curve(ranks, (low + high) / 2, (high - low) / 2, 3)
    svgs = [plots.plot_by_rank([Line(c, BLUE)], make_table(2), "t") for c in (unclipped, clipped)]
    bands = [re.findall(r'<path d="([^"]*)" fill="var\(--blue\)" opacity', svg) for svg in svgs]
    assert bands[0] == bands[1] != []


def test_titles_are_escaped_and_the_tag_is_in_the_plot():
    svg = plots.plot_confusion_matrix(np.eye(2), make_table(2), 'a <b> "c"', tag="demo: not comparable")
    assert 'aria-label="a &lt;b&gt; &quot;c&quot;"' in svg
    assert ">demo: not comparable</text>" in svg


def printed(shares):
    (group,) = re.findall(r'<g class="n".*?</g></g>', plots.plot_confusion_matrix(shares, make_table(len(shares)), "t"))
    return re.findall(r">(\d+)<", group)


def test_matrix_cells_that_round_to_0_are_empty():
    """0.5 % rounds to 0 (half to even), 1.5 % to 2."""
    assert printed(np.array([[0.995, 0.005], [0.015, 0.985]])) == ["100", "2", "98"]
    assert printed(np.array([[0.996, 0.004], [0.25, 0.75]])) == ["100", "25", "75"]


def test_matrix_of_100_classes_is_one_small_image():
    svg = plots.plot_confusion_matrix(np.eye(100), make_table(100), "t", tooltips=False)
    (data,) = re.findall(r'href="data:image/png;base64,([^"]*)"', svg)
    pixels = np.array(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"))
    assert pixels.shape == (100, 100, 4)
    assert (pixels[..., 3] == 255 * np.eye(100)).all()
    assert len(svg) < 5_000
    assert {"1", "20", "100"} <= set(re.findall(r">(\d+)</text>", svg))
