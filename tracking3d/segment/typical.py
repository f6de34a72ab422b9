"""How large a cell is in an image, where nobody says so."""

from __future__ import annotations

import numpy as np

from tracking3d.segment.image import Image
from tracking3d.segment.parts import cells_of
from tracking3d.segment.thresholds.level import foreground


def measured_radius_um(image: Image) -> float | None:
    """Of the ball with a typical cell's volume, µm; None where nothing stands out from the noise.

    Measured above Otsu's threshold, the brightest 1 % cut off, of the volume smoothed by one voxel, on parts that are
    cut at their necks: the one in which the median voxel lies, so that specks do not count as cells. In one slice it is
    the disc with a typical cell's area.
    """
    mask = foreground(image, image.smooth(min(image.spacing_um)), "clipped-otsu")
    if not mask.any():
        return None
    cell_of = cells_of(mask, image, "necks")[mask]
    typical = float(np.median(np.bincount(cell_of)[cell_of]))
    if image.inside.shape[0] == 1:
        return float(np.sqrt(typical * image.spacing_um[1] * image.spacing_um[2] / np.pi))
    return float(np.cbrt(typical * image.voxel_um3 * 3 / (4 * np.pi)))
