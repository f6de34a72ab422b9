"""Array shapes, named once: z, y, x are voxels along the axes, n is a number of points, c of channels."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Bool, Float64, Shaped
from numpy.typing import NDArray

Points: TypeAlias = Float64[np.ndarray, "n 3"]
"""World or index coordinates, one (z, y, x) a row."""
Matrix3: TypeAlias = Float64[np.ndarray, "3 3"]
Matrix4: TypeAlias = Float64[np.ndarray, "4 4"]
Voxels: TypeAlias = Shaped[np.ndarray, "z y x"]
"""One channel of a volume."""
ChannelVoxels: TypeAlias = Shaped[np.ndarray, "c z y x"]
Mask: TypeAlias = Bool[np.ndarray, "z y x"]
AnyArray: TypeAlias = NDArray[Any]
Triple: TypeAlias = tuple[float, float, float]
Shape3: TypeAlias = tuple[int, int, int]
