"""Rules of the code base that can be checked in its files."""

import ast
import re
import subprocess
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "daso").rglob("*.py"))
DOCS = sorted(path for path in (ROOT / "docs").glob("*.md") if path.name != "methods.md")  # which is generated
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS]
TOOLS = sorted((ROOT / "tools").rglob("*.py"))
# A folder or loose module imports only from earlier layers in this list; modules of the first may import each other.
LAYERS = [
    {"errors", "constraints", "schema", "draw", "records", "paths", "machine", "locks", "aliases"},
    {"ops", "data", "models"},
    {"augment", "methods", "zero_shot"},
    {"engine"},
    {"config"},
    {"report", "runs"},
    {"deploy"},
    {"workspace"},
    {"planning"},
    {"commands"},
    {"cli"},
    {"__main__"},
]
COMMANDS = {"cell", "derive", "explain", "keep", "predict", "publish", "resolve", "revalidate", "train"}
LONG = {
    "tests/config/test_params.py",
    "tests/engine/test_cuda_graphs.py",
    "tests/methods/test_simmatch.py",
    "tests/report/test_render.py",
}
LEVEL = {folder: level for level, folders in enumerate(LAYERS) for folder in folders}
REPORT_LAYERS = ["words", "results", "tables", "figures"]  # of daso/report/; its other modules are above them
# Packages that may be missing on a machine that trains.
ABSENT = {"ruamel", "snakemake", "dvc", "safetensors"}
PHRASES = (  # banned phrases; the section Words of CONTRIBUTING lists replacements
    *("that is none", "is none of these", "that of no file", "it is no file", "no telling", "Twice is not at all"),
    *("asks the device", "answers at test time", "wants an image", "can be told", "have their way", "keeps still"),
    *("is there twice", "way to a split", "spent state", "last state", "resume state", "who reads"),
    *("how far they are", "to mend", "mend it", "makes the same bytes", "takes the turn", "has the turn", "as ever "),
)
NAMES = {  # banned names of public functions, classes, methods and constants
    *(
        "found",
        "told",
        "made",
        "again",
        "way",
        "ways",
        "way_of",
        "Way",
        "WAY",
        "course",
        "lent",
        "Lent",
        "lenders",
        "LENT",
    ),
    *(
        "guesses",
        "guessed",
        "misfit",
        "malformed",
        "sealed",
        "SEAL",
        "hindrances",
        "obstacles",
        "in_turn",
        "whole_file",
    ),
    *("wanted", "asked", "far", "kept", "spent", "turn", "mend", "lean", "practice", "answers", "verbs", "VERBS"),
    *("utils", "helpers", "misc"),
}
ARTICLES = ("a_", "an_", "the_")
NO_BEHAVIOUR = {
    "what",
    "who",
    "told",
    "said",
    "says",
    "say",
    "asked",
    "wants",
    "guess",
    "guesses",
    "lent",
    "practice",
    "way",
}


def folder(path: Path) -> str:
    return path.relative_to(ROOT / "daso").parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_layers(path):
    own = folder(path)
    if own == "__init__":
        return
    for name in imports(path):
        parts = name.split(".")
        assert parts[0] not in ("tools", "tests"), f"{path.name} imports {name}"
        if parts[0] == "daso" and len(parts) > 1:
            other = parts[1]
            above = LEVEL[other] < LEVEL[own] or other == own or LEVEL[own] == LEVEL[other] == 0
            assert above, f"{path.name} imports {name}"
        assert LEVEL[own] > LEVEL["engine"] or parts[0] not in ABSENT, f"{path.name} imports {name}"


def test_modules_import_each_other_without_circles():
    """Also the modules of one folder, whose order the layers leave open."""
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts): imports(path) for path in SOURCES}
    graph = {
        name: {part for each in used for part in (each, each.rpartition(".")[0])} & modules.keys()
        for name, used in modules.items()
    }
    assert list(TopologicalSorter(graph).static_order())


def report_level(name: str) -> int:
    return REPORT_LAYERS.index(name) if name in REPORT_LAYERS else len(REPORT_LAYERS)


@pytest.mark.parametrize("path", sorted((ROOT / "daso/report").rglob("*.py")), ids=lambda path: path.stem)
def test_imports_inside_report_follow_its_layers(path):
    own = path.relative_to(ROOT / "daso/report").parts[0].removesuffix(".py")
    for name in imports(path):
        if name.startswith("daso.report."):
            other = name.split(".")[2]
            assert report_level(other) <= report_level(own), f"{own}/{path.name} imports {name}"


def test_learners_and_addons_do_not_import_each_other():
    for path in (ROOT / "daso/methods").rglob("*.py"):
        for name in imports(path):
            if path.parent.name in ("learners", "addons"):
                assert not re.match(r"daso\.methods\.(learners|addons)\.", name), f"{path.name} imports {name}"


def test_files_are_short():
    """At most 300 lines, also in tools and tests; no file may be added to `LONG`; its files still have to be split."""
    files = [*SOURCES, *TOOLS, *sorted((ROOT / "tests").rglob("*.py"))]
    long = {path.relative_to(ROOT).as_posix() for path in files if len(path.read_text().splitlines()) > 300}
    assert long <= LONG


def test_functions_are_short():
    """At most 40 lines, not counting docstring and signature, which lists the options of a component."""
    long = {}
    for path in [*SOURCES, *TOOLS]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = node.end_lineno - body[0].lineno + 1 if body else 0
                if lines > 40:
                    long[f"{path.relative_to(ROOT)}: {node.name}"] = lines
    assert not long


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_lines_of_pages_are_short(page):
    """Tables, headings and commands are exempt, as they cannot be broken."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert not [line for line in prose.splitlines() if len(line) > 120 and not line.startswith(("|", "#"))]


def test_no_symbolic_link_is_tracked():
    """A zip unpacked without links, or a clone with core.symlinks=false, must work."""
    files = subprocess.run(["git", "ls-files", "-s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "Snakefile" in files
    assert not [line for line in files.splitlines() if line.startswith("120000")]


def test_every_fidelity_tag_has_a_section():
    tags = {tag for path in SOURCES for tag in re.findall(r"# fidelity: ([a-z-]+)", path.read_text())}
    assert tags == set(re.findall(r"^### ([a-z-]+)$", (ROOT / "docs/fidelity.md").read_text(), re.MULTILINE))


def test_no_banned_phrase_is_used():
    """Code, messages, params and documents are searched; a phrase may be broken over two lines."""
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    prose = [name for name in files if name.endswith((".py", ".smk", ".md", ".yaml", ".sh", ".j2", "file", ".toml"))]
    exempt = {"tests/test_house.py", "CONTRIBUTING.md", "CHANGELOG.md"}
    used = []
    for name in sorted(set(prose) - exempt):
        text = re.sub(r"[\s#]+", " ", (ROOT / name).read_text())
        used += [f"{name}: {phrase}" for phrase in PHRASES if phrase.lower() in text.lower()]
    assert len(prose) > 400
    assert not used


def test_test_names_state_behaviour():
    """The name of a test has no word of `NO_BEHAVIOUR` and does not begin with an article."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    names = [name for path in files for name in re.findall(r"^ *def test_(\w+)", path.read_text(), re.MULTILINE)]
    assert len(names) > 1000
    assert not [name for name in names if NO_BEHAVIOUR.intersection(name.split("_")) or name.startswith(ARTICLES)]


def public_names(path: Path) -> list[str]:
    """Return the names that a module defines at its top level, without private ones."""
    names = []
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names += [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]
    return [name for name in names if not name.startswith("_")]


def test_every_public_name_is_defined_in_one_module():
    """A command may have the name of the function that it calls."""
    modules = {}
    for path in SOURCES:
        for name in set(public_names(path)):
            modules.setdefault(name, []).append(path.relative_to(ROOT / "daso").as_posix())
    several = {name: files for name, files in modules.items() if len(files) > 1}
    assert set(several) == COMMANDS
    assert all([file.startswith("commands/") for file in files] == [True, False] for files in several.values())


def test_no_banned_name_is_public():
    used, public = [], 0
    for path in [*SOURCES, *TOOLS]:
        tree = ast.parse(path.read_text())
        names = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
        names += [
            target.id
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        ]
        names += [path.stem]
        public += len(names)
        used += [f"{path.relative_to(ROOT)}: {name}" for name in names if name in NAMES]
    assert public > 1000
    assert not used
