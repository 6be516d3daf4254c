"""Command that debiases saved logits."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from daso.commands.options import PATH, command, reject


@command("daso debias --logits logits.npy --labels labels.npy --strength 0.4")
@click.option("--logits", type=PATH, required=True, help="NumPy file of logits (images, classes).")
@click.option("--labels", type=PATH, help="NumPy file of true classes (images,), to compute the accuracy.")
@click.option("--out", type=PATH, default=Path("drafts/debias"), show_default=True, help="Folder for the results.")
@click.option("--strength", type=float, required=True, help="lambda of Wang et al. 2022: 0.4 in their code.")
@click.option("--momentum", type=float, help="Momentum of a running mean prediction; default: mean over all images.")
@click.option("--seed", type=int, help="Seed of the image order in the running mean; default: 0.")
def debias(
    logits: Path, labels: Path | None, out: Path, strength: float, momentum: float | None, seed: int | None
) -> None:
    """Debias saved logits by their mean prediction.

    Writes probs.npy and analysis.json, and prints a summary.
    """
    from daso.zero_shot import debias_file, summary

    if momentum is None:
        reject({"--seed": seed}, "without --momentum, since the mean over all images draws nothing; leave it out")
    analysis = debias_file(logits, labels, out, strength, momentum, seed or 0)
    sys.stdout.write(f"{summary(analysis)}\n")
