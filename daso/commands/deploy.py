"""Commands that use trained models of one's own images."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import click

from daso.commands.options import PATH, command, device, files_of, run_ids

MODEL_NAMES = "A suite, whose recommended model is used; a run id; a kept model, SUITE@DIGEST; or an exported model."
model_argument = click.argument(
    "model", help=MODEL_NAMES, shell_complete=lambda *start: [*files_of("suites")(*start), *run_ids(*start)]
)


@command("daso predict photos new/ --csv new.csv", "daso predict photos new/ --prior train")
@model_argument
@click.argument("images", nargs=-1, required=True, help="Image files, and folders with images at any depth.")
@click.option("--csv", "out", type=PATH, help="File for the predictions; default: they are printed.")
@click.option("--top", type=click.IntRange(1), default=3, show_default=True, help="Number of classes in each row.")
@click.option(
    "--abstain-below", type=click.FloatRange(0, 1), help="Probability below which a row abstains; default: the model's."
)
@click.option("--back-off", is_flag=True, help="Name the super-class of an image whose class the model abstains from.")
@click.option("--prior", help="Class distribution of the images: uniform, train, or a CSV file class,share.")
@device
@click.pass_context
def predict(
    context: click.Context,
    model: str,
    images: tuple[str, ...],
    out: Path | None,
    top: int,
    abstain_below: float | None,
    back_off: bool,
    prior: str | None,
    device: str,
) -> None:
    """Predict the class of image files and folders.

    Each image file has one row: its path, the most probable classes with calibrated probabilities, whether the model
    abstains, how unlike the labeled images it is, and an error if it cannot be read. A killed call resumes. The exit
    status is 1 if an image could not be read.
    """
    from daso.deploy.find import find_predictor
    from daso.deploy.predict_files import PredictionOptions, predict_files

    predictor = find_predictor(model, device)
    text, summary = predict_files(predictor, images, out, PredictionOptions(top, abstain_below, prior, back_off))
    if out is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))  # names of files may be no text
    logging.info("%s", summary)
    context.exit(int(summary.unreadable > 0))
