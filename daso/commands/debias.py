"""Command that debiases saved logits."""

from __future__ import annotations

import argparse
import sys

Args = argparse.Namespace


def debias(args: Args) -> None:
    """Debias saved logits by their mean prediction; write probabilities and an analysis."""
    from daso.zero_shot import debias_file, summary

    analysis = debias_file(args.logits, args.labels, args.out, args.strength, args.momentum, args.seed)
    sys.stdout.write(f"{summary(analysis)}\n")
