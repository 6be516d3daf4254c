"""The house rules that a machine can read off the files."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "daso").rglob("*.py"))
TOOLS = sorted((ROOT / "tools").rglob("*.py"))
# A room imports from floors below its own, never from one above; rooms of one floor do not know each other.
FLOORS = [
    {"errors", "draw", "records", "paths", "machine"},
    {"ops"},
    {"data", "augment", "models"},
    {"methods"},
    {"engine"},
    {"config"},
    {"runs", "zero_shot"},
    {"report"},
    {"workspace"},
    {"planning"},
    {"commands"},
    {"cli"},
    {"__main__"},
]
LONG = {
    "tests/config/test_params.py",
    "tests/engine/test_cuda_graphs.py",
    "tests/methods/test_simmatch.py",
    "tests/report/test_render.py",
}
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
# What the training rooms must do without: a machine with a GPU may have none of these.
ABSENT = {"ruamel", "jsonschema", "snakemake", "dvc", "safetensors"}


def room(path: Path) -> str:
    return path.relative_to(ROOT / "daso").parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_stair_leads_up(path):
    mine = room(path)
    if mine == "__init__":
        return
    for name in imports(path):
        parts = name.split(".")
        assert parts[0] not in ("tools", "tests"), f"{path.name} imports {name}"
        if parts[0] == "daso" and len(parts) > 1:
            theirs = parts[1]
            below = LEVEL[theirs] < LEVEL[mine] or theirs == mine or LEVEL[mine] == LEVEL[theirs] == 0
            assert below, f"{path.name} imports {name}"
        assert LEVEL[mine] > LEVEL["engine"] or parts[0] not in ABSENT, f"{path.name} imports {name}"


def test_learners_and_addons_do_not_know_each_other():
    for path in (ROOT / "daso/methods").rglob("*.py"):
        for name in imports(path):
            if path.parent.name in ("learners", "addons"):
                assert not re.match(r"daso\.methods\.(learners|addons)\.", name), f"{path.name} imports {name}"


def test_files_are_short():
    """Of tools and tests, too; those that are still to be cut may not be joined by another."""
    files = [*SOURCES, *TOOLS, *sorted((ROOT / "tests").rglob("*.py"))]
    long = {path.relative_to(ROOT).as_posix() for path in files if len(path.read_text().splitlines()) > 300}
    assert long <= LONG


def test_functions_are_short():
    """What they do, that is without the signature, which lists a component's options, and the docstring."""
    long = {}
    for path in [*SOURCES, *TOOLS]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = node.end_lineno - body[0].lineno + 1 if body else 0
                if lines > 40:
                    long[f"{path.relative_to(ROOT)}: {node.name}"] = lines
    assert not long


def test_lines_of_the_readme_are_short():
    """All but tables and commands, which cannot be broken."""
    prose = re.sub(r"^```.*?^```$", "", (ROOT / "README.md").read_text(), flags=re.MULTILINE | re.DOTALL)
    assert not [line for line in prose.splitlines() if len(line) > 120 and not line.startswith("|")]


def test_no_symbolic_link_is_tracked():
    """A zip unpacked without links, or a clone with core.symlinks=false, must work."""
    files = subprocess.run(["git", "ls-files", "-s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "Snakefile" in files
    assert not [line for line in files.splitlines() if line.startswith("120000")]


def test_every_departure_has_its_row_in_the_ledger():
    tags = {tag for path in SOURCES for tag in re.findall(r"# fidelity: ([a-z-]+)", path.read_text())}
    rows = set(re.findall(r"^\| ([a-z][a-z-]+) \|", (ROOT / "docs/fidelity.md").read_text(), re.MULTILINE)) - {"tag"}
    assert tags == rows
