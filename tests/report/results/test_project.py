"""Name, version and citation of the project."""

import tomllib
from pathlib import Path

from ruamel.yaml import YAML

from daso.report.results.project import read_project

ROOT = Path(__file__).resolve().parents[3]


def test_citation_has_the_version_of_the_project_and_the_paper():
    """CITATION.cff for services that read it, cite.bib.j2 for the page."""
    citation = YAML(typ="safe").load(ROOT / "CITATION.cff")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert citation["version"] == project["version"] == read_project().version
    paper = citation["references"][0]
    bibtex = (ROOT / "reports/templates/cite.bib.j2").read_text()
    assert f"doi       = {{{paper['doi']}}}" in bibtex
    assert " and ".join(f"{a['family-names']}, {a['given-names']}" for a in paper["authors"]) in bibtex
    assert citation["title"] in bibtex
