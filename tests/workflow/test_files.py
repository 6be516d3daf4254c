"""Files of the workflow: format, lint, rule graph, reports."""

import re

import pytest

from tests.workflow.project import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workflow")]
# All rules run in one locked environment, so no rule declares its own.
ALLOWED = {"Specify a conda environment or container for each rule."}


def test_lint_reports_only_the_allowed(built):
    output = built.call("sh", "-c", "snakemake --lint || true")
    complaints, where = set(), ""
    for line in output.splitlines():
        if match := re.match(r"Lints for (?:snakefile (?:.*/)?(\S+)|rule .*):", line):
            where = f"{match[1]}: " if match[1] else ""
        elif match := re.match(r"\s+\* (.+?):?$", line):
            complaints.add(where + match[1].split(":")[0])
    assert complaints == ALLOWED


def test_rule_graph_has_all_dependencies(built):
    output = built.snakemake("--rulegraph", "mermaid-js")
    name = dict(re.findall(r"(id\d+)\[(\w+)\]", output))
    edges = {(name[a], name[b]) for a, b in re.findall(r"(id\d+) --> (id\d+)", output)}
    assert edges == {
        *{("download", "split"), ("download", "train"), ("split", "train"), ("train", "evaluate")},
        *{(rule, "correct") for rule in ("download", "split", "train")},
        *{
            ("correct", "report"),
            ("train", "report"),
            ("evaluate", "report"),
            ("train", "all"),
            ("evaluate", "all"),
            ("report", "all"),
        },
    }


def test_default_profile_is_a_file():
    assert not (ROOT / "profiles").is_symlink()
    assert (ROOT / "profiles" / "default" / "config.yaml").is_file()


def test_dvc_sends_no_analytics():
    config = (ROOT / ".dvc" / "config").read_text()
    assert "analytics = false" in config
    assert "check_update = false" in config
