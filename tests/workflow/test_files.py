"""The workflow's own files: form, lint, and what a person can ask of it."""

import re
import shutil
import subprocess

import pytest

from tests.workflow.project import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workflow")]
# One package serves every rule, so no rule names a conda environment or container of its own; the paths that are put
# together are put together in one file.
ALLOWED = (
    "No log directive defined",
    "Specify a conda environment or container for each rule",
    "Migrate long run directives",
    "Path composition with",
)


def test_snakefmt_has_nothing_to_change():
    done = subprocess.run(["snakefmt", "--check", "Snakefile", "workflow"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_lint_says_only_what_is_allowed(built):
    said = built.call("sh", "-c", "snakemake --lint || true")
    complaints = re.findall(r"^\s+\* (.+?):", said, re.MULTILINE)
    assert [text for text in complaints if not text.startswith(ALLOWED)] == []
    assert "Traceback" not in said


def test_the_graph_of_rules(built):
    said = built.snakemake("--rulegraph", "mermaid-js")
    for rule in ("download", "split", "train", "evaluate", "report"):
        assert f"[{rule}]" in said or f'"{rule}"' in said or rule in said


def test_the_profile_is_found_without_an_option():
    assert (ROOT / "profiles").is_symlink()
    assert (ROOT / "profiles" / "default" / "config.yaml").is_file()


def test_the_html_report_loads_nothing_from_elsewhere(built):
    page = built.read("reports/tiny/index.html")
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", page)
    assert not re.search(r"@import|url\(\s*['\"]?https?:", page)


def test_dvc_sends_nothing_home():
    assert shutil.which("dvc")
    config = (ROOT / ".dvc" / "config").read_text()
    assert "analytics = false" in config
    assert "check_update = false" in config
