"""Commands that make the inputs of runs: images, splits, and estimates of class sizes."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

from daso import paths
from daso.commands.flags import configuration
from daso.errors import DasoError, did_you_mean

Args = argparse.Namespace


def download(args: Args) -> None:
    """Download or read a dataset, verify it and store its images."""
    from daso.data.catalog import config_error, make_store

    if bool(args.dataset) == bool(args.config):
        raise DasoError(
            "download: expected either a dataset of params/datasets or its resolved --config; give one of them"
        )
    store = make_store(
        configuration(args.config, config_error) if args.config else _resolved_data(args.dataset), args.out
    )
    logging.info("%s: %s images, sha256 %s", store.dataset, store.images_total, store.sha256[:16])


def split(args: Args) -> None:
    """Draw a split and save it, or check a saved split.

    --check verifies that the file is undamaged and fits the images of --store, and that it was drawn by --config; a
    split in data/splits/ is checked against params/ if --config is not given.
    """
    from daso.data.files import digest
    from daso.data.split import check_split, config_error, make_split
    from daso.data.store import load_store

    if args.check:
        expected = digest(configuration(args.config, config_error)) if args.config else _config_digest(args.check)
        saved = check_split(args.check, load_store(args.store), expected)
        logging.info("%s: disjoint parts, correct counts and checksum (sha256 %s)", args.check, saved.sha256[:16])
        return
    if not (args.config and args.out):
        raise DasoError(
            "split: missing options; give --config and --out to draw a split, or --check to check a saved one"
        )
    make_split(configuration(args.config, config_error), load_store(args.store), args.out)


def derive(args: Args) -> None:
    """Derive the split that one stage of a plan trains on from the drawn split."""
    from daso.data.derive import derive
    from daso.data.store import load_store

    saved = derive(configuration(args.config), args.split, load_store(args.store), args.out, args.run)
    logging.info(
        "%s: %d labeled images, %d of them with pseudo-labels", args.out, *map(len, (saved.split[0], saved.split[3]))
    )


def estimate(args: Args) -> None:
    """Write the class sizes of the unlabeled images that a finished survey run estimated."""
    from daso.data.files import atomic_write, checksummed
    from daso.engine.survey import survey_result

    survey = survey_result(args.run, args.key, args.trained)
    with atomic_write(args.out) as file:
        file.write(checksummed(survey))


def _config_digest(path: Path) -> str | None:
    """Return the digest of a split's configuration in params/; None if its path is not one of the workflow's."""
    from daso.config.load import load
    from daso.config.resolve import split_config
    from daso.data.files import digest

    if (names := paths.parse_split_path(path)) is None:
        return None
    params, (dataset, setting, seed) = load(), names
    known = dataset in params.datasets and setting in params.datasets[dataset]["settings"]
    return digest(split_config(params, dataset, setting, seed)) if known else None


def _resolved_data(dataset: str) -> dict[str, Any]:
    from daso.config.load import load
    from daso.config.resolve import data_config

    params = load()
    if dataset not in params.datasets:
        hint = did_you_mean(dataset, params.datasets, "datasets")
        raise DasoError(f"download: unknown dataset '{dataset}'{hint}")
    return data_config(params, dataset)
