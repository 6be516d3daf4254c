"""Each number of the page leads to its runs, the command that rebuilds it and the publication."""

import re

from tests.report.test_render import page


def cell_of(out, name):
    """Return the HTML of a cell of the accuracy table."""
    html = (out / "index.html").read_text()
    return html.split(f'<div id="main/n500-m4000-l100-u100/{name}">')[1].split("</td>")[0]


def test_cell_opens_the_value_of_each_seed(verdicts):
    """The archived run has the value of seed 0."""
    cell = cell_of(verdicts.out, "agrees")
    assert re.findall(r"<li><b>(s\d)</b> ([\d.]+) ", cell) == [
        ("s0", "75.6"),
        ("s1", "76.0"),
        ("s2", "76.5"),
        ("s0", "75.6"),
    ]
    assert cell.count("(archived)") == 1


def test_links_of_a_run_lead_to_its_files(verdicts):
    """The report lies in reports/<suite>/; the metrics exist, the other files are named by the workflow."""
    folder = f"cifar10-lt/{verdicts.setting}/paper/agrees/s1"
    cell = cell_of(verdicts.out, "agrees")
    links = [link for link in re.findall(r'href="([^"]+)"', cell) if f"{folder}/" in link or f"{folder}." in link]
    assert links == [
        *(f"../../runs/{folder}/{name}" for name in ("config.json", "history.csv")),
        *(f"../../{name}/{folder}.json" for name in ("metrics", "journal")),
    ]


def test_cell_has_its_command_also_if_it_was_not_run(verdicts):
    for name in ("agrees", "not_run"):
        command = f"snakemake metrics/cifar10-lt/{verdicts.setting}/paper/{name}/s{{0,1,2}}.json"
        assert f"<code>{command}</code>" in cell_of(verdicts.out, name)


def test_cell_names_the_place_of_the_published_number(verdicts):
    link = '<a href="https://doi.org/10.48550/arXiv.2106.05682">Oh et al. 2022, table 1, row 6, column 1</a>'
    assert link in cell_of(verdicts.out, "agrees")
    assert "Oh et al. 2022" not in cell_of(verdicts.out, "not_comparable")


def test_ablation_is_compared_without_a_deviation(verdicts):
    """76, 76.4 and 77 have mean 76.467, 3.5 more than the 72.96 of table 6."""
    text = " ".join(re.sub("<[^>]*>", " ", cell_of(verdicts.out, "no_published_spread")).split())
    assert "published 72.96" in text
    assert "□ +3.5, no published spread" in text


def test_differences_from_the_paper_that_touch_the_methods(verdicts):
    """Sections of docs/fidelity.md; all methods of this suite are FixMatch, some with DASO."""
    text = page(verdicts.out).text
    assert "Known differences from the paper that affect these methods: 3" in text
    rows = (verdicts.out / "index.html").read_text().split('<details class="ledger">')[1].split("</details>")[0]
    tags = re.findall(r'<th scope="row" class="markdown"><a href="[./]*/docs/fidelity.md#([a-z-]+)">\1</a></th>', rows)
    assert tags == ["teacher-bn", "confidence", "proportional-queue"]
    assert "<code>fixmatch.confidence: refined</code>" in rows


def test_page_names_project_commit_and_citation(verdicts):
    text = page(verdicts.out).text
    assert "daso 0.1.0, runs trained by the code of commit abcdef123456; how to cite" in text
    assert "doi = {10.1109/CVPR52688.2022.00956}" in text
