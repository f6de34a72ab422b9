"""How a specimen lies before an instrument: the grid, and the exact map from the specimen's frame into its world."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from phantom.deformation import Deformation
from phantom.instruments.instrument import InstrumentConfig
from volumes.errors import ConfigError
from volumes.grid import Grid
from volumes.shapes import AnyArray, Points, Triple
from volumes.transform import Affine, Composite, Transform

STEP_UM = 0.01
"""Step of the difference quotients in :meth:`Pose.stretch`; the maps are smooth over far longer lengths."""

LIMITS = {
    "spacing_um": (1e-3, 1e5),
    "scale": (0.01, 100.0),
    "origin_um": (-1e7, 1e7),
    "looks_at_um": (-1e7, 1e7),
    "rotation_deg": (-3600.0, 3600.0),
    "deformation_um": (0.0, 1e5),
    "drift_um": (0.0, 1e5),
}
"""Beyond these a number was meant in another unit, and places would be lost in rounding."""
_CALLED = {"rms_um": "deformation_um", "shortest_um": "deformation_scale_um"}


def seeded(seed: int, name: str, *purpose: int) -> np.random.Generator:
    """A generator for one purpose of one thing with a name, independent of all others from the same seed."""
    return np.random.default_rng([seed, zlib.crc32(name.encode()), *purpose])


@dataclass(frozen=True, eq=False)
class Pose:
    """Where the specimen's points lie in an instrument's world, frame by frame.

    Parameters
    ----------
    grid : the instrument's voxels.
    to_world : specimen point → world point at frame 0, both (z, y, x) µm.
    drift_um : what the stage has moved by since, (frames, 3); row 0 is 0.
    """

    grid: Grid
    to_world: Transform
    drift_um: NDArray[np.float64]

    def world(self, points_um: Points, frame: int) -> Points:
        """World points (n, 3) of specimen points (n, 3) at a frame."""
        moved: Points = self.to_world(points_um) + self.drift_um[frame]
        return moved

    def specimen(self, world_um: Points, frame: int) -> Points:
        """Specimen points (n, 3) of world points (n, 3) at a frame."""
        moved: Points = self.to_world.inverse()(world_um - self.drift_um[frame])
        return moved

    def stretch(self, points_um: Points) -> NDArray[np.float64]:
        """(n, 3, 3): how a small step from each specimen point looks in voxels, ``∂index / ∂x``."""
        columns = []
        for axis in range(3):
            step = np.eye(3)[axis] * STEP_UM
            ahead, behind = (self.grid.to_index(self.to_world(points_um + s * step)) for s in (1, -1))
            columns.append((ahead - behind) / (2 * STEP_UM))
        return np.stack(columns, -1)

    @property
    def still(self) -> bool:
        """Whether the stage keeps its place over all frames."""
        return not self.drift_um.any()


def posed(config: InstrumentConfig, centre_um: AnyArray, extent_um: AnyArray, seed: int, name: str) -> Pose:
    """The pose that a config asks for: ``x ↦ R S (D(x) − D(c)) + m``, m being the middle of the field.

    Parameters
    ----------
    config : rotation R, scale S, what it looks at (c), how strongly the tissue is deformed (D).
    centre_um, extent_um : of the specimen, (3,).
    seed, name : choose the deformation and the drift, each instrument's its own.

    Raises
    ------
    ConfigError : numbers beyond :data:`LIMITS`, axes that are no permutation, or a deformation too steep for its
        wavelength; the field names the instrument.
    """
    _require_limits(config, name)
    grid = Grid(config.shape, config.spacing_um, config.origin_um, _direction(config.axes, name))
    looks_at = np.asarray([centre_um if config.looks_at_um is None else config.looks_at_um])
    linear = Rotation.from_rotvec(np.radians(config.rotation_deg)).as_matrix() * np.asarray(config.scale)
    bent = _deformation(config, centre_um, extent_um, seed, name)
    centre = looks_at if bent is None else bent(looks_at)
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = grid.centre_um[0] - linear @ centre[0]
    to_world: Transform = Affine(matrix) if bent is None else Composite((Affine(matrix), bent))
    steps = config.drift_um * seeded(seed, name, 1).standard_normal((config.frames, 3))
    steps[0] = 0
    return Pose(grid, to_world, np.cumsum(steps, axis=0))


def _deformation(
    config: InstrumentConfig, centre_um: AnyArray, extent_um: AnyArray, seed: int, name: str
) -> Deformation | None:
    if config.deformation_um == 0:
        return None
    shortest = config.deformation_scale_um or float(max(extent_um)) / 2
    centre, sides = ((float(z), float(y), float(x)) for z, y, x in (centre_um, extent_um))
    rng = seeded(seed, name, 0)
    try:
        return Deformation.random(config.deformation_um, shortest, rng, centre_um=centre, extent_um=sides)
    except ConfigError as error:
        field = f"instruments.{name}.{_CALLED.get(str(error.field), 'deformation_um')}"
        raise ConfigError(error.problem, field=field, value=error.value, remedy=error.remedy) from error


def _require_limits(config: InstrumentConfig, name: str) -> None:
    for field, (low, high) in LIMITS.items():
        value = getattr(config, field)
        if value is not None and not (low <= np.min(value) and np.max(value) <= high):
            raise ConfigError(
                f"must lie within {low:g} and {high:g}",
                field=f"instruments.{name}.{field}",
                value=value,
                remedy="Give lengths in µm, angles in degrees",
            )


def _direction(axes: tuple[str, str, str], name: str) -> tuple[Triple, Triple, Triple]:
    names = [axis.removeprefix("-") for axis in axes]
    if sorted(names) != ["x", "y", "z"]:
        raise ConfigError(
            "must name each of z, y, x once",
            field=f"instruments.{name}.axes",
            value=axes,
            remedy="For example [-x, y, z]",
        )
    matrix = np.zeros((3, 3))
    for column, (axis, name) in enumerate(zip(axes, names, strict=True)):
        matrix["zyx".index(name), column] = -1.0 if axis.startswith("-") else 1.0
    first, second, third = ((float(row[0]), float(row[1]), float(row[2])) for row in matrix)
    return first, second, third
