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

ABSENT = frozenset(Path(os.environ["GPU_CHECK_FOLDER"], "absent.txt").read_text().split())
SITE = f"{os.environ['GPU_CHECK_WORK']}/site"


class Finder(PathFinder):
    """Python's own finder, which finds absent modules only among the wheels.

    It does not raise: torch looks for optional modules by `find_spec`, which must return None for them.
    """

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the module's spec, None if the GPU machine lacks it."""
        return PathFinder.find_spec(fullname, [SITE] if fullname in ABSENT else path, target)


sys.meta_path[sys.meta_path.index(PathFinder)] = Finder
