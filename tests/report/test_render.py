"""Whole report: complete, empty and partial; offline, escaped and reproducible byte for byte."""

import csv
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from daso.report.results.collect import format_mean_std
from daso.report.tables.accuracy import format_setting

FILES = {"index.html", "report.md", "summary.txt", "metrics.json", "cells.csv", "runs.csv", "history.csv"}
VOID = {"meta", "br", "img", "hr", "link", "input"}
SHORT = {"name": "short", "title": "short", "comparable": False, "note": "short schedule, small encoder"}


class Page(HTMLParser):
    """Tags, links, ids and text of an HTML page; raises AssertionError for unbalanced tags."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.links, self.loaded, self.ids, self.words = [], [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if (tag, name) == ("a", "href")]
        self.loaded += [value for name, value in attrs if name in ("src", "href", "action", "data") and tag != "a"]
        self.loaded += [value for name, value in attrs if name == "xlink:href" and not value.startswith("#")]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def page(out):
    return Page((out / "index.html").read_text())


def contents(out):
    """Return the content of each file of a report, also of its tables."""
    return {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def cells(out):
    with (out / "cells.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("limit", [0, 3, 18])
def test_report_of_any_number_of_runs(project, make_suite, limit):
    suite = make_suite()
    project.fill(suite, limit=limit)
    out = project.build(suite)
    assert {path.name for path in out.iterdir()} == FILES | {"tables"}
    html = page(out)
    assert not {"link", "img", "iframe"} & set(html.tags)
    assert html.tags.count("script") == 1
    assert all(link.startswith("data:image/png;base64,") for link in html.loaded)
    assert all((out / link).exists() for link in html.links if ":" not in link and link[0] not in "#.")
    assert len(html.ids) == len(set(html.ids))
    statuses = [row["status"] for row in cells(out)]
    assert statuses.count("done") == limit // 3
    assert f"{limit // 3} of 6 cells complete, {limit} of 18 runs finished." in html.text
    assert ("svg" in html.tags) == (limit > 0)


def test_numbers_and_verdict_of_a_cell(project, make_suite):
    """FixMatch + DASO at 75.6, 76.0, 76.4: mean 76.0, deviation 0.4, difference 0.0 from the published 76.0."""
    suite = make_suite()
    project.fill(suite)
    out = project.build(suite)
    row = cells(out)[2]
    assert (row["method"], row["mean"], row["std"], row["n"]) == ("fixmatch_daso", "76.0000", "0.4000", "3")
    assert (row["published"], row["difference"], row["verdict"]) == ("76.0", "0.0000", "agrees")
    tree = json.loads((out / "metrics.json").read_text())
    assert tree["main"]["n500-m4000-l100-u100"]["fixmatch_daso"] == {"mean": 76.0, "n": 3, "std": 0.4}
    markdown, text = (out / "report.md").read_text(), page(out).text
    assert "**76.0 ± 0.40**, n = 3; published 76.0 ± 0.37 (table 1); 0.0 (band ±0.6), agrees |" in markdown
    assert "published 76.0 ± 0.37 (table 1) ● 0.0 (band ±0.6), agrees" in text
    assert "Oh et al. 2022, table 1; Oh et al. 2022, table 2" in text


def test_summary_begins_with_verdicts(project, make_suite):
    """Published: 67.8 ± 1.13 and 76.0 ± 0.37. Ours is 76.0 ± 0.40 in every cell: FixMatch is 8.2 above."""
    suite = make_suite(methods=("fixmatch", "fixmatch_daso"), settings=("n500-m4000-l100-u100",))
    suite["tables"][0]["paper"] = {"table": 1}
    project.fill(suite)
    out = project.build(suite)
    html, text, markdown = (out / "index.html").read_text(), page(out).text, (out / "report.md").read_text()
    answer = "1 of 2 cells inside the band, 0 within 1 point, 1 above or below."
    chance = "1 of 2 differences exceed the band; chance alone: 0.2 to 0.4."
    assert f"Summary {answer} ● 1 agrees ▲ 1 above {chance}" in text
    assert f"**{answer}** ● 1 agrees, ▲ 1 above. {chance}" in markdown
    assert "Largest differences FixMatch on n500-m4000-l100-u100 : ▲ +8.2 (band ±1.4); FixMatch + DASO on" in text
    assert html.index('id="summary"') < html.index('id="main"')
    assert '<a href="#main/n500-m4000-l100-u100/fixmatch">FixMatch on' in html
    assert html.count('<svg class="plot" role="group"') == 1
    assert "A. CIFAR-10-LT Oh et al. 2022, table 1, column 1" in text
    assert "## A. CIFAR-10-LT (Oh et al. 2022, table 1, column 1)" in markdown
    assert "published 67.8 ± 1.13;" in markdown  # of the table that is reproduced, so without its number


def test_recalled_number_is_printed_with_its_doubt_and_without_verdict(project, make_suite):
    """DebiasPL at gamma 100 with a tenth labeled: 79.2 ± 1.0; ours is 76.0."""
    suite = make_suite(methods=("fixmatch",), settings=("n500-m4000-l100-u100",))
    suite["tables"][0]["methods"][0]["paper"] = {"base": "fixmatch", "addons": "debiaspl"}
    suite["tables"][0]["protocol"]["published"] = ["debiaspl_paper"]
    project.fill(suite)
    suite["tables"][0]["settings"][0] |= {"n": 5000, "gamma": 100, "share": 0.1}
    out = project.build(suite)
    (row,) = cells(out)
    assert (row["mean"], row["published"], row["difference"], row["verdict"]) == ("76.0000", "", "", "not comparable")
    text = page(out).text
    doubt = "quoted from memory, not checked against the paper"
    assert f"published 79.2 ± 1.0, {doubt} – not comparable" in text
    assert f"Published numbers: Wang et al. 2022 ({doubt}) (best or last evaluation not known. Splits: settings" in text
    assert "No verdict: the published numbers are not confirmed." in text
    assert "behind every published mean" not in text
    assert f"published 79.2 ± 1.0, {doubt}; not comparable |" in (out / "report.md").read_text()


def test_stale_and_running_seeds_are_printed(project, make_suite, run_ids):
    suite = make_suite()
    project.fill(suite, limit=4)
    runs = [run for *_, run in run_ids(suite)]
    project.write_checkpoint(runs[4])
    project.write_checkpoint(runs[6])
    out = project.build(suite, expected_keys={runs[0]: "newer"})
    assert [row["status"] for row in cells(out)][:4] == ["partial", "partial", "running", "missing"]
    text = page(out).text
    assert "3 of 18 runs finished, 2 running, 1 stale and not counted" in text
    assert "n = 2 of 3 1 stale, not counted" in text
    assert "n = 1 of 3 1 running" in text
    assert "1 run against 3 published" in text


def test_single_run_has_no_deviation(project, make_suite):
    suite = make_suite(seeds=(0,))
    project.fill(suite)
    out = project.build(suite)
    assert cells(out)[0]["std"] == ""
    assert "std" not in json.loads((out / "metrics.json").read_text())["main"]["n500-m4000-l100-u100"]["fixmatch"]
    table = (out / "index.html").read_text().split('<table class="accuracy">')[1].split("</table>")[0]
    assert [line for line in table.splitlines() if 'class="ours' in line and "±" in line] == []
    assert "Band: one sample standard deviation" not in page(out).text


def test_protocol_that_is_not_comparable_is_named_once_and_tagged_in_every_caption(project, make_suite):
    suite = make_suite(protocol=SHORT)
    project.fill(suite)
    out = project.build(suite)
    text = (out / "index.html").read_text()
    captions = re.findall(r"<caption id=.*?</caption>", text, re.DOTALL)
    assert len(captions) == 5  # accuracy, gains, measures, speed, runs; figures have the tag in their drawing
    assert all('<span class="tag">not comparable</span>' in caption for caption in captions)
    drawings = re.findall(r'<svg class="plot".*?</svg>', text, re.DOTALL)
    assert drawings
    assert all(">demo: not comparable with published numbers</text>" in drawing for drawing in drawings)
    assert text.lower().count("short schedule, small encoder") == 1
    assert {row["verdict"] for row in cells(out)} == {"not comparable"}
    assert {row["difference"] for row in cells(out)} == {""}
    assert "agrees" not in text.split('id="reading"')[0].split("</style>")[1]
    markdown = (out / "report.md").read_text()
    assert all("(not comparable)" in line for line in markdown.splitlines() if line.startswith("### Table"))


def test_unrecognised_images_are_not_comparable(project, make_suite, run_ids):
    suite = make_suite(methods=("fixmatch",))
    for _, setting, _, seed, run in run_ids(suite):
        project.write_run(run, 0.68, seed, setting, source={"kind": "image_folder"})
    out = project.build(suite)
    assert {row["verdict"] for row in cells(out)} == {"not comparable"}
    assert (
        "images neither read from the official archive nor recognised as the official ones (2 of 2 cells)"
        in page(out).text
    )


def test_report_is_reproducible(project, make_suite, tmp_path):
    suite = make_suite()
    project.fill(suite, limit=7)
    first, second = project.build(suite), project.build(suite, out=tmp_path / "again")
    assert contents(first) == contents(second)


def printed_digest(out):
    """Return the digest of the numbers, which is the same in HTML and Markdown."""
    digests = {
        re.search(r"numbers: sha256 `?([0-9a-f]{64})\b", text)[1]
        for text in (page(out).text, (out / "report.md").read_text())
    }
    (digest,) = digests
    return digest


def test_digest_of_the_numbers_is_printed(project, make_suite, run_ids, tmp_path):
    """The digest is that of metrics.json; it depends on accuracies, not on times or commits."""
    suite = make_suite(methods=("fixmatch",), settings=("n500-m4000-l100-u100",))
    project.fill(suite)
    first = project.build(suite)
    digest = printed_digest(first)
    assert digest == hashlib.sha256((first / "metrics.json").read_bytes()).hexdigest()
    *_, run = next(iter(run_ids(suite)))
    path = project.metrics / f"{run}.json"
    tree = json.loads(path.read_text())
    tree["speed"]["seconds"] = 7200.0
    tree["provenance"]["commit"] = "fedcba654321"
    project.write_metrics(tree)
    other_commit = project.build(suite, out=tmp_path / "other_commit")
    assert (other_commit / "report.md").read_bytes() != (first / "report.md").read_bytes()
    assert printed_digest(other_commit) == digest
    tree["top1"]["median"] += 0.0001
    project.write_metrics(tree)
    assert printed_digest(project.build(suite, out=tmp_path / "other")) != digest


def test_markup_is_escaped(project, make_suite):
    markup = "<script>alert('x')</script> & | `b`"
    suite = make_suite()
    suite["title"] = suite["note"] = markup
    table = suite["tables"][0]
    table["title"] = table["dataset"]["title"] = table["methods"][1]["title"] = markup
    table["protocol"] |= {"title": markup, "comparable": False, "note": markup}
    project.fill(suite)
    out = project.build(suite)
    html = page(out)
    assert html.tags.count("script") == 1  # that of the template
    assert "<script>alert('x')</script> & | `b`" in html.text
    markdown = (out / "report.md").read_text()
    assert "<script>" not in markdown
    rows = [line for line in markdown.splitlines() if line.startswith("| &lt;script")]
    assert rows
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 4 for row in rows[:1])  # method and two settings


def test_missing_histories_are_printed(project, make_suite, run_ids):
    suite = make_suite()
    project.fill(suite)
    for *_, run in list(run_ids(suite))[:3]:
        (project.runs / run / "history.csv").unlink()
    assert "1 cell has finished runs without a history" in page(project.build(suite)).text


def test_history_csv_has_a_row_for_each_step(project, make_suite):
    suite = make_suite(methods=("fixmatch",), settings=("n500-m4000-l100-u100",))
    project.fill(suite)
    with (project.build(suite) / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == [str(step) for step in range(50, 1001, 50)]
    assert {(row["table"], row["method"], row["n"]) for row in rows} == {("main", "fixmatch", "3")}


def test_report_of_100_classes(project, make_suite):
    suite = make_suite(methods=("fixmatch",), settings=("n500-m4000-l100-u100",), seeds=(0, 1))
    project.fill(suite, classes=100)
    out = project.build(suite)
    assert "the 30 rarest labeled classes" in page(out).text
    assert (out / "index.html").stat().st_size < 400_000


def test_failure_leaves_the_previous_report_unchanged(project, make_suite, run_ids):
    suite = make_suite()
    project.fill(suite, limit=3)
    out = project.build(suite)
    before = contents(out)
    next(project.metrics.rglob("*.json")).write_text("{")
    with pytest.raises(Exception, match="not a readable metrics file"):
        project.build(suite)
    assert contents(out) == before


def test_format_of_numbers_and_settings():
    assert format_mean_std(76.04, 0.368, 3) == "76.0 ± 0.37"
    assert format_mean_std(76.04, None, 1) == "76.0"
    assert format_setting({"name": "x", "n1": 20, "m1": 80, "gamma_l": 20, "gamma_u": 10, "reversed": True}) == {
        **{"name": "x", "n1": "20", "m1": "80", "gamma_l": "20"},
        **{"gamma_u": "1/10", "shape": "reversed"},
    }
    assert format_setting({"name": "x", "n1": 150, "m1": "all", "gamma_l": 10, "gamma_u": None})["gamma_u"] == "unknown"
    assert format_setting({"name": "x", "n": 5000, "gamma": 100, "share": 0.3, "reversed": False}) == {
        **{"name": "x", "n1": "30 % of 5000", "m1": "the rest of it"},
        **{"gamma_l": "100", "gamma_u": "100", "shape": ""},
    }
    whole = format_setting({"name": "x", "n1": 4, "m1": "train", "gamma_l": 1, "reversed": False})
    sizes = [whole[name] for name in ("n1", "m1", "gamma_l", "gamma_u")]
    assert sizes == ["4", "every training image", "1", "as found"]
    middle = {"name": "x", "n1": 20, "m1": 80, "gamma_l": 20, "gamma_u": 10, "reversed": False, "shape": "middle"}
    first = {**middle, "selection": "first", "unlabeled_includes_labeled": True}
    assert format_setting(first) == {
        **{"name": "x", "n1": "20 (the first of each class)", "m1": "80 + the labeled images"},
        **{"gamma_l": "20", "gamma_u": "10", "shape": "middle"},
    }
    del middle["gamma_u"]
    gaussian = format_setting({**middle, "shape": "gaussian"})
    assert (gaussian["m1"], gaussian["gamma_u"], gaussian["shape"]) == ("80", "–", "gaussian")
    assert format_setting({"name": "x", "labeled": 0.25, "reversed": False}) == {
        **{"name": "x", "n1": "25 % of each class", "m1": "the rest of it"},
        **{"gamma_l": "as found", "gamma_u": "as found", "shape": ""},
    }
