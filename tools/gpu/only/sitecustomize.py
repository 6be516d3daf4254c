"""Make imports fail of what the GPU machine lacks: every Python process of the dry run loads this module first.

$GPU_CHECK_FOLDER/absent.txt lists top-level modules; what travels as a wheel is found in $GPU_CHECK_WORK/site.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType


class Absent:
    """Finder that raises for absent modules and leaves all others to the finders after it."""

    def __init__(self, names: frozenset[str], site: str) -> None:
        self.names, self.site = names, site

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the module's spec if it travels as a wheel; None for modules that the GPU machine has."""
        if name not in self.names:
            return None
        if spec := PathFinder.find_spec(name, [self.site]):
            return spec
        raise ModuleNotFoundError(
            f"{name}: missing on a GPU machine; import it only where it is used", name=name
        )


FILE, WORK = Path(os.environ["GPU_CHECK_FOLDER"], "absent.txt"), os.environ["GPU_CHECK_WORK"]
sys.meta_path.insert(0, Absent(frozenset(FILE.read_text().split()), f"{WORK}/site"))
