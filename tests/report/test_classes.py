"""Class names in the report: on axes, in tooltips and in tables, right in HTML, Markdown and figures."""

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
from daso.report import plots
from daso.report.analyses import ANALYSES
from daso.report.classes import (
    Classes,
    by_class,
    classes_of,
    columns,
    percents,
    predictions,
    short,
    tick_names,
)
from daso.report.collect import Cell
from daso.report.curves import Curve
from daso.report.plots import Line
from tests.report.conftest import Project
from tests.report.test_analyses import fill, small

LONG = "L" * 60 + "r" * 60
NAMES = ["zebra", "a|b", "R&D <b>x</b>", LONG, "cost $5, $6 \\alpha", "猫 кошка", "日本語の長い名前のクラス"]
NAMES += ['#000100 id="q"', "*star*_and_`code` [x](y)", "café ~~x~~"]
SHORT = ["zebra", "a|b", "R&D <b>x</b>", "LLLLLLL…rrrrrr", "cost $5…\\alpha", "猫 кошка", "日本語…クラス"]
SHORT += ['#000100 id="q"', "*star*_…[x](y)", "café ~~x~~"]
LABEL = r'size: 8.5px; text-anchor: middle[^>]*x="([\d.]+)" y="([\d.]+)"[^>]*rotate\(-(\d+)[^>]*>([^<]*)<'
WITHOUT = ("1.2", "1.3", "1.8")  # accuracy, recall and groups of pseudo-labels, over training steps


class Tables(HTMLParser):
    """The text of every table's cells, row by row."""

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


def by_name(tables):
    return [table for table in tables if table[0][1] == "Class"]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The HTML and Markdown of a report on own images with every analysis."""
    project, suite = Project(tmp_path_factory.mktemp("own")), small(("supervised", "fixmatch_daso"), ANALYSES)
    fill(project, suite)
    for path in project.metrics.rglob("*.json"):
        tree = json.loads(path.read_text())
        del tree["sha256"]
        project.write_metrics({**tree, "classes": NAMES})
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a font that lacks a letter of a name is no reason for one
        out = project.build(suite)
    return [(out / name).read_text() for name in ("index.html", "report.md")]


def test_every_figure_of_classes_has_names_in_html(pages):
    """In its tables and tooltips; t-SNE, which has neither, in its legend."""
    found = dict(re.findall(r"(<figure.*?<b>Figure (\d\.\d+)\..*?</figure>)", pages[0], re.DOTALL))
    found = {number: figure for figure, number in found.items() if number not in WITHOUT}
    assert list(found) == ["1.1", "1.4", "1.5", "1.6", "1.7", "1.9", "1.10", "1.11", "1.12"]
    legend = found.pop("1.12").split("</ul>")[0]
    assert [name for name in NAMES if f"</i>{name}" not in unescape(legend)] == []
    nearest = found.pop("1.11")  # of classes 0 and 1 alone
    assert nearest.count("<title>zebra, place 1: Nearest classes, cosine a|b: 0.50</title>") == 4
    assert len(re.findall(r'<tr><td>1</td><th scope="row">zebra</th><td>a\|b: 0.50</td></tr>', nearest)) == 4
    for number, figure in found.items():
        tables = by_name(Tables(figure).tables)
        tips = [unescape(tip) for tip in re.findall(r"<title>(.*?)</title>", figure)]
        assert len(tables) == figure.count("<svg") > 0, number
        for table in tables:
            assert sorted(row[1] for row in table[1:]) == sorted(NAMES), number
        assert len(tips) == len(NAMES) * len(tables)
        assert [name for name in NAMES if sum(tip.startswith(f"{name}, ") for tip in tips) < len(tables)] == []


def test_every_figure_of_classes_has_names_in_markdown(pages):
    sections = re.findall(r"^### Figure (\d\.\d+) as a table$(.*?)(?=^###? |^---)", pages[1], re.MULTILINE | re.DOTALL)
    assert [number for number, _ in sections] == ["1.1", "1.4", "1.5", "1.6", "1.7", "1.9", "1.10", "1.11"]
    for number, text in sections:
        tables = by_name(Tables(MarkdownIt().enable("table").enable("strikethrough").render(text)).tables)
        assert tables, number
        for table in tables:
            assert {len(row) for row in table} == {len(table[0])}, number
            expected = NAMES[:2] if number == "1.11" else NAMES
            assert sorted(row[1] for row in table[1:]) == sorted(expected), number
    assert not re.search(r"\$[56]", pages[1])  # GitHub reads what stands between dollars as mathematics


def test_both_pages_have_the_same_tables(pages):
    html, markdown = (
        by_name(Tables(text).tables) for text in (pages[0], MarkdownIt().enable("table").render(pages[1]))
    )
    assert html == markdown
    recall = next(table for table in html if table[0] == ["Rank", "Class", "Supervised", "FixMatch + DASO"])
    assert recall[1] == ["1", "zebra", "88.1", "88.1"]  # 75.6 and half of 25
    assert recall[10] == ["10", "café ~~x~~", "63.1", "63.1"]
    sizes = html[0]
    assert sizes[0] == ["Rank", "Class", "Labeled images", "Unlabeled images", "Group"]
    assert (sizes[1], sizes[10]) == (["1", "zebra", "500", "4,000", "many"], ["10", NAMES[9], "5", "40", "few"])


def words(svg):
    """The words of a drawing with their places, and its tooltips with theirs: text, x, y, width, height."""
    tree = ElementTree.fromstring(svg)
    texts = [(text.text, float(text.get("x")), float(text.get("y"))) for text in tree.iter("text") if text.get("x")]
    boxes = [rect for rect in tree.iter("rect") if rect.find("title") is not None]
    sizes = [[float(box.get(name)) for name in ("x", "y", "width", "height")] for box in boxes]
    return texts, [(box.find("title").text, *size) for box, size in zip(boxes, sizes, strict=True)]


def drawn(names, kind="rank"):
    size = len(names)
    shown = by_class(Classes(names, shared=True), {"x": ["1"] * size})
    if kind == "matrix":
        return plots.confusion(np.eye(size), shown, "n", "t")
    curve = Curve(np.arange(1.0, size + 1), np.full(size, 50.0), np.full(size, np.nan), 1)
    return plots.by_rank([Line(0, curve)], shown, "n", "t")


def test_labels_of_axes_are_not_cut_off(pages):
    """A letter takes 0.58 of its size on average; a drawing shows nothing beyond its view."""
    drawings, labels = re.findall(r"<svg.*?</svg>", pages[0], re.DOTALL), 0
    drawings += [drawn([f"species {k}" for k in range(100)], kind) for kind in ("rank", "matrix")]
    for drawing in drawings:
        width, height = map(float, re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawing).groups())
        found = re.findall(LABEL, drawing)
        labels += len(found)
        for x, y, turn, text in found:
            at, end = (float(y), height) if turn == "90" else (float(x), width)
            half = 0.5 * 0.58 * 8.5 * len(text)
            assert 0 <= at - half < at + half <= end, text
    assert labels >= len(drawings)  # some drawings have two, one without axes has none


@pytest.mark.parametrize(("kind", "axis"), [("rank", "x"), ("matrix", "y")])
def test_a_tooltip_lies_over_its_name(kind, axis):
    texts, tips = words(drawn(NAMES, kind))
    assert [tip[0] for tip in tips] == [f"{name}, rank {rank}: x 1" for rank, name in enumerate(NAMES, 1)]
    assert [text for text, *_ in texts if text in SHORT] == SHORT * (2 if kind == "matrix" else 1)
    places = {text: (x, y) for text, x, y in texts}  # of a matrix, the last ones: its rows
    for name, (_, x, y, width, height) in zip(SHORT, tips, strict=True):
        low, size, at = (x, width, places[name][0]) if axis == "x" else (y, height, places[name][1])
        assert low < at - 1 < at + 1 < low + size
        assert x <= places[name][0] <= x + width
        assert y <= places[name][1] <= y + height


def test_short_names_lie_flat_and_long_ones_upright():
    flat, upright = (re.search(r"rotate\((-?\d+)[^>]*>zebra<", drawn(names))[1] for names in (["zebra", "cat"], NAMES))
    assert (int(flat), int(upright)) == (0, -90)


@pytest.mark.parametrize("kind", ["rank", "matrix"])
def test_an_axis_of_many_classes_has_ranks(kind):
    """20 names fit; 21 and more are in tooltips and in the table, and the axis says so."""
    names = [f"species {k}" for k in range(100)]
    for size, label in ((20, "class"), (21, "(names: table)"), (100, "(names: table)")):
        texts, tips = words(drawn(names[:size], kind))
        named = {text for text, *_ in texts} & set(names)
        assert named == (set(names[:20]) if size == 20 else set())
        assert any(label in text for text, *_ in texts)
        assert [tip[0].split(",")[0] for tip in tips] == names[:size]


def test_names_are_cut_in_the_middle():
    assert [short(name) for name in NAMES] == SHORT
    assert max(map(columns, SHORT)) == 14
    accented = "e\N{COMBINING ACUTE ACCENT}"
    assert short(accented * 20) == f"{7 * accented}…{6 * accented}"


def test_names_that_would_be_cut_alike_stay_distinct():
    names = [f"species {k} of a long list" for k in (1, 2)] + ["zebra"]
    assert tick_names(names) == ["1 speci…g list", "2 speci…g list", "zebra"]


def run(order, classes="abc"):
    return {"class_order": list(order), "classes": list(classes)}


def a_cell(*orders):
    done = {seed: run(order) for seed, order in enumerate(orders)}
    return Cell("t", "s", "m", "d/s/p/m", tuple(done), done)


def test_names_by_rank():
    assert classes_of([a_cell((2, 0, 1), (2, 0, 1)), a_cell((2, 0, 1))]) == Classes(["c", "a", "b"], shared=True)
    assert classes_of([a_cell()]) == Classes([], shared=True)


def test_a_rank_that_differs_between_seeds_has_the_class_of_each():
    classes = classes_of([a_cell((2, 0, 1)), a_cell((2, 0, 1), (0, 2, 1))])
    assert classes == Classes(["seed 0: c, seed 1: a", "seed 0: a, seed 1: c", "b"], shared=False)
    assert classes.labels == ["rank 1", "rank 2", "rank 3"]
    shown = by_class(classes, {"x": ["1", "2", "3"]})
    assert (shown.ticks, shown.rows[1]) == ([], ["2", "seed 0: a, seed 1: c", "2"])
    assert shown.tips[1] == "seed 0: a, seed 1: c, rank 2: x 2"
    assert "names: table" in shown.axis


def test_predictions_in_words():
    """All that round to 1 % of few classes, in a drawing too; the four most frequent of many; none without images."""
    shares = np.array([[0.7, 0.004, 0.296], [0.5, 0.5, 0.0], [0.0, 0.0, 0.0]])
    assert predictions(shares, list("abc")) == ["a: 70; c: 30", "a: 50; b: 50", "–"]
    many = np.diag(np.full(21, 0.4)) + np.eye(21, k=1) * 0.3 + 0.01
    assert predictions(many, [str(k) for k in range(21)])[0] == "0: 41; 1: 31; 2: 1; 3: 1"


def test_numbers_of_classes():
    curve = Curve(np.arange(1.0, 4), np.array([50.0, np.nan, 25.04]), np.array([1.25, np.nan, np.nan]), 2)
    assert percents(curve) == ["50.0 ± 1.25", "–", "25.0"]
    assert group_names(10) == ["many"] * 3 + ["medium"] * 4 + ["few"] * 3
