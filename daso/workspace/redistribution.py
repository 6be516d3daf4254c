"""Keep images that must not be redistributed, and their features, on this machine: out of DVC, and out of bundles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from daso.config.params import Params
from daso.errors import DasoError

IGNORE = Path(".dvcignore")


def restricted(params: Params, datasets: Iterable[str]) -> list[str]:
    """Return the datasets whose images must not be redistributed."""
    return sorted({name for name in datasets if not params.datasets[name].get("redistribute", True)})


def check_ignored(params: Params) -> None:
    """Raise DasoError unless DVC ignores images and features of all restricted datasets; it records their manifests."""
    lines = IGNORE.read_text(encoding="utf-8").splitlines() if IGNORE.exists() else []
    errors = list(_missing(params, lines)) if Path("dvc.yaml").exists() else []
    if errors:
        raise DasoError(*errors)


def check_bundle(params: Params, datasets: Iterable[str], private: bool) -> None:
    """Raise DasoError if a bundle would hold images of restricted datasets, unless it is `private`."""
    for name in restricted(params, datasets) if not private else ():
        raise DasoError(
            f"bundle: {params.file('dataset', name)} has `redistribute: false`: its images must not be passed on; add "
            "--private for a bundle that only you use"
        )


def _missing(params: Params, lines: Iterable[str]) -> Iterator[str]:
    for name in restricted(params, params.datasets):
        patterns = {"images": f"data/store/{name}/*_images.npy", "features": f"data/features/rows/{name}-*/rows.bin"}
        for content, pattern in patterns.items():
            if pattern not in lines:
                yield (
                    f"{IGNORE}: missing the line {pattern}, without which DVC would store and push the {content} of "
                    f"{name}, which has `redistribute: false`; add it"
                )
