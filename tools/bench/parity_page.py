"""Page of the parity check: trained pairs, their differences, and verdicts.

`<name>.json` has every pair of every suite, `<name>.md` shows it as tables; a check of one suite keeps the others.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from daso.aliases import Tree
from daso.config.resolve import Run
from daso.data.files import format_json, read_json, write_file
from tools.bench.noninferiority import INFERIOR, NON_INFERIOR, NOT_SHOWN, compare

MADE_WITH = ("commit", "device", "threads", "mode", "versions")
ABSENT = "–"
HEAD = """# Does a lower precision cost accuracy?

Every run is trained twice with the same seed, so with the same split, initialisation, batches and augmentation: once
in fp32, once in the variant. d is the variant's test accuracy minus the accuracy in fp32, in points, both as reported
by the protocol. The bounds are confidence bounds of the mean of d, each one-sided at 95 % (Student's t over the pairs).

The margin is the loss that would matter. With a margin of 1 point:

- **non-inferior**: the lower bound is above -1. If the variant did cost a point or more on average over seeds, pairs
  like these would come up in at most one check of twenty.
- **inferior**: even the upper bound is below -1; the variant costs more than the margin.
- **not shown**: the pairs do not decide it; this is not evidence of a loss. More seeds narrow the bounds, and fewer
  than three pairs decide nothing.

The two runs of a pair diverge: a difference in rounding grows with every step, so the deviation of d comes from the
chaos of training as much as from the format, and a row of few seeds may show little by itself. A pooled row holds all
pairs of a dataset, each with equal weight, as if they were independent. No row is corrected for multiple tests.

Times are measured while other runs are training and include evaluations; the ratio is the median over pairs.
"""


class Outcome(NamedTuple):
    """Result of a finished run."""

    key: str
    accuracy: float  # percent, as the protocol reports it
    median_of: int  # evaluations
    milliseconds: float  # per step
    provenance: Mapping[str, Any]


class Pair(NamedTuple):
    """Outcomes of a run in fp32 and in a variant."""

    run: Run
    variant: str
    standard: Outcome
    other: Outcome

    @property
    def difference(self) -> float:
        """Accuracy of the variant minus that of fp32, in points."""
        return self.other.accuracy - self.standard.accuracy


class Setup(NamedTuple):
    """Options of the check; `None` for methods, settings or steps means the suite's own."""

    suite: str
    methods: Sequence[str] | None
    settings: Sequence[str] | None
    seeds: int
    variants: Sequence[str]
    margin: float
    jobs: int
    steps: int | None
    out: Path
    device: str

    @property
    def command(self) -> str:
        """Command that reproduces this section."""
        words = ["python -m tools.bench parity", self.suite]
        for name in ("methods", "settings"):
            words += [f"--{name}", ",".join(getattr(self, name))] if getattr(self, name) else []
        words += ["--seeds", str(self.seeds), "--variants", ",".join(self.variants), "--margin", f"{self.margin:g}"]
        words += ["--steps", str(self.steps)] if self.steps is not None else []
        return " ".join([*words, "--jobs", str(self.jobs), "--device", self.device, "--out", str(self.out)])


def section(setup: Setup, suite: Tree, pairs: Sequence[Pair]) -> Tree:
    """Return the record of a suite; `suite` is the expanded suite, whose tables have one protocol."""
    protocol, outcomes = (
        suite["tables"][0]["protocol"],
        [outcome for pair in pairs for outcome in (pair.standard, pair.other)],
    )
    return {
        "command": setup.command,
        "title": str(suite["title"]),
        "protocol": {name: protocol[name] for name in ("name", "title", "steps")},
        "steps": setup.steps or protocol["steps"],
        "median_of": outcomes[0].median_of,
        "seeds": setup.seeds,
        "jobs": setup.jobs,
        "margin": setup.margin,
        "made_with": {
            name: list(dict.fromkeys(_provenance_text(outcome, name) for outcome in outcomes)) for name in MADE_WITH
        },
        "rows": list(_rows(pairs, ("dataset", "setting", "method"), setup.margin)),
        "pooled": list(_rows(pairs, ("dataset",), setup.margin)),
        "pairs": [_record(pair) for pair in pairs],
    }


def _rows(pairs: Sequence[Pair], names: Sequence[str], margin: float) -> Iterator[Tree]:
    """Yield one row for each variant and each combination of the named parts of a run."""
    groups: dict[tuple[str, ...], list[Pair]] = {}
    for pair in pairs:
        groups.setdefault((*(str(getattr(pair.run, name)) for name in names), pair.variant), []).append(pair)
    for values, group in groups.items():
        yield {
            **dict(zip((*names, "variant"), values, strict=True)),
            "standard": statistics.fmean(pair.standard.accuracy for pair in group),
            "other": statistics.fmean(pair.other.accuracy for pair in group),
            "milliseconds": [
                statistics.median(pair.standard.milliseconds for pair in group),
                statistics.median(pair.other.milliseconds for pair in group),
            ],
            "times_as_fast": statistics.median(pair.standard.milliseconds / pair.other.milliseconds for pair in group),
            **compare([pair.difference for pair in group], margin)._asdict(),
        }


def _record(pair: Pair) -> Tree:
    def outcome_record(outcome: Outcome) -> Tree:
        return {"key": outcome.key, "accuracy": outcome.accuracy, "milliseconds": outcome.milliseconds}

    return {
        "run": pair.run.id,
        "variant": pair.variant,
        "standard": outcome_record(pair.standard),
        "other": outcome_record(pair.other),
    }


def _provenance_text(outcome: Outcome, name: str) -> str:
    value = outcome.provenance.get(name, "unknown")
    return ", ".join(f"{key} {part}" for key, part in value.items()) if isinstance(value, Mapping) else str(value)


def write(out: Path, suite: str, record: Tree) -> None:
    """Write or replace a suite's section of the page `out` and of the JSON file beside it."""
    json_path = out.with_suffix(".json")
    known = read_json(json_path, "parity check")["suites"] if json_path.exists() else {}
    tree = {"suites": {**known, suite: record}}
    for path, content in ((json_path, format_json(tree)), (out, markdown(tree).encode())):
        write_file(path, content)


def markdown(tree: Tree) -> str:
    """Return the page as Markdown."""
    lines = [HEAD]
    for suite, record in sorted(tree["suites"].items()):
        lines += _section(suite, record)
    return "\n".join(lines).rstrip() + "\n"


def _section(suite: str, record: Tree) -> Iterator[str]:
    rows, pooled = record["rows"], record["pooled"]
    yield from (f"## {suite}: {record['title']}", "", "```sh", record["command"], "```", "")
    yield from (_budget(record), "")
    yield from (_provenance_line(record["made_with"]), "")
    for variant in dict.fromkeys(row["variant"] for row in rows):
        yield from (_summary(variant, [row for row in rows if row["variant"] == variant]), "")
    names = ("dataset", "variant", "n", "d", "sd of d", "bounds", "verdict", "x as fast")
    yield from (*_grid(names, [_cells(row) for row in pooled]), "")
    several = ("dataset",) if len({row["dataset"] for row in rows}) > 1 else ()
    names = (*several, "setting", "method", "variant", "n", "fp32, %", "variant, %", "d", "sd of d", "bounds",
             "verdict", "ms a step, fp32", "ms a step, variant", "x as fast")  # fmt: skip
    yield from (*_grid(names, [_cells(row) for row in rows]), "")


def _budget(record: Tree) -> str:
    protocol, steps = record["protocol"], record["steps"]
    budget = f"{steps:,} steps per run"
    if steps != protocol["steps"]:
        budget = f"**{steps:,} steps per run instead of its {protocol['steps']:,}**"
    last = "that of the last evaluation"
    if record["median_of"] > 1:
        last = f"the median of the last {record['median_of']} evaluations"
    return (
        f"Protocol `{protocol['name']}` ({protocol['title']}), {budget}; accuracy is {last}. "
        f"{_count(record['seeds'], 'seed')}, {_count(record['jobs'], 'run')} at a time. "
        f"Margin: {record['margin']:g} {'point' if record['margin'] == 1 else 'points'}."
    )


def _provenance_line(made: Mapping[str, Sequence[str]]) -> str:
    return "Made with " + "; ".join(f"{name}: {' and '.join(made[name])}" for name in MADE_WITH) + "."


def _summary(variant: str, rows: Sequence[Tree]) -> str:
    verdicts = [row["verdict"] for row in rows]
    counts = [
        f"{verdict} in {verdicts.count(verdict)} of {len(verdicts)} rows"
        for verdict in (NON_INFERIOR, INFERIOR, NOT_SHOWN)
    ]
    return f"{variant} against fp32: {', '.join(counts)}."


def _cells(row: Tree) -> dict[str, str]:
    """Return the printed cells of a row by column."""
    bounds = ABSENT if row["lower"] is None else f"{_signed(row['lower'])} to {_signed(row['upper'])}"
    verdict = row["verdict"] if row["verdict"] == NON_INFERIOR else f"**{row['verdict']}**"
    standard, other = (f"{value:#.3g}".rstrip(".") for value in row["milliseconds"])
    return {
        **{name: str(row[name]) for name in ("dataset", "setting", "method", "variant", "n") if name in row},
        **{"fp32, %": f"{row['standard']:.2f}", "variant, %": f"{row['other']:.2f}"},
        **{"d": _signed(row["mean"]), "sd of d": ABSENT if row["sd"] is None else f"{row['sd']:.2f}"},
        **{"bounds": bounds, "verdict": verdict, "x as fast": f"{row['times_as_fast']:.2f}"},
        **{"ms a step, fp32": standard, "ms a step, variant": other},
    }


def _signed(points: float) -> str:
    text = f"{points:+.2f}"
    return "0.00" if float(text) == 0 else text


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _grid(columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> list[str]:
    lines = [columns, ["---"] * len(columns), *([row[column] for column in columns] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]
