"""The page of the parity check: what was trained in pairs, how far the pairs lie apart, and what follows.

`<name>.json` holds every pair of every suite, `<name>.md` says it to a reader; a check of one suite keeps the others.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from daso.config.resolve import Run
from daso.data.files import atomic_write, pretty, read_json
from tools.bench.noninferiority import INFERIOR, NON_INFERIOR, NOT_SHOWN, compare

Tree = dict[str, Any]
MADE_WITH = ("commit", "device", "threads", "mode", "versions")
ABSENT = "–"
HEAD = """# Does a lower precision cost accuracy?

Every run is trained twice with the same seed, so with the same split, initialisation, batches and augmentation: once
in fp32, once in the variant. d is the variant's test accuracy less fp32's, in points, both as the protocol reports
them. The bounds are those of the mean of d, each at a confidence of 95 % by itself (Student's t over the pairs).

The margin is the loss that would matter. With a margin of 1 point:

- **non-inferior**: the lower bound is above -1. If the variant did cost a point or more on average over seeds, pairs
  like these would come up in at most one check of twenty.
- **inferior**: even the upper bound is below -1; the variant costs more than the margin.
- **not shown**: the pairs cannot tell. That is no sign of a loss; more seeds narrow the bounds, and fewer than
  three pairs decide nothing.

A pair does not stay together: a difference in rounding grows with every step, so the deviation of d is that of the
course of a training as much as of the format, and a row of few seeds may show little by itself. A pooled row holds all
pairs of a dataset, each with equal weight, as if they were independent. No row is corrected for there being several.

Times are those of runs beside others, with evaluation and all; the ratio is the median over pairs.
"""


class Outcome(NamedTuple):
    """What a finished run gave."""

    key: str
    accuracy: float  # percent, as the protocol reports it
    median_of: int  # evaluations
    milliseconds: float  # a step
    provenance: Mapping[str, Any]


class Pair(NamedTuple):
    """A run in fp32 and in a variant."""

    run: Run
    variant: str
    standard: Outcome
    other: Outcome

    @property
    def difference(self) -> float:
        """Variant less fp32, in points."""
        return self.other.accuracy - self.standard.accuracy


class Setup(NamedTuple):
    """How the check was asked for; `None` of methods, settings and steps is what the suite has."""

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
        """What makes this section again."""
        words = ["python -m tools.bench parity", self.suite]
        for name in ("methods", "settings"):
            words += [f"--{name}", ",".join(getattr(self, name))] if getattr(self, name) else []
        words += ["--seeds", str(self.seeds), "--variants", ",".join(self.variants), "--margin", f"{self.margin:g}"]
        words += ["--steps", str(self.steps)] if self.steps is not None else []
        return " ".join([*words, "--jobs", str(self.jobs), "--device", self.device, "--out", str(self.out)])


def section(setup: Setup, suite: Tree, pairs: Sequence[Pair]) -> Tree:
    """All that is said of a suite; `suite` has its names replaced by what they name."""
    protocol, outcomes = suite["protocol"], [one for pair in pairs for one in (pair.standard, pair.other)]
    return {
        "command": setup.command,
        "title": str(suite["title"]),
        "protocol": {name: protocol[name] for name in ("name", "title", "steps")},
        "steps": setup.steps or protocol["steps"],
        "median_of": outcomes[0].median_of,
        "seeds": setup.seeds,
        "jobs": setup.jobs,
        "margin": setup.margin,
        "made_with": {name: list(dict.fromkeys(_told(one, name) for one in outcomes)) for name in MADE_WITH},
        "rows": list(_rows(pairs, ("dataset", "setting", "method"), setup.margin)),
        "pooled": list(_rows(pairs, ("dataset",), setup.margin)),
        "pairs": [_record(pair) for pair in pairs],
    }


def _rows(pairs: Sequence[Pair], names: Sequence[str], margin: float) -> Iterator[Tree]:
    """One row for each variant and each combination of these parts of a run."""
    groups: dict[tuple[str, ...], list[Pair]] = {}
    for pair in pairs:
        groups.setdefault((*(str(getattr(pair.run, name)) for name in names), pair.variant), []).append(pair)
    for words, mine in groups.items():
        yield {
            **dict(zip((*names, "variant"), words, strict=True)),
            "standard": statistics.fmean(pair.standard.accuracy for pair in mine),
            "other": statistics.fmean(pair.other.accuracy for pair in mine),
            "milliseconds": [
                statistics.median(pair.standard.milliseconds for pair in mine),
                statistics.median(pair.other.milliseconds for pair in mine),
            ],
            "times_as_fast": statistics.median(pair.standard.milliseconds / pair.other.milliseconds for pair in mine),
            **compare([pair.difference for pair in mine], margin)._asdict(),
        }


def _record(pair: Pair) -> Tree:
    def told(one: Outcome) -> Tree:
        return {"key": one.key, "accuracy": one.accuracy, "milliseconds": one.milliseconds}

    return {"run": pair.run.id, "variant": pair.variant, "standard": told(pair.standard), "other": told(pair.other)}


def _told(outcome: Outcome, name: str) -> str:
    value = outcome.provenance.get(name, "unknown")
    return ", ".join(f"{key} {part}" for key, part in value.items()) if isinstance(value, Mapping) else str(value)


def write(out: Path, suite: str, found: Tree) -> None:
    """Write or renew a suite's section of the page `out` and of the JSON file beside it."""
    path = out.with_suffix(".json")
    known = read_json(path, "parity check")["suites"] if path.exists() else {}
    tree = {"suites": {**known, suite: found}}
    for place, content in ((path, pretty(tree)), (out, markdown(tree).encode())):
        with atomic_write(place) as file:
            file.write(content)


def markdown(tree: Tree) -> str:
    """The page."""
    lines = [HEAD]
    for suite, found in sorted(tree["suites"].items()):
        lines += _section(suite, found)
    return "\n".join(lines).rstrip() + "\n"


def _section(suite: str, found: Tree) -> Iterator[str]:
    rows, pooled = found["rows"], found["pooled"]
    yield from (f"## {suite}: {found['title']}", "", "```sh", found["command"], "```", "")
    yield from (_budget(found), "")
    yield from (_made(found["made_with"]), "")
    for variant in dict.fromkeys(row["variant"] for row in rows):
        yield from (_summary(variant, [row for row in rows if row["variant"] == variant]), "")
    names = ("dataset", "variant", "n", "d", "sd of d", "bounds", "verdict", "x as fast")
    yield from (*_grid(names, [_cells(row) for row in pooled]), "")
    several = ("dataset",) if len({row["dataset"] for row in rows}) > 1 else ()
    names = (*several, "setting", "method", "variant", "n", "fp32, %", "variant, %", "d", "sd of d", "bounds",
             "verdict", "ms a step, fp32", "ms a step, variant", "x as fast")  # fmt: skip
    yield from (*_grid(names, [_cells(row) for row in rows]), "")


def _budget(found: Tree) -> str:
    protocol, steps = found["protocol"], found["steps"]
    budget = f"{steps:,} steps a run"
    if steps != protocol["steps"]:
        budget = f"**{steps:,} steps a run instead of its {protocol['steps']:,}**"
    last = "that of the last evaluation"
    if found["median_of"] > 1:
        last = f"the median of the last {found['median_of']} evaluations"
    return (
        f"Protocol `{protocol['name']}` ({protocol['title']}), {budget}; accuracy is {last}. "
        f"{_counted(found['seeds'], 'seed')}, {_counted(found['jobs'], 'run')} at a time. "
        f"Margin: {found['margin']:g} {'point' if found['margin'] == 1 else 'points'}."
    )


def _made(made: Mapping[str, Sequence[str]]) -> str:
    return "Made with " + "; ".join(f"{name}: {' and '.join(made[name])}" for name in MADE_WITH) + "."


def _summary(variant: str, rows: Sequence[Tree]) -> str:
    words = [row["verdict"] for row in rows]
    counts = [f"{word} in {words.count(word)} of {len(words)} rows" for word in (NON_INFERIOR, INFERIOR, NOT_SHOWN)]
    return f"{variant} against fp32: {', '.join(counts)}."


def _cells(row: Tree) -> dict[str, str]:
    """A row as printed, by column."""
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


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _grid(columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> list[str]:
    lines = [columns, ["---"] * len(columns), *([row[column] for column in columns] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]
