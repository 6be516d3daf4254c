"""Type aliases of the package, each defined once; numpy is imported only by type checkers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Tree: TypeAlias = dict[str, Any]  # content of a YAML or JSON file
Config: TypeAlias = Mapping[str, Any]  # resolved configuration
Colour: TypeAlias = Literal["ones", "zeros", "white", "black"]  # of a blank image; ones and zeros after normalization
IntArray: TypeAlias = "NDArray[np.int64]"
FloatArray: TypeAlias = "NDArray[np.float64]"
ImageArray: TypeAlias = "NDArray[np.uint8]"
Arrays: TypeAlias = Mapping[str, "NDArray[Any]"]
