"""Facts in README.md equal the code, params/, the references and the archived results."""

import ast
import inspect
import json
import re
import textwrap
from collections import defaultdict
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from daso.config.load import load_params
from daso.config.resolve import expand_suite
from daso.methods.learners.fixmatch import FixMatch
from daso.report.results.collect import collect, format_mean_std
from daso.report.results.judged import judge_cells
from daso.report.results.published import PUBLISHED, read_published
from daso.report.results.verdicts import AGREES
from tests.golden.trajectories import RUNS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
DATASETS = (
    "cifar10-lt",
    "cifar100-lt",
    "stl10-lt",
    "semi-aves",
    "cifar10",
    "cifar100",
)  # columns of the table of methods


@pytest.fixture(scope="module")
def params():
    return load_params(ROOT / "params")


def table_rows(heading):
    """Return the lines of the first table under a heading, without its two head lines."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\|.*$", section, re.MULTILINE)[2:]


def test_number_of_reproduced_cells(params):
    """Reproduced: verdict `agrees` on archived runs; cells of a published mean with a spread count, once per table."""
    published, with_spread, measured, reproduced = read_published(PUBLISHED), 0, 0, 0
    for name in (name for name in params.suites if name.startswith("paper-table-")):
        suite = expand_suite(params, name)
        nothing = ROOT / "no such folder"  # runs of this working copy do not count
        cells = collect(suite, nothing, nothing, archived=ROOT / "reports/measured")
        for judged in judge_cells(suite, cells, published):
            if judged.published and judged.published.std is not None:
                with_spread += 1
                measured += bool(judged.archived)
                reproduced += any(archived.verdict.text == AGREES for _, archived in judged.archived)
    assert f"**Published cells reproduced at full schedule: {reproduced} of {with_spread}.**" in README
    assert ("No published cell is measured yet" in README) == (measured == 0)
    assert f"{with_spread} cells are those of the paper's tables 1 to 4 and 11 to 14" in " ".join(README.split())


def test_number_of_recipes_equal_to_the_authors_code():
    """`tests/golden/test_authors.py` compares each run of the record."""
    assert f"**Step for step equal to the authors' code for {len(RUNS)} recipes**" in README


def test_table_of_methods_equals_params(params):
    """A cell lists the tables of the paper and the suites in which the method runs on the dataset."""
    where = defaultdict(set)
    for name, suite in params.suites.items():
        number = re.fullmatch(r"paper-table-(\d+)", name)
        if number or name in ("debiaspl", "simmatch", "simmatch-cifar100"):
            label = int(number[1]) if number else name
            for table in suite["tables"]:
                for method in table["methods"]:
                    where[method, table["dataset"]].add(label)
    groups = defaultdict(list)
    for name, method in params.methods.items():
        places = tuple(
            ", ".join(map(str, sorted(where[name, dataset], key=lambda label: (isinstance(label, str), label))))
            for dataset in DATASETS
        )
        if any(places):
            groups[places].append(method["title"])
    rows = [f"| {'; '.join(titles)} | {' | '.join(places)} |" for places, titles in groups.items()]
    assert sorted(re.sub(r" +", " ", row) for row in rows) == sorted(table_rows("Methods and datasets"))


def test_step_and_params_of_fixmatch_are_quoted():
    tree = ast.parse(textwrap.dedent(inspect.getsource(FixMatch.step)))
    source = textwrap.dedent(inspect.getsource(FixMatch.step)).splitlines()
    docstring = tree.body[0].body[0]
    del source[docstring.lineno - 1 : docstring.end_lineno]
    assert re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL) == ["\n".join(source) + "\n"]
    assert len(source) == 12
    (quoted,) = re.findall(r"^```yaml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert quoted == (ROOT / "params/methods/fixmatch.yaml").read_text()


def test_results_equal_the_reference_of_quickstart(params):
    numbers = json.loads((ROOT / "reports/reference/quickstart.json").read_text())["numbers"]
    cells = [next(iter(numbers[table].values())) for table in ("reversed", "matched")]
    rows = [
        f"| {params.methods[name]['title']} | {' | '.join(format_mean_std(**table[name]) for table in cells)} |"
        for name in ("supervised", "fixmatch", "fixmatch_daso")
    ]
    assert table_rows("Results") == rows


def test_citation_is_a_valid_cff_file_and_has_every_paper_of_a_method():
    """Required fields of CFF 1.2.0; papers as `(Oh et al. 2022` in the components' code and in params/methods/."""
    tree = YAML(typ="safe").load((ROOT / "CITATION.cff").read_text())
    assert tree["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= tree.keys()
    for reference in tree["references"]:
        assert {"type", "title", "authors", "year"} <= reference.keys()
        assert reference["type"] in ("conference-paper", "article")
        assert all({"family-names", "given-names"} == author.keys() for author in reference["authors"])
    first = {(reference["authors"][0]["family-names"], reference["year"]) for reference in tree["references"]}
    files = [*(ROOT / "daso/methods").rglob("*.py"), *(ROOT / "params/methods").glob("*.yaml")]
    paper = re.compile(r"\(((?:[A-Z]\w+ )?\w+)(?: et al\.| and \w+)? (20\d\d)")
    cited = [found for path in files for found in paper.findall(path.read_text())]
    assert len(cited) > 50
    assert {(name, int(year)) for name, year in cited} <= first
