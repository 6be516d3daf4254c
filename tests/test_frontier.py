"""docs/frontier.md agrees with the published numbers, the benchmark of a step and the params files."""

import csv
import re
from collections import Counter
from fnmatch import filter as matching
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/frontier.md").read_text()
with (ROOT / "reports/paper/results.csv").open(newline="") as file:
    RESULTS = list(csv.DictReader(file))
SOURCES = {  # start of a row of the table of protocols -> sources of its numbers
    "Oh et al. 2022": ("daso_paper", "daso_slides", "daso_issue3"),
    "Wei and Gan 2023": ("acr_paper", "ccl_paper", "scad_paper"),
    "Du et al. 2024": ("simpro_paper",),
    "Lee and Kim 2024": ("cdmad_paper", "dytrim_paper", "lcgc_paper"),
    "Wang et al. 2022": ("usb_results", "cpe_paper", "cpe_logs", "scssl_paper", "cpg_paper"),
    "Sanchez Aimar et al. 2024": ("adello_paper",),
    "Huang et al. 2025": ("loft_paper",),
    "Li et al. 2024": ("seval_paper",),
}
C10 = {"dataset": "cifar10-lt", "gamma_l": "100", "base": "fixmatch"}
C100 = {"dataset": "cifar100-lt", "gamma_l": "10", "gamma_u": "10", "addons": "acr"}
REVERSED = {**C10, "n1": "1500", "m1": "3000", "shape": "reversed", "addons": "cpe"}
IMAGENET = {"dataset": "imagenet127-64", "addons": "acr", "metric": "top1"}
QUOTED = [  # a number of the page, its source, and its cell
    ("77.5", "daso_paper", {**C10, "n1": "1500", "m1": "3000", "gamma_u": "100", "addons": ""}),
    ("71.5", "cdmad_paper", {**C10, "n1": "1500", "m1": "3000", "gamma_u": "100", "addons": "", "metric": "bacc"}),
    ("81.5", "daso_paper", {**C10, "n1": "1500", "m1": "3000", "gamma_u": "1", "addons": ""}),
    ("93.5", "ccl_paper", {**C10, "n1": "1500", "m1": "3000", "gamma_u": "1", "addons": "acr"}),
    ("63.6", "acr_paper", IMAGENET),
    ("63.6", "ccl_paper", IMAGENET),
    ("36.28", "cola_paper", IMAGENET),
    ("80.7", "simpro_paper", {**C10, "n1": "500", "gamma_u": "100", "shape": "long-tailed", "addons": "simpro"}),
    ("64.1", "cpg_paper", {**C10, "n1": "400", "gamma_u": "100", "shape": "long-tailed", "addons": "simpro"}),
    ("85.8", "simpro_paper", {**C10, "n1": "500", "shape": "reversed", "addons": "simpro"}),
    ("63.7", "cpg_paper", {**C10, "n1": "400", "shape": "reversed", "addons": "simpro"}),
    ("89.3", "ccl_paper", REVERSED),
    ("87.10", "scssl_paper", REVERSED),
    ("87.09", "cpe_logs", {**REVERSED, "table": "best"}),
    ("86.70", "cpe_logs", {**REVERSED, "table": "last20"}),
    ("55.7", "acr_paper", {**C100, "n1": "50"}),
    ("55.7", "loft_paper", {**C100, "n1": "50"}),
    ("51.1", "ccl_paper", {**C100, "n1": "50"}),
    ("51.3", "scad_paper", {**C100, "n1": "50"}),
    ("65.6", "acr_paper", {**C100, "n1": "150"}),
    ("61.0", "ccl_paper", {**C100, "n1": "150"}),
    ("60.34", "scssl_paper", {**C100, "n1": "150"}),
    ("59.83", "cpe_paper", {**C100, "n1": "150"}),
]


def table(page: str, heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading, without its head."""
    lines = page.split(f"# {heading}\n")[1].split("\n#")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return rows[2:]


def test_numbers_of_each_protocol_are_those_of_the_published_ones():
    """USB: 346 of its own results, 83 of CPE, 12 of CPE's logs, 120 of SC-SSL and 3 of CPG are 564."""
    counts = Counter(row["source"] for row in RESULTS)
    rows = table(PAGE, "Protocols and their numbers")
    assert len(rows) == len(SOURCES)
    for name, *_, number in rows:
        sources = next(sources for start, sources in SOURCES.items() if name.startswith(start))
        assert int(number) == sum(counts[source] for source in sources), name


@pytest.mark.parametrize(("number", "source", "cell"), QUOTED)
def test_quoted_number_is_published(number, source, cell):
    published = [row["mean"] for row in RESULTS if row["source"] == source and cell.items() <= row.items()]
    assert published and set(map(float, published)) == {float(number)}
    assert re.search(rf"(?<![\d.]){re.escape(number)}(?![\d])", PAGE)


def test_named_methods_and_protocols_have_params_files():
    named = {"methods": [row[1] for row in table(PAGE, "Assumptions about the unlabeled classes")]}
    named["methods"] += [row[-1] for row in table(PAGE, "Index of methods")]
    named["protocols"] = [row[1] for row in table(PAGE, "Protocols and their numbers")]
    for folder, cells in named.items():
        files = [path.stem for path in (ROOT / "params" / folder).glob("*.yaml")]
        patterns = [name for cell in cells for name in re.findall(r"`([a-z0-9_*]+)`", cell)]
        assert patterns
        assert not [name for name in patterns if not matching(files, name) and name != "arbitrary"]


def test_costs_are_those_of_the_benchmark():
    benchmark = (ROOT / "docs/benchmarks/methods.md").read_text()
    measured = {row[0]: row[2] for row in table(benchmark, "Cost of a step by method")}
    costs = dict(table(PAGE, "Cost of a step"))
    assert costs == measured and {"ADELLO", "CCL", "CDMAD"} <= {name.removeprefix("FixMatch + ") for name in costs}
    on_features = {name: row for name, _, *row in table(benchmark, "Cost of a step on features")}
    assert {name: row for name, *row in table(PAGE, "Cost of a step on features")} == on_features
    assert {"LoFT", "alpha-TIM + LA"} <= on_features.keys()
