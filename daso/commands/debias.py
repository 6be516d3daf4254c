"""The command that debiases saved logits."""

from __future__ import annotations

import argparse
import sys

Args = argparse.Namespace


def debias(args: Args) -> None:
    """Take the mean prediction out of a classifier's saved logits; writes probabilities and an analysis."""
    from daso.zero_shot import debias_file, summary

    found = debias_file(args.logits, args.labels, args.out, args.strength, args.momentum, args.seed)
    sys.stdout.write(f"{summary(found)}\n")
