"""A transform known from elsewhere, a fiducial bed or another program, looked at as critically as a found one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from registration.linear.motion import RigidMotion, refine
from registration.linear.similarity import Samples, Similarity, draw
from registration.prepared import Prepared, prepare
from registration.quality import Bounds, Quality, Status, judge
from registration.result import Registered
from volumes.displacement import DisplacementField
from volumes.errors import ConfigError
from volumes.grid import Grid
from volumes.shapes import Mask, Matrix4, Points
from volumes.transform import Affine, Transform, as_affine
from volumes.volume import Volume

FAR_VOXELS = 3.0
"""Where the likeness is greatest further away than this many of the coarser voxels, the transform is doubtful."""
ITERATIONS, TOLERANCE = 40, 1e-6
JACOBIAN_VOXELS = 64
"""Voxels along the longest axis of the grid that a transform's Jacobian is looked at on."""


class AssessmentSettings(BaseModel):
    """How two volumes are compared under a transform; as in LinearSettings.

    Parameters
    ----------
    bins : of the histogram, for either volume.
    samples : of the fixed volume.
    least_overlap : share of the smaller specimen that must lie inside the other's field.
    fixed_channel, moving_channel : which channels are compared, by position or name.
    seed : of the samples' places.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bins: int = Field(default=32, ge=8, le=256)
    samples: int = Field(default=50_000, ge=500)
    least_overlap: float = Field(default=0.25, gt=0, lt=1)
    fixed_channel: int | str = 0
    moving_channel: int | str = 0
    seed: int = Field(default=0, ge=0)


class GivenConfig(AssessmentSettings):
    """A transform from an ITK file, fixed points → moving points; nothing is searched.

    Parameters
    ----------
    file : .tfm or .h5.
    """

    kind: Literal["given"] = "given"
    file: Path

    def build(self) -> Given:
        """The registrar."""
        return Given(self)


@dataclass(frozen=True)
class Given:
    """Takes the transform of a file and says how well it fits."""

    config: GivenConfig

    def register(
        self,
        fixed: Volume,
        moving: Volume,
        *,
        fixed_mask: Mask | None = None,
        moving_mask: Mask | None = None,
        start: Transform | None = None,
    ) -> Registered:
        """The file's transform, with its quality and status.

        Raises
        ------
        ConfigError : a start beside it.
        VolumeFileError, TransformError : a file that is missing, damaged or of another kind.
        ContentError : a volume that cannot be looked at: constant, not finite, a single plane, an empty mask.
        """
        from volumes.io import read_transform

        if start is not None:
            raise ConfigError("a given transform takes no start", field="start", remedy="Leave one of the two out")
        return assess(
            read_transform(self.config.file),
            fixed,
            moving,
            self.config,
            fixed_mask=fixed_mask,
            moving_mask=moving_mask,
        )


def assess(
    transform: Transform,
    fixed: Volume,
    moving: Volume,
    settings: AssessmentSettings | None = None,
    *,
    fixed_mask: Mask | None = None,
    moving_mask: Mask | None = None,
) -> Registered:
    """How well a transform that was not found here fits: the same figures and the same verdict as for one that was.

    ``spread_um`` is how far the likeness, climbed from there by a rigid motion, would move the specimen.

    Parameters
    ----------
    transform : fixed points → moving points, of any kind.
    fixed, moving : the volumes.
    settings : how they are compared.
    fixed_mask, moving_mask : (z, y, x) on each one's own grid, True where it may be looked at.

    Raises
    ------
    ContentError : a volume that cannot be looked at: constant, not finite, a single plane, an empty mask.
    TransformError : the transform gives points that are not finite.
    """
    s = settings or AssessmentSettings()
    f = prepare(fixed, fixed_mask, s.bins, s.fixed_channel, "fixed")
    m = prepare(moving, moving_mask, s.bins, s.moving_channel, "moving")
    samples = draw(f.at(max(m.grid.spacing_um)), s.samples, s.seed, f.scales[0])
    scale = m.at(max(f.grid.spacing_um))
    moved = Similarity(Samples(transform(samples.points_um), samples.bins), scale, s.bins)
    pulled, evaluations = _pulled_um(moved, transform, f, max(*f.grid.spacing_um, *m.grid.spacing_um))
    quality = replace(
        _geometry(transform, f.grid),
        similarity_before=max(Similarity(samples, scale, s.bins).value(np.eye(4))[0], 1.0),
        similarity_after=moved.value(np.eye(4))[0],
        similarity_chance=moved.chance(np.eye(4), s.seed),
        overlap=_overlap(transform, f, m),
        spread_um=pulled,
        evaluations=evaluations,
    )
    far = FAR_VOXELS * max(*f.grid.spacing_um, *m.grid.spacing_um)
    status, reasons = judge(quality, Bounds(s.least_overlap, np.inf))
    if pulled > far:
        status = Status.DOUBTFUL if status is Status.GOOD else status
        reasons = (*reasons, f"the likeness is greatest {pulled:.3g} µm away: check it, or give it as start to refine")
    return Registered(transform, quality, status, reasons)


def _pulled_um(moved: Similarity, transform: Transform, fixed: Prepared, voxel_um: float) -> tuple[float, int]:
    """How far a climb from the transform leads, the mean over the specimen, and its evaluations."""
    points = transform(fixed.foreground_um)
    motion = RigidMotion(np.eye(4), points.mean(axis=0), fixed.radius_um, voxel_um)
    found = refine(moved, motion, _anywhere, ITERATIONS, TOLERANCE)
    off: Points = Affine(found.matrix)(points) - points
    return float(np.linalg.norm(off, axis=1).mean()), found.evaluations


def _anywhere(_matrix: Matrix4, inside: float) -> bool:
    return inside > 0


def _overlap(transform: Transform, fixed: Prepared, moving: Prepared) -> float:
    """Share of the fixed specimen inside the moving field, or of the moving one in the fixed field where linear."""
    shares = [_share_inside(moving.grid, transform(fixed.foreground_um))]
    if (linear := as_affine(transform)) is not None:
        shares.append(_share_inside(fixed.grid, linear.inverse()(moving.foreground_um)))
    return max(shares)


def _share_inside(grid: Grid, points_um: Points) -> float:
    index = grid.to_index(points_um)
    return float(((index >= -0.5) & (index <= np.asarray(grid.shape) - 0.5)).all(axis=1).mean())


def _geometry(transform: Transform, grid: Grid) -> Quality:
    """Rotation, shift, Jacobians and folds of a transform over a grid; the figures of likeness are left at nothing."""
    linear = as_affine(transform)
    whole = linear or _nearest_affine(transform, grid)
    if linear is not None:
        low = high = float(np.linalg.det(linear.matrix[:3, :3]))
        folded = 0.0
    else:
        field = DisplacementField.of(transform, _thinned(grid))
        jacobian = field.jacobian()
        low, high, folded = float(jacobian.min()), float(jacobian.max()), field.folded_fraction()
    shift = float(np.linalg.norm(transform(grid.centre_um) - grid.centre_um))
    return Quality(1.0, 1.0, 1.0, 0.0, whole.rotation_deg, shift, low, high, 0.0, 0, folded)


def _nearest_affine(transform: Transform, grid: Grid) -> Affine:
    """The least squares over the corners of the field."""
    corners = grid.to_world(np.array(np.meshgrid(*((0, n - 1) for n in grid.shape))).reshape(3, -1).T)
    homogeneous = np.column_stack([corners, np.ones(len(corners))])
    matrix = np.eye(4)
    matrix[:3] = np.linalg.lstsq(homogeneous, transform(corners), rcond=None)[0].T
    return Affine(matrix)


def _thinned(grid: Grid) -> Grid:
    step = max(1, max(grid.shape) // JACOBIAN_VOXELS)
    z, y, x = (max(1, n // step) for n in grid.shape)
    dz, dy, dx = (s * step for s in grid.spacing_um)
    return Grid((z, y, x), (dz, dy, dx), grid.origin_um, grid.direction)
