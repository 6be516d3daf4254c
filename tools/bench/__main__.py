"""Command line of the benchmarks: `python -m tools.bench speed`, `parity SUITE` and `report`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from daso.cli import Command, execute, parser
from daso.commands.flags import DEVICE, MODES, Option, configuration
from daso.commands.train import resolved_run
from daso.machine import cores

# Runs whose speed is measured without --config: the sizes of the paper.
DEFAULT_RUNS = [f"cifar10-lt/n1500-m3000-l100-u100/paper/{method}/s0" for method in ("fixmatch", "fixmatch_daso")]


def comma_separated(text: str) -> list[str]:
    """Split a comma-separated list, without empty parts."""
    return [word for word in text.split(",") if word]


OPTIONS: dict[str, tuple[Option, ...]] = {
    "speed": (
        (
            "--config",
            {
                "type": Path,
                "action": "append",
                "help": "JSON file of a resolved configuration; may be repeated; default: FixMatch and FixMatch + DASO",
            },
        ),
        ("--out", {"type": Path, "default": Path("docs/benchmarks"), "help": "folder of the page and its JSON file"}),
        ("--parts", {"type": comma_separated, "default": [], "help": "such as augmentation,steps; default: all"}),
        ("--modes", {"type": comma_separated, "default": [], "help": f"comma-separated engine modes: {MODES}"}),
        ("--repeats", {"type": int, "help": "rounds of measurement"}),
        ("--quick", {"action": "store_true", "help": "tiny sizes: only test that everything runs, measure nothing"}),
        DEVICE,
    ),
    "parity": (
        ("suite", {"help": "name of a suite"}),
        ("--methods", {"type": comma_separated, "help": "comma-separated methods of the suite; default: all"}),
        ("--settings", {"type": comma_separated, "help": "comma-separated settings of the suite; default: all"}),
        (
            "--variants",
            {"type": comma_separated, "default": ["bf16"], "help": "precisions to compare with fp32; default: bf16"},
        ),
        ("--seeds", {"type": int, "default": 10, "help": "number of seeds, from 0 on; default: 10"}),
        (
            "--margin",
            {"type": float, "default": 1.0, "help": "largest acceptable loss of accuracy, in points; default: 1"},
        ),
        ("--jobs", {"type": int, "default": cores(), "help": "runs at once; default: one per core"}),
        ("--steps", {"type": int, "help": "training steps; default: the protocol's number"}),
        (
            "--out",
            {"type": Path, "default": Path("docs/benchmarks/precision.md"), "help": "page; its JSON is beside it"},
        ),
        DEVICE,
    ),
    "report": (),
}


def speed(args: argparse.Namespace) -> None:
    """Compare the engine's speed with plain PyTorch, Pillow and torchvision; write a page and JSON to --out."""
    from daso.config.validate import config_error
    from tools.bench.run import REPEATS, run

    given = [configuration(path, config_error) for path in args.config or ()]
    configs = given or [resolved_run(name) for name in DEFAULT_RUNS]
    command = "".join(["python -m tools.bench speed", *(f" --config {path}" for path in args.config or ())])
    repeats = args.repeats or REPEATS
    run(configs, args.out, args.device, args.parts, repeats, modes=args.modes, quick=args.quick, command=command)


def parity(args: argparse.Namespace) -> None:
    """Test over seeds if a lower precision costs accuracy; write a page and JSON to --out."""
    from tools.bench.parity import run

    chosen = {name: getattr(args, name) for name in ("methods", "settings", "seeds", "margin", "jobs", "steps", "out")}
    run(args.suite, variants=args.variants, device=args.device, **chosen)


def report(args: argparse.Namespace) -> None:
    """Print size, elements, processor time and first paint of reports with 0, 30 and 288 fabricated runs."""
    from tools.bench.report import markdown, measure

    for line in markdown(measure()):
        print(line, flush=True)


COMMANDS: dict[str, Command] = {"speed": speed, "parity": parity, "report": report}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one benchmark; return the exit status."""
    return execute(
        parser("python -m tools.bench", "Benchmarks of speed, precision and reports.", COMMANDS, OPTIONS), argv
    )


if __name__ == "__main__":
    raise SystemExit(main())
