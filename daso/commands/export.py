"""Command that exports a trained model for other programs."""

from __future__ import annotations

from pathlib import Path

import click

from daso.commands.deploy import model_argument
from daso.commands.options import PATH, command


@command("daso export photos --format onnx", "daso export photos --format safetensors --out birds")
@model_argument
@click.option(
    "--format",
    "form",
    type=click.Choice(("onnx", "safetensors")),
    default="onnx",
    show_default=True,
    help="One ONNX file with a reader of image files, or tensors with their record.",
)
@click.option("--out", type=PATH, help="Folder for the files; default: exports/MODEL.")
def export(model: str, form: str, out: Path | None) -> None:
    """Export a model as files for other programs.

    `onnx` writes model.onnx, which computes calibrated probabilities from pixels, and classify.py, which reads image
    files as this program does. An export is kept only if classify.py predicts some image files as the model does.
    `safetensors` writes model.json and model.safetensors, which `daso predict` reads.
    """
    from daso.deploy.export import EXPORTS, FORMATS
    from daso.deploy.find import find_model

    found = find_model(model)
    folder = out or EXPORTS / (model if "@" in model else found.record["name"])
    for line in FORMATS[form](found, folder):
        click.echo(line)
    click.echo(f"written: {folder}")
