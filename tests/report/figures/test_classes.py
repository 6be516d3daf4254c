"""Class names on axes, in tooltips and in tables of the HTML page, the Markdown file and the figures."""

import json
import re
import warnings
from html import unescape
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from markdown_it import MarkdownIt

from daso.ops.confusion import group_names
from daso.report.figures import plots
from daso.report.figures.analyses import ANALYSES
from daso.report.figures.classes import (
    ClassNames,
    class_names,
    class_table,
    display_width,
    format_curve,
    format_predictions,
    shorten_name,
    tick_names,
)
from daso.report.figures.palette import Style
from daso.report.figures.plots import Line
from daso.report.results.collect import Cell
from daso.report.results.curves import Curve
from tests.report.conftest import Project
from tests.report.figures.test_analyses import small_suite, write_analysed_runs

LONG = "L" * 60 + "r" * 60
NAMES = ["zebra", "a|b", "R&D <b>x</b>", LONG, "cost $5, $6 \\alpha", "猫 кошка", "日本語の長い名前のクラス"]
NAMES += ['#000100 id="q"', "*star*_and_`code` [x](y)", "café ~~x~~"]
SHORT = ["zebra", "a|b", "R&D <b>x</b>", "LLLLLLL…rrrrrr", "cost $5…\\alpha", "猫 кошка", "日本語…クラス"]
SHORT += ['#000100 id="q"', "*star*_…[x](y)", "café ~~x~~"]
LABELS = (  # of axes: x and y, or the y of a vertical one
    r'<text x="([\d.]+)" y="[\d.]+" text-anchor="middle">([^<]+)<',
    r'<text transform="translate\(8 ([\d.]+)\)rotate\(-90\)" text-anchor="middle">([^<]+)<',
)
OVER_STEPS = ("A.2", "A.3", "A.8")  # figures over training steps: accuracy, pseudo-label recall, its groups


class Tables(HTMLParser):
    """Text of every table's cells, row by row."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.inside = [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self.inside = True

    def handle_endtag(self, tag):
        self.inside &= tag not in ("td", "th")

    def handle_data(self, data):
        if self.inside:
            self.tables[-1][-1][-1] += data


def class_tables(tables):
    return [table for table in tables if table[0][1] == "Class"]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Return the HTML and Markdown of a report with unusual class names and every analysis."""
    project, suite = Project(tmp_path_factory.mktemp("own")), small_suite(("supervised", "fixmatch_daso"), ANALYSES)
    write_analysed_runs(project, suite)
    for path in project.metrics.rglob("*.json"):
        tree = json.loads(path.read_text())
        del tree["sha256"]
        project.write_metrics({**tree, "classes": NAMES})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = project.build(suite)
    return [(out / name).read_text() for name in ("index.html", "report.md")]


def test_html_figures_name_classes_in_tables_and_tooltips(pages):
    """The t-SNE has neither; its legend names the classes."""
    figures = dict(re.findall(r"(<figure id=\"main-fig.*?<b>Figure ([A-Z]\.\d+)\..*?</figure>)", pages[0], re.DOTALL))
    figures = {number: figure for figure, number in figures.items() if number not in OVER_STEPS}
    assert list(figures) == ["A.1", "A.4", "A.5", "A.6", "A.7", "A.9", "A.10", "A.11", "A.12"]
    legend = figures.pop("A.12").split("</ul>")[0]
    assert [name for name in NAMES if f"</i>{name}" not in unescape(legend)] == []
    nearest = figures.pop("A.11")  # only classes 0 and 1
    assert nearest.count("<title>zebra, position 1: Nearest classes, cosine a|b: 0.50</title>") == 4
    assert (
        len(re.findall(r'<tr><th[^>]*>1</th><td class="text">zebra</td><td class="text">a\|b: 0.50</td></tr>', nearest))
        == 4
    )
    for number, figure in figures.items():
        tables = class_tables(Tables(figure).tables)
        tooltips = [unescape(text) for text in re.findall(r"<rect[^>]*><title>(.*?)</title>", figure)]
        assert len(tables) == figure.count("<svg") > 0, number
        for table in tables:
            assert sorted(row[1] for row in table[1:]) == sorted(NAMES), number
        assert len(tooltips) == len(NAMES) * len(tables)
        assert [name for name in NAMES if sum(text.startswith(f"{name}, ") for text in tooltips) < len(tables)] == []


def test_html_and_markdown_have_the_same_tables(pages):
    headings = re.findall(r"^### Figure ([A-Z]\.\d+) as a table$", pages[1], re.MULTILINE)
    assert headings == ["A.1", "A.4", "A.5", "A.6", "A.7", "A.9", "A.10", "A.11"]
    rendered = MarkdownIt().enable("table").enable("strikethrough").render(pages[1])
    html, markdown = (class_tables(Tables(text).tables) for text in (pages[0], rendered))
    assert html == markdown
    assert not re.search(r"\$[56]", pages[1])  # GitHub renders text between dollar signs as mathematics
    recall = next(table for table in html if table[0] == ["Rank", "Class", "Supervised", "FixMatch + DASO"])
    assert recall[1] == ["1", "zebra", "88.1", "88.1"]  # 75.6 and half of 25
    assert recall[10] == ["10", "café ~~x~~", "63.1", "63.1"]
    sizes = html[0]
    assert sizes[0] == ["Rank", "Class", "Labeled images", "Unlabeled images", "Group"]
    assert (sizes[1], sizes[10]) == (["1", "zebra", "500", "4,000", "many"], ["10", NAMES[9], "5", "40", "few"])


def texts_and_tooltips(svg):
    """Return the texts of a plot as (text, x, y) and its tooltips as (text, x, y, width, height)."""
    tree = ElementTree.fromstring(svg)
    texts = []
    for text in tree.iter("text"):
        if not (text.get("y") or text.get("transform")):
            continue  # number of a field
        moved = re.match(r"translate\(([\d.]+) ([\d.]+)\)", text.get("transform", ""))
        x, y = moved.groups() if moved else (text.get("x"), text.get("y"))
        texts.append((text.text, float(x), float(y)))
    boxes = [rect for rect in tree.iter("rect") if rect.find("title") is not None]
    sizes = [[float(box.get(name, 0)) for name in ("x", "y", "width", "height")] for box in boxes]
    return texts, [(box.find("title").text, *size) for box, size in zip(boxes, sizes, strict=True)]


def plot(names, kind="rank"):
    size = len(names)
    table = class_table(ClassNames(names, shared=True), {"x": ["1"] * size})
    if kind == "matrix":
        return plots.plot_confusion_matrix(np.eye(size), table, "t")
    curve = Curve(np.arange(1.0, size + 1), np.full(size, 50.0), np.full(size, np.nan), 1)
    return plots.plot_by_rank([Line(curve, Style("var(--blue)"))], table, "t")


def test_tick_labels_are_not_cut_off(pages):
    """A letter is 0.58 of the font size wide on average; an SVG shows nothing outside its view box."""
    svgs, labels = re.findall(r"<svg.*?</svg>", pages[0], re.DOTALL), 0
    svgs += [plot([f"species {k}" for k in range(100)], kind) for kind in ("rank", "matrix")]
    for svg in svgs:
        width, height = map(float, re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups())
        for label, end in zip(LABELS, (width, height), strict=True):
            for at, text in re.findall(label, svg):
                half = 0.5 * 0.58 * 8.5 * len(unescape(text))
                assert 0 <= float(at) - half < float(at) + half <= end, text
                labels += 1
    assert labels >= len(svgs)  # some plots have two such axes, the t-SNE none


@pytest.mark.parametrize(("kind", "axis"), [("rank", "x"), ("matrix", "y")])
def test_tooltips_cover_the_tick_labels(kind, axis):
    texts, tooltips = texts_and_tooltips(plot(NAMES, kind))
    assert [text for text, *_ in tooltips] == [f"{name}, rank {rank}: x 1" for rank, name in enumerate(NAMES, 1)]
    assert [text for text, *_ in texts if text in SHORT] == SHORT * (2 if kind == "matrix" else 1)
    positions = {text: (x, y) for text, x, y in reversed(texts)}  # in a matrix, a text is first the name of its row
    for name, (_, x, y, width, height) in zip(SHORT, tooltips, strict=True):
        low, size, at = (x, width, positions[name][0]) if axis == "x" else (y, height, positions[name][1])
        assert low < at - 1 < at + 1 < low + size
        assert x <= positions[name][0] <= x + width
        assert y <= positions[name][1] <= y + height


def test_short_names_are_horizontal_and_long_ones_rotated():
    short, long = (re.search(r"<text [^>]*>zebra<", plot(names))[0] for names in (["zebra", "cat"], NAMES))
    assert "rotate" not in short
    assert "rotate(-90)" in long


@pytest.mark.parametrize("kind", ["rank", "matrix"])
def test_axis_of_more_than_20_classes_has_ranks(kind):
    """The names are in the tooltips and in the table; the axis label refers to the table."""
    names = [f"species {k}" for k in range(100)]
    for size, label in ((20, "class"), (21, "(names: table)"), (100, "(names: table)")):
        texts, tooltips = texts_and_tooltips(plot(names[:size], kind))
        named = {text for text, *_ in texts} & set(names)
        assert named == (set(names[:20]) if size == 20 else set())
        assert any(label in text for text, *_ in texts)
        assert [text.split(",")[0] for text, *_ in tooltips] == names[:size]


def test_long_names_are_cut_in_the_middle():
    assert [shorten_name(name) for name in NAMES] == SHORT
    assert max(map(display_width, SHORT)) == 14
    accented = "e\N{COMBINING ACUTE ACCENT}"
    assert shorten_name(accented * 20) == f"{7 * accented}…{6 * accented}"


def test_names_with_the_same_short_form_stay_distinct():
    names = [f"species {k} of a long list" for k in (1, 2)] + ["zebra"]
    assert tick_names(names) == ["1 speci…g list", "2 speci…g list", "zebra"]


def run(order, classes="abc"):
    return {"class_order": list(order), "classes": list(classes)}


def cell(*orders):
    done = {seed: run(order) for seed, order in enumerate(orders)}
    return Cell("t", "s", "m", "d/s/p/m", tuple(done), done)


def test_class_names_are_ordered_by_rank():
    assert class_names([cell((2, 0, 1), (2, 0, 1)), cell((2, 0, 1))]) == ClassNames(["c", "a", "b"], shared=True)
    assert class_names([cell()]) == ClassNames([], shared=True)


def test_rank_with_different_classes_names_the_class_of_each_seed():
    classes = class_names([cell((2, 0, 1)), cell((2, 0, 1), (0, 2, 1))])
    assert classes == ClassNames(["seed 0: c, seed 1: a", "seed 0: a, seed 1: c", "b"], shared=False)
    assert classes.labels == ["rank 1", "rank 2", "rank 3"]
    table = class_table(classes, {"x": ["1", "2", "3"]})
    assert (table.ticks, table.rows[1]) == ([], ["2", "seed 0: a, seed 1: c", "2"])
    assert table.tooltips[1] == "seed 0: a, seed 1: c, rank 2: x 2"
    assert "names: table" in table.axis_label


def test_predictions_are_listed_by_frequency():
    """Up to 20 classes: all that round to 1 % or more; more classes: the four most frequent; no images: a dash."""
    shares = np.array([[0.7, 0.004, 0.296], [0.5, 0.5, 0.0], [0.0, 0.0, 0.0]])
    assert format_predictions(shares, list("abc")) == ["a: 70; c: 30", "a: 50; b: 50", "–"]
    many = np.diag(np.full(21, 0.4)) + np.eye(21, k=1) * 0.3 + 0.01
    assert format_predictions(many, [str(k) for k in range(21)])[0] == "0: 41; 1: 31; 2: 1; 3: 1"


def test_format_of_curves_and_names_of_groups():
    curve = Curve(np.arange(1.0, 4), np.array([50.0, np.nan, 25.04]), np.array([1.25, np.nan, np.nan]), 2)
    assert format_curve(curve) == ["50.0 ± 1.25", "–", "25.0"]
    assert group_names(10) == ["many"] * 3 + ["medium"] * 4 + ["few"] * 3
