"""The verbs that make what runs read: stores, splits, and the findings of surveys."""

from __future__ import annotations

import argparse
import logging
from functools import partial
from pathlib import Path
from typing import Any

from daso import paths
from daso.commands.flags import configuration
from daso.errors import DasoError

Args = argparse.Namespace


def download(args: Args) -> None:
    """Fetch or read a dataset and store it."""
    from daso.data.catalog import config_error, make_store

    if bool(args.dataset) == bool(args.config):
        raise DasoError("download: name a dataset of params/datasets, or give its resolved --config")
    store = make_store(
        configuration(args.config, config_error) if args.config else _resolved_data(args.dataset), args.out
    )
    logging.info("%s: %s images, sha256 %s", store.dataset, store.images_total, store.sha256[:16])


def split(args: Args) -> None:
    """Draw a split and save it, or check a saved one: that it is whole, fits its store, and is of its configuration.

    That is --config; of the workflow's own splits, the one that params/ have for their place.
    """
    from daso.data.files import digest
    from daso.data.split import CONFIG, check_split, make_split
    from daso.data.store import load_store
    from daso.data.validate import schema_error

    form = partial(schema_error, form=CONFIG)
    if args.check:
        drawn_by = digest(configuration(args.config, form)) if args.config else _wanted(args.check)
        saved = check_split(args.check, load_store(args.store), drawn_by)
        logging.info("%s: disjoint, counts and digest right (%s)", args.check, saved.sha256[:16])
        return
    if not (args.config and args.out):
        raise DasoError("split: give --config and --out to draw a split, or --check a saved one")
    make_split(configuration(args.config, form), load_store(args.store), args.out)


def derive(args: Args) -> None:
    """Make the split of one stage of a plan from the split as drawn."""
    from daso.data.derive import derive
    from daso.data.store import load_store

    saved = derive(configuration(args.config), args.split, load_store(args.store), args.out, args.run)
    logging.info("%s: %d labeled images, %d of them guessed", args.out, *map(len, (saved.split[0], saved.split[3])))


def estimate(args: Args) -> None:
    """Write the class sizes that a finished survey has found."""
    from daso.data.files import atomic_write, checksummed
    from daso.engine.survey import survey_result

    survey = survey_result(args.run, args.key, args.trained)
    with atomic_write(args.out) as file:
        file.write(checksummed(survey))


def _wanted(path: Path) -> str | None:
    """The digest of the configuration that params/ have for the place of a split; None: it is no place of theirs."""
    from daso.config.load import load
    from daso.config.resolve import split_config
    from daso.data.files import digest

    if (place := paths.parse_split_path(path)) is None:
        return None
    params, (dataset, setting, seed) = load(), place
    known = dataset in params.datasets and setting in params.datasets[dataset]["settings"]
    return digest(split_config(params, dataset, setting, seed)) if known else None


def _resolved_data(dataset: str) -> dict[str, Any]:
    from daso.config.load import load
    from daso.config.params import did_you_mean
    from daso.config.resolve import data_config

    params = load()
    if dataset not in params.datasets:
        raise DasoError(f"download: there is no dataset '{dataset}'{did_you_mean(dataset, params.datasets)}")
    return data_config(params, dataset)
