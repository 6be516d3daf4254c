"""Sources of the published numbers, and their check against the rows of results.csv."""

import csv
import shutil

import pytest

from daso.errors import DataError
from daso.report.results.published import PUBLISHED, SHAPES, read_published
from daso.report.results.sources import SOURCES, PublishedSource, read_sources, source_of


@pytest.fixture(scope="module")
def sources():
    return read_sources()


@pytest.fixture
def folder(tmp_path):
    for path in (PUBLISHED, SOURCES):
        shutil.copy(path, tmp_path)
    return tmp_path


def test_table_without_its_own_row_has_the_source_of_all_tables(sources):
    paper, ablation = (source_of(sources, {"source": "daso_paper", "table": table}) for table in ("1", "5"))
    assert paper == source_of(sources, {"source": "daso_paper", "table": "99"})
    assert (paper.citation, paper.link) == ("Oh et al. 2022", "https://doi.org/10.48550/arXiv.2106.05682")
    assert paper.statistic == "median of the last 20 evaluations, 3 runs"
    assert "number of runs not stated" in ablation.statistic
    assert source_of(sources, {"source": "acr_paper", "table": "1"}).read == "third party"
    assert source_of(sources, {"source": "nobody", "table": "1"}) is None


def test_every_source_is_used_and_every_row_has_one(sources):
    rows = read_published(PUBLISHED)
    used = {source_of(sources, row)[:2] for row in rows}
    assert used == set(sources)
    assert {row["source"] for row in rows if row["doubt"]} == {
        source.source for source in sources.values() if source.read == "memory"
    }


def test_shape_agrees_with_the_imbalance_ratio():
    for row in read_published(PUBLISHED):
        if row["gamma_u"] and row["shape"] not in ("natural", "middle", "head-tail", "arbitrary"):
            gamma = float(row["gamma_u"])
            assert row["shape"] == ("uniform" if gamma == 1 else "long-tailed" if gamma > 1 else "reversed"), row


@pytest.mark.parametrize(
    ("file", "changes", "error"),
    [
        ("results.csv", {"source": "nobody"}, "row 1: unknown source 'nobody', table '1'; add it to sources.csv"),
        ("results.csv", {"shape": "flat"}, f"row 1: shape: expected one of {', '.join(SHAPES)}, got 'flat'; restore"),
        ("sources.csv", {"read": "dream"}, "row 1: read: expected one of paper, slides, .*, got 'dream'; restore"),
        ("sources.csv", {"link": "www.x.org"}, "row 1: link: expected https://..., got 'www.x.org'; restore"),
        ("sources.csv", {"citation": ""}, "row 1: missing source or citation; restore"),
        ("sources.csv", {"source": "daso_paper", "table": "4"}, "row 4: duplicate source 'daso_paper 4'; restore"),
    ],
)
def test_invalid_row_is_one_error(folder, file, changes, error):
    with (folder / file).open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    rows[0] |= changes
    with (folder / file).open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows[:200])
    with pytest.raises(DataError, match=f"{file}: {error}"):
        read_published(folder / "results.csv")


def test_missing_sources_are_an_error(folder):
    (folder / "sources.csv").unlink()
    with pytest.raises(DataError, match=r"sources\.csv: cannot read the published numbers"):
        read_published(folder / "results.csv")
    assert PublishedSource._fields[:4] == ("source", "table", "citation", "link")
