"""Commands that make the inputs of runs: images, features, splits, fits, and estimates of class sizes."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Any, Literal

import click

from daso import paths
from daso.commands.options import PATH, STORE, command, configuration, device, files_of, reject
from daso.errors import DasoError, did_you_mean
from daso.paths import store_folder
from daso.schema import schema_error


@command("daso download digits --out data/store/digits")
@click.argument(
    "dataset", required=False, help="Name of a dataset in params/datasets.", shell_complete=files_of("datasets")
)
@click.option("--config", type=PATH, help="Resolved configuration of a dataset (JSON; - is stdin) instead of a name.")
@click.option("--out", type=PATH, required=True, help="Folder for the images.")
def download(dataset: str | None, config: Path | None, out: Path) -> None:
    """Download or read a dataset, verify it and store its images."""
    from daso.data.catalog import make_store
    from daso.data.dataset_schemas import DataConfig

    if bool(dataset) == bool(config):
        raise DasoError(
            "download: expected either a dataset of params/datasets or its resolved --config; give one of them"
        )
    store = make_store(
        configuration(config, partial(schema_error, schema=DataConfig))
        if config
        else resolved_data(str(dataset), "download"),
        out,
    )
    logging.info("%s: %s images, sha256 %s", store.dataset, store.images_total, store.sha256[:16])


@command("daso init photos", "daso init ~/pictures/birds --name birds --image-size 64")
@click.argument("folder", type=PATH, help="Folder or zip of images, with folders train/<class>/ or labels.csv.")
@click.option("--name", help="Name of the dataset and the suite; default: that of the folder.")
@click.option("--image-size", type=click.IntRange(8, 1024), default=128, show_default=True, help="Pixels of a side.")
@click.option("--skip-unreadable", is_flag=True, help="Go on without files that cannot be read.")
@click.option(
    "--super-classes",
    type=click.Choice(["column", "folders"]),
    help="Read groups of classes from the column super_class of labels.csv, or from train/<super-class>/<class>/.",
)
def init(
    folder: Path,
    name: str | None,
    image_size: int,
    skip_unreadable: bool,
    super_classes: Literal["column", "folders"] | None,
) -> None:
    """Write a dataset and a suite for a folder of your own images.

    Files that exist are never changed. Prints classes, unlabeled and test images, groups and skipped files.
    """
    from daso.workspace.own_images import default_name, describe_folder, describe_images, write_params
    from daso.workspace.own_super_classes import describe_super_classes, read_super_classes

    own = read_super_classes(folder, super_classes) if super_classes else None
    described = describe_folder(folder, skip_unreadable=skip_unreadable, super_class_folders=super_classes == "folders")
    chosen = name or default_name(folder)
    files = write_params(Path("params"), chosen, folder.as_posix(), described, image_size, own)
    for line in (*describe_images(described), *describe_super_classes(own)):
        click.echo(line)
    for path, new in files:
        click.echo(f"{path}: {'written' if new else 'exists, not changed'}")
    click.echo(f"next: snakemake --config suite={chosen}")


@command("daso split --check data/splits/digits/n20-m80-l20-u10r/s0.json --store data/store/digits")
@click.option(
    "--config",
    type=PATH,
    help="Configuration of the split (JSON; - is stdin); with --check, the expected configuration.",
)
@click.option("--store", type=PATH, required=True, help=STORE)
@click.option("--out", type=PATH, help="File for the drawn split.")
@click.option("--check", type=PATH, help="File of a saved split to check; draws nothing.")
def split(config: Path | None, store: Path, out: Path | None, check: Path | None) -> None:
    """Draw a split and save it, or check a saved split.

    --check verifies that the file is undamaged and fits the images of --store, and that it was drawn by --config; a
    split in data/splits/ is checked against params/ if --config is not given.
    """
    from daso.data.files import digest
    from daso.data.split import check_split, make_split, split_config_error
    from daso.data.store import load_store

    if check:
        reject({"--out": out}, "with --check, which draws nothing; leave it out")
        expected = digest(configuration(config, split_config_error)) if config else _config_digest(check)
        saved = check_split(check, load_store(store), expected)
        logging.info("%s: disjoint parts, correct counts and checksum (sha256 %s)", check, saved.sha256[:16])
        return
    if not (config and out):
        raise DasoError(
            "split: missing options; give --config and --out to draw a split, or --check to check a saved one"
        )
    make_split(configuration(config, split_config_error), load_store(store), out)


@command("daso encode --config features.json --store data/store/photos --out data/features/photos/photos")
@click.option("--config", type=PATH, required=True, help="Configuration of the features (JSON; - is stdin).")
@click.option("--store", type=PATH, required=True, help=STORE)
@click.option("--out", type=PATH, required=True, help="Folder for the features of the dataset.")
@device
def encode(config: Path, store: Path, out: Path, device: str) -> None:
    """Encode the images of a dataset by a frozen network, once.

    Only images are encoded that have not been before; a killed call resumes.
    """
    from daso.config.network import EncodeConfig
    from daso.engine.environment import choose_device
    from daso.runs.encode import encode_dataset

    resolved = configuration(config, partial(schema_error, schema=EncodeConfig))
    encode_dataset(resolved, store, out, choose_device(device))


@command(
    "daso fit --config fit.json --store data/store/photos --split data/splits/photos/all/s0.json "
    "--features data/features/photos/photos/manifest.json --out data/fits/photos/all/photos/s0.json"
)
@click.option("--config", type=PATH, required=True, help="Configuration of the fit (JSON; - is stdin).")
@click.option("--store", type=PATH, required=True, help=STORE)
@click.option("--split", type=PATH, required=True, help="File of the drawn split.")
@click.option("--features", type=PATH, required=True, help="Manifest of the features of the images.")
@click.option("--out", type=PATH, required=True, help="File for the fit; its arrays lie beside it.")
def fit(config: Path, store: Path, split: Path, features: Path, out: Path) -> None:
    """Fit weight decay and logit adjustment to a split.

    Out-of-fold predictions of its labeled images on features choose weight decay and tau of supervised learning with
    logit adjustment, and the temperatures of the chosen classifier and of self-training with its pseudo-labels. Also
    measures how unlike the labeled images each unlabeled image is.
    """
    from daso.config.run_schema import FitConfig
    from daso.runs.fit import fit_split

    resolved = configuration(config, partial(schema_error, schema=FitConfig))
    fit_split(resolved, store, split, features, out)


@command("daso derive --config options.json --store STORE --split drawn.json --run runs/RUN --out split.json")
@click.option("--config", type=PATH, required=True, help="Options of the derived split (JSON; - is stdin).")
@click.option("--store", type=PATH, required=True, help=STORE)
@click.option("--split", type=PATH, required=True, help="File of the drawn split.")
@click.option("--run", type=PATH, help="Folder of the upstream run whose pseudo-labels become labels.")
@click.option("--out", type=PATH, required=True, help="File for the derived split.")
def derive(config: Path, store: Path, split: Path, run: Path | None, out: Path) -> None:
    """Derive the split of a stage of a plan from the drawn split."""
    from daso.data.derive import derive
    from daso.data.store import load_store

    saved = derive(configuration(config), split, load_store(store), out, run)
    logging.info(
        "%s: %d labeled images, %d of them with pseudo-labels", out, *map(len, (saved.split[0], saved.split[3]))
    )


@command("daso oracle-labels semi-aves data/raw/semi_aves")
@click.argument("dataset", help="Name of a dataset in params/datasets.", shell_complete=files_of("datasets"))
@click.argument("lists", type=PATH, help="Folder with a list u_train_<subset>_oracle.txt for each subset.")
def oracle_labels(dataset: str, lists: Path) -> None:
    """Store the true labels of a dataset's unlabeled images.

    Metrics and reports made from now on use them; training, and the keys of images, splits and runs, never do. Delete
    oracle.json beside the images to remove them.
    """
    from daso.data.oracle_lists import write_oracle

    source = resolved_data(dataset, "oracle-labels")["source"]
    for subset, images in write_oracle(store_folder(dataset), lists, source).items():
        logging.info("%s: oracle labels of %d images of the subset %s", dataset, images, subset)


@command("daso estimate --run runs/RUN --run-key KEY --key ESTIMATE_KEY --out runs/RUN/estimate.json")
@click.option("--run", type=PATH, required=True, help="Folder of the finished survey.")
@click.option("--run-key", help="Key that the run must have; default: any.")
@click.option("--key", required=True, help="Key of the estimate, written into it.")
@click.option("--out", type=PATH, required=True, help="File for the estimate.")
def estimate(run: Path, run_key: str | None, key: str, out: Path) -> None:
    """Write the class sizes that a finished survey run estimated."""
    from daso.data.files import checksummed, write_file
    from daso.engine.estimate import survey_result

    survey = survey_result(run, key, run_key)
    write_file(out, checksummed(survey))


def _config_digest(path: Path) -> str | None:
    """Return the digest of a split's configuration in params/; None if its path is not one of the workflow's."""
    from daso.config.load import load_params
    from daso.config.resolve import split_config
    from daso.data.files import digest

    if (names := paths.parse_split_path(path)) is None:
        return None
    params, (dataset, setting, seed) = load_params(), names
    known = dataset in params.datasets and setting in params.datasets[dataset]["settings"]
    return digest(split_config(params, dataset, setting, seed)) if known else None


def resolved_data(dataset: str, command_name: str) -> dict[str, Any]:
    """Return the configuration of a dataset of params/; raises DasoError, for a command, if it is unknown."""
    from daso.config.load import load_params
    from daso.config.resolve import data_config

    params = load_params()
    if dataset not in params.datasets:
        hint = did_you_mean(dataset, params.datasets, "datasets")
        raise DasoError(f"{command_name}: unknown dataset '{dataset}'{hint}")
    return data_config(params, dataset)
