"""The workflow's own files: form, lint, and what a person can ask of it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflow.project import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workflow")]
# One locked environment serves every rule, so none names its own.
ALLOWED = {"Specify a conda environment or container for each rule."}


def test_snakefmt_has_nothing_to_change():
    program = str(Path(sys.executable).with_name("snakefmt"))
    done = subprocess.run([program, "--check", "Snakefile", "workflow"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_lint_says_only_what_is_allowed(built):
    said = built.call("sh", "-c", "snakemake --lint || true")
    complaints, where = set(), ""
    for line in said.splitlines():
        if found := re.match(r"Lints for (?:snakefile (?:.*/)?(\S+)|rule .*):", line):
            where = f"{found[1]}: " if found[1] else ""
        elif found := re.match(r"\s+\* (.+?):?$", line):
            complaints.add(where + found[1].split(":")[0])
    assert complaints == ALLOWED


def test_the_graph_of_rules(built):
    said = built.snakemake("--rulegraph", "mermaid-js")
    name = dict(re.findall(r"(id\d+)\[(\w+)\]", said))
    edges = {(name[a], name[b]) for a, b in re.findall(r"(id\d+) --> (id\d+)", said)}
    assert edges == {
        *{("download", "split"), ("download", "train"), ("split", "train"), ("train", "evaluate")},
        *{("train", "report"), ("evaluate", "report"), ("train", "all"), ("evaluate", "all"), ("report", "all")},
    }


def test_snakemakes_own_report_can_be_made(built):
    built.snakemake("--report", "provenance.html")
    page = built.read("provenance.html")
    assert "fixmatch_daso" in page


def test_the_profile_is_found_without_an_option():
    assert not (ROOT / "profiles").is_symlink()
    assert (ROOT / "profiles" / "default" / "config.yaml").is_file()


def test_the_html_report_loads_nothing_from_elsewhere(built):
    page = built.read("reports/tiny/index.html")
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", page)
    assert not re.search(r"@import|url\(\s*['\"]?https?:", page)


def test_dvc_sends_nothing_home():
    config = (ROOT / ".dvc" / "config").read_text()
    assert "analytics = false" in config
    assert "check_update = false" in config
