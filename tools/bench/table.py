"""Page of the speed benchmark: `<machine>.json` has all measurements, `<machine>.md` shows them as tables.

A call with some parts replaces their results and keeps the others, so each part has its own command, commit and
versions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from daso.aliases import Tree
from daso.data.files import read_json, write_file

NOISE = re.compile(r"\((?:r|tm)\)|@.*|\b(?:\d+-core|cpu|processor|with)\b", re.IGNORECASE)


def slug(device: str, cores: int) -> str:
    """Return the file name of a machine: "cpu: AMD EPYC 9B14 96-Core Processor", 2 -> "amd-epyc-9b14-2-cores"."""
    name = NOISE.sub(" ", device.split(": ", 1)[-1])
    return "-".join(re.findall(r"[a-z0-9]+", name.lower()) + [str(cores), "core" if cores == 1 else "cores"])


def write(out: Path, machine: Mapping[str, Any], sections: Mapping[str, Tree], order: Sequence[str]) -> Path:
    """Write or update a machine's two files; return the path of the Markdown. `sections` are the new parts."""
    name = slug(machine["device"], machine["cores"]) + ("-quick" if machine["quick"] else "")
    path = out / f"{name}.json"
    known = read_json(path, "benchmark")["sections"] if path.exists() else {}
    merged = {**known, **sections}
    tree = {"machine": dict(machine), "sections": {part: merged[part] for part in [*order, *merged] if part in merged}}
    write_file(path, (json.dumps(tree, indent=1) + "\n").encode())
    write_file(out / f"{name}.md", markdown(tree).encode())
    return out / f"{name}.md"


def markdown(tree: Tree) -> str:
    """Return the page of a machine as Markdown."""
    machine, sections = tree["machine"], tree["sections"]
    lines = [
        f"# {machine['device'].split(': ', 1)[-1]}, {_count(machine['cores'], 'core')}",
        "",
        "Numbers are medians over rounds, in brackets the lowest and the highest round. Every round measures each "
        "contender once, in turn; `x` columns are medians of the ratios within rounds.",
        "",
        *(["**Smoke test with tiny sizes: ignore these numbers.**", ""] if machine["quick"] else []),
        *_targets({} if machine["quick"] else sections),
    ]
    for part, section in sections.items():
        lines += _section(part, section)
    return "\n".join(lines).rstrip() + "\n"


def _targets(sections: Tree) -> list[str]:
    rows = [
        [target["what"], f"{target['relation']} {_number(target['required'])} {target['unit']}".strip(),
         f"{_number(target['measured'])} {target['unit']}".strip(), "yes" if target["met"] else "**no**", f"`{part}`"]
        for part, section in sections.items()
        for target in section["targets"]
    ]  # fmt: skip
    if not rows:
        return []
    return ["## Targets", "", *_grid(["target", "required", "measured", "met", "part"], rows), ""]


def _section(part: str, section: Tree) -> list[str]:
    made = section["made_with"]
    versions = ", ".join(f"{package} {version}" for package, version in made["versions"].items())
    lines = [f"## {part}", "", "```sh", section["command"], "```", ""]
    threads, rounds = _count(made["threads"], "thread"), _count(made["repeats"], "round")
    lines += [f"Commit {made['commit']}; {made['device']}; {threads}; {rounds}; {versions}.", ""]
    for table in section["tables"]:
        rows = [[_cell(value) for value in row] for row in table["rows"]]
        lines += [f"### {table['title']}", "", table["how"], "", *_grid(table["columns"], rows), ""]
    return lines + [line for note in section["notes"] for line in (note, "")]


def _grid(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"

    return [line(columns), line(["---"] * len(columns)), *(line(row) for row in rows)]


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        middle = _number(value["median"])
        return middle if value["n"] == 1 else f"{middle} ({_number(value['low'])} to {_number(value['high'])})"
    return value if isinstance(value, str) else _number(value)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _number(value: float) -> str:
    """Return a number with three significant digits: 65,500, 2.37, 0.0124; an int in full."""
    if isinstance(value, int):
        return f"{value:,}"
    if abs(value) >= 100:
        digits = len(str(int(abs(value)))) - 3
        return f"{round(value, -digits):,.0f}"
    return f"{value:#.3g}".rstrip(".")
