"""Command line of the benchmarks: `python -m tools.bench speed`, `parity SUITE`, `report`, and those of photographs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from daso.cli import Commands
from daso.commands.options import EXISTING_FILE, MODE_CHOICES, PATH, command, configuration, device, files_of
from daso.commands.train import resolved_run
from daso.machine import cores

# Runs whose speed is measured without --config: the sizes of the paper.
DEFAULT_RUNS = [f"cifar10-lt/n1500-m3000-l100-u100/paper/{method}/s0" for method in ("fixmatch", "fixmatch_daso")]


class CommaSeparated(click.ParamType[list[str]]):
    """Comma-separated list of words."""

    name = "A,B"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> list[str]:
        """Return the words, without empty ones."""
        return [word for word in value.split(",") if word] if isinstance(value, str) else value


WORDS = CommaSeparated()
REPEATS_OPTION = click.option("--repeats", type=int, default=5, show_default=True, help="Rounds of measurement.")


@command("python -m tools.bench speed --quick --out drafts/bench")
@click.option(
    "--config",
    type=EXISTING_FILE,
    multiple=True,
    help="Resolved configuration of a run (JSON); may be repeated; default: FixMatch and FixMatch + DASO.",
)
@click.option(
    "--out", type=PATH, default=Path("docs/benchmarks"), show_default=True, help="Folder of the page and its JSON file."
)
@click.option("--parts", type=WORDS, default=[], help="Such as augmentation,steps; default: all.")
@click.option("--modes", type=WORDS, default=[], help=f"Engine modes: {MODE_CHOICES}.")
@click.option("--repeats", type=int, help="Rounds of measurement.")
@click.option("--quick", is_flag=True, help="Tiny sizes: only test that everything runs, measure nothing.")
@device
def speed(config: tuple[Path, ...], out: Path, parts: list[str], repeats: int | None, device: str, **how: Any) -> None:
    """Compare the engine with PyTorch, Pillow and torchvision.

    Writes a page and JSON to --out.
    """
    from daso.config.validate import config_error
    from tools.bench.run import REPEATS, run

    configs = [configuration(path, config_error) for path in config] or [resolved_run(name) for name in DEFAULT_RUNS]
    command = "".join(["python -m tools.bench speed", *(f" --config {path}" for path in config)])
    run(configs, out, device, parts, repeats or REPEATS, command=command, **how)


@command("python -m tools.bench parity quickstart --seeds 5")
@click.argument("suite", help="Name of a suite.", shell_complete=files_of("suites"))
@click.option("--methods", type=WORDS, help="Methods of the suite; default: all.")
@click.option("--settings", type=WORDS, help="Settings of the suite; default: all.")
@click.option("--variants", type=WORDS, default=["bf16"], help="Precisions to compare with fp32; default: bf16.")
@click.option("--seeds", type=int, default=10, show_default=True, help="Number of seeds, from 0 on.")
@click.option(
    "--margin", type=float, default=1.0, show_default=True, help="Largest acceptable loss of accuracy, in points."
)
@click.option("--jobs", type=int, default=cores(), help="Runs at once; default: one per core.")
@click.option("--steps", type=int, help="Training steps; default: the protocol's number.")
@click.option(
    "--out",
    type=PATH,
    default=Path("docs/benchmarks/precision.md"),
    show_default=True,
    help="Page; its JSON file is beside it.",
)
@device
def parity(suite: str, **options: Any) -> None:
    """Test over seeds if a lower precision costs accuracy.

    Writes a page and JSON to --out.
    """
    from tools.bench.parity import run

    run(suite, **options)


METHOD_COSTS = (
    "fixmatch,fixmatch_daso,fixmatch_adello,simpro,acr,decon,ccl,ccl_no_contrast,cdmad,fixmatch_scad,acr_scad"
)


@command("OMP_NUM_THREADS=1 python -m tools.bench methods")
@click.option("--methods", type=WORDS, default=METHOD_COSTS, show_default=True, help="The first one is the unit.")
@click.option("--protocol", default="paper", show_default=True, help="Such as photos, whose methods train on features.")
@click.option("--steps", type=int, default=1, show_default=True, help="Training steps of a round.")
@REPEATS_OPTION
@device
def methods(methods: list[str], protocol: str, steps: int, repeats: int, device: str) -> None:
    """Compare the time of a training step of methods.

    Images or features are random; sizes are those of CIFAR-10-LT.
    """
    from daso.config.load import load_params
    from tools.bench.method_costs import markdown, measure

    given = f"--methods {','.join(methods)} --protocol {protocol} --steps {steps} --repeats {repeats} --device {device}"
    times = measure(methods, protocol, steps, repeats, device)
    titles = [load_params().methods[method]["title"] for method in methods]
    click.echo("\n".join(markdown(times, titles, f"OMP_NUM_THREADS=1 python -m tools.bench methods {given}")))


@command("python -m tools.bench report")
def report() -> None:
    """Print size, processor time and first paint of reports.

    The reports have 0, 30 and 288 fabricated runs.
    """
    from tools.bench.report import markdown, measure

    for line in markdown(measure()):
        print(line, flush=True)


@command("python -m tools.bench photos --images-per-group 64 --out docs/benchmarks/photos.md")
@click.option("--batch", type=int, default=256, show_default=True, help="Labeled images; 10 views are added for each.")
@click.option("--images-per-group", type=int, default=64, show_default=True, help="Images in memory at a time.")
@click.option("--precision", default="fp32", show_default=True, help="fp32, bf16 or auto.")
@click.option("--out", type=PATH, help="Page; default: only printed.")
@device
def photos(batch: int, images_per_group: int, precision: str, out: Path | None, device: str) -> None:
    """Measure one step of FixMatch at the sizes of Semi-Aves.

    The weights are random.
    """
    from tools.bench.photos import markdown, measure

    given = f"--batch {batch} --images-per-group {images_per_group} --precision {precision} --device {device}"
    text = "\n".join(
        markdown(measure(batch, images_per_group, precision, device), f"python -m tools.bench photos {given}")
    )
    print(text)
    if out:
        out.write_text(f"{text}\n", encoding="utf-8")


@command("OMP_NUM_THREADS=1 python -m tools.bench encode")
@click.option("--images", type=int, default=64, show_default=True, help="Photos; each has seven views.")
@REPEATS_OPTION
def encode(images: int, repeats: int) -> None:
    """Compare encoding by a frozen network with timm.

    Images and weights are random.
    """
    from tools.bench.features import markdown, measure_encode

    command = f"OMP_NUM_THREADS=1 python -m tools.bench encode --images {images} --repeats {repeats}"
    click.echo("\n".join(markdown(measure_encode(repeats, images), command)))


@command("OMP_NUM_THREADS=1 python -m tools.bench features")
@click.option("--steps", type=int, default=100, show_default=True, help="Training steps of a round.")
@REPEATS_OPTION
def features(steps: int, repeats: int) -> None:
    """Compare training on features with plain PyTorch.

    The method is FixMatch + LA + DASO with a neck; features are random.
    """
    from tools.bench.features import markdown, measure_features

    command = f"OMP_NUM_THREADS=1 python -m tools.bench features --steps {steps} --repeats {repeats}"
    click.echo("\n".join(markdown(measure_features(repeats, steps), command)))


@command("OMP_NUM_THREADS=1 python -m tools.bench pixels --train all")
@click.option("--train", type=WORDS, default="all,last:2,norm", show_default=True, help="Parts of the network.")
@click.option("--batch", type=int, default=8, show_default=True, help="Labeled images; 4 views are added for each.")
@device
def pixels(train: list[str], batch: int, device: str) -> None:
    """Measure one step of a pretrained network on photographs.

    Images are random; the method is FixMatch + LA.
    """
    from tools.bench.pixels import markdown, measure

    given = f"--train {','.join(train)} --batch {batch} --device {device}"
    lines = markdown(measure(train, batch, device), f"OMP_NUM_THREADS=1 python -m tools.bench pixels {given}")
    click.echo("\n".join(lines))


@command("python -m tools.bench images --share 0.05 --size 128")
@click.option(
    "--share", type=click.FloatRange(0, 1, min_open=True), default=1.0, show_default=True, help="Of the images."
)
@click.option("--size", type=int, default=256, show_default=True, help="Side of the store's images in pixels.")
@click.option(
    "--scratch", type=PATH, default=Path("scratch/bench_images"), show_default=True, help="Deleted at the end."
)
def images(share: float, size: int, scratch: Path) -> None:
    """Measure the store of Semi-Aves with made-up images.

    Writes all of them, then streams batches and compares with decoding JPEGs. The whole store takes 32 GB.
    """
    from tools.bench.listed_images import run

    for line in run(scratch, share, size):
        print(line, flush=True)


@command("python -m tools.bench labeling photos/all/photos/supervised_la/s0 --truth truth.csv")
@click.argument("run", metavar="RUN", help="Run whose dataset was made by tools.photo_folder; it need not be trained.")
@click.option("--truth", type=PATH, required=True, help="Classes of all photos, by tools.photo_folder --truth.")
@REPEATS_OPTION
def labeling(run: str, truth: Path, repeats: int) -> None:
    """Measure lists of photographs whose classes are known.

    The features of the dataset must exist: `snakemake features --config suite=photos`.
    """
    from daso.config.load import load_params
    from daso.config.resolve import parse_run
    from tools.bench.labeling import load_images, markdown, measure

    images = load_images(parse_run(load_params(), run), truth)
    command = f"python -m tools.bench labeling {run} --truth {truth} --repeats {repeats}"
    click.echo("\n".join(markdown(measure(images, repeats), len(images.labeled), command)))


@command("python -m tools.bench few-labels photos/all/photos/supervised_la/s0 --truth truth.csv")
@click.argument("run", metavar="RUN", help="Run whose dataset was made by tools.photo_folder; it need not be trained.")
@click.option("--truth", type=PATH, required=True, help="Classes of all photos, by tools.photo_folder --truth.")
@REPEATS_OPTION
def few_labels(run: str, truth: Path, repeats: int) -> None:
    """Measure alpha-TIM with few labels on photographs.

    The features of the dataset must exist: `snakemake features --config suite=photos`.
    """
    from daso.config.load import load_params
    from daso.config.resolve import parse_run
    from tools.bench.few_labels import SIZES, accuracies, markdown
    from tools.bench.labeling import load_images

    named = parse_run(load_params(), run)
    images = load_images(named, truth)
    results = {sizes: [accuracies(images, named, sizes, seed) for seed in range(repeats)] for sizes in SIZES}
    command = f"OMP_NUM_THREADS=1 python -m tools.bench few-labels {run} --truth {truth} --repeats {repeats}"
    click.echo("\n".join(markdown(results, command)))


PANELS: dict[str, list[click.Command]] = {
    "Benchmarks": [speed, methods, parity, report, images, photos, encode, features, pixels, labeling, few_labels]
}


@click.group(cls=Commands, panels=PANELS)
def bench() -> None:
    """Benchmarks of speed, precision and reports."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one benchmark; return the exit status."""
    return bench.run("python -m tools.bench", argv)


if __name__ == "__main__":
    raise SystemExit(main())
