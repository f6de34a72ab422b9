"""Where the outline of a cell is to be looked for: the edges at which the picture rises towards it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracking3d.segment.contours.patch import Patch
from tracking3d.segment.gradient import gradient
from volumes.shapes import Triple


def rise(patch: Patch, phi: NDArray[np.float32], spacing_um: Triple | None = None) -> NDArray[np.float32]:
    """(Z, Y, X) how steeply the picture rises towards the cell, in its contrast by its radius; 0 where it falls.

    The gradient counts along that of the distance ``phi`` to the given outline: so the far edge of a neighbour, and
    most of what lies inside a nucleus, are none.
    """
    spacing = patch.spacing_um if spacing_um is None else spacing_um
    inward = gradient(phi, spacing)
    length = np.sqrt((inward**2).sum(axis=0))
    along = (gradient(patch.values, spacing) * inward).sum(axis=0) / np.maximum(length, np.float32(1e-6))
    steep: NDArray[np.float32] = np.where(patch.others, 0, np.maximum(along, 0) * np.float32(patch.radius_um))
    return steep
