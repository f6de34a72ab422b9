"""What must be known of an image before its cells are sought: that it can be looked at, its scale, its intensities."""

from __future__ import annotations

import numpy as np

from tracking3d.segment.network.config import CellNetworkConfig
from tracking3d.segment.network.inference import predictor
from tracking3d.segment.network.view import Ranges, Read, View
from tracking3d.segment.network.window import Finder, smallest_cell
from volumes.errors import ContentError
from volumes.shapes import AnyArray, Voxels
from volumes.volume import Volume, require_finite


def reader(volume: Volume, channel: int = 0, dark: float | None = None) -> Read:
    """Reads ranges of one channel; what is not valid becomes ``dark``, or the least valid value of the range."""
    data, valid = volume.data, volume.valid

    def read(ranges: Ranges) -> Voxels:
        z, y, x = (slice(*side) for side in ranges)
        voxels = np.asarray(data[channel, z, y, x])
        if not isinstance(data, np.ndarray) and voxels.dtype.kind == "f" and not np.isfinite(voxels).all():
            raise ContentError("has NaN or infinite voxels", field="image", remedy='Read it with nonfinite="mask"')
        return voxels if valid is None else _filled(voxels, valid[z, y, x], dark)

    return read


def finder_for(config: CellNetworkConfig, volume: Volume, channel: int = 0) -> Finder | None:
    """All that is needed to find the cells in one channel of a volume; None where there is no sign of any.

    Raises
    ------
    ContentError : NaN or infinite voxels, no valid voxel, a constant volume.
    WeightsError : as :func:`tracking3d.segment.network.inference.predictor`.
    """
    from tracking3d.segment.network.scale import estimated_diameter_um

    _require_content(volume, channel)
    network, read, grid = (
        predictor(config.weights, config.device, config.precision),
        reader(volume, channel),
        volume.grid,
    )
    diameter = config.diameter_um
    if diameter is None:
        diameter = estimated_diameter_um(network, read, grid.shape, grid.spacing_um)
    if diameter is None:
        return None
    view = View(grid.shape, grid.spacing_um, diameter)
    bounds = view.bounds(read)
    if not bounds[1] > bounds[0]:
        raise _constant(bounds[0])
    return Finder(network, view, bounds, view.noise(read, bounds), config, smallest_cell(view, config.min_volume_um3))


def _require_content(volume: Volume, channel: int) -> None:
    if volume.valid is not None and not volume.valid.any():
        raise ContentError("the volume has no valid voxel", field="image", remedy="Check the mask and the overlap")
    if not isinstance(volume.data, np.ndarray):
        return
    require_finite(volume, "image")
    seen = volume.data[channel] if volume.valid is None else volume.data[channel][volume.valid]
    if seen.min() == seen.max():
        raise _constant(seen.flat[0].item())


def _constant(value: float) -> ContentError:
    return ContentError("the volume is constant", field="image", value=value, remedy="Check the file and channel")


def _filled(voxels: Voxels, valid: AnyArray, dark: float | None) -> Voxels:
    if valid.all() or (dark is None and not valid.any()):
        return voxels
    return np.where(valid, voxels, voxels[valid].min() if dark is None else dark)
