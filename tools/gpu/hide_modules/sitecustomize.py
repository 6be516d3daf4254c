"""Hide the modules that the GPU machine lacks; each Python process of the dry run loads this module first.

$GPU_CHECK_FOLDER/absent.txt lists their top-level names; those with a wheel are imported from $GPU_CHECK_WORK/site.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

ABSENT = frozenset(Path(os.environ["GPU_CHECK_FOLDER"], "absent.txt").read_text().split())
SITE = f"{os.environ['GPU_CHECK_WORK']}/site"


class Finder(PathFinder):
    """Finder that looks for absent modules only among the wheels.

    It returns None instead of raising, because torch calls `find_spec` to test for optional modules.
    """

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the module's spec, or None if the GPU machine lacks it."""
        return PathFinder.find_spec(fullname, [SITE] if fullname in ABSENT else path, target)


sys.meta_path[sys.meta_path.index(PathFinder)] = Finder
