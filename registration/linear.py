"""Rigid registration: all rotations searched at a coarse resolution, then normalised mutual information climbed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from registration.align import Found, LinearSettings, Pair
from registration.masked import Masked
from registration.prepared import Prepared, prepare
from registration.quality import Bounds, Quality, judge
from registration.result import Registered
from volumes.errors import HeaderError, TransformError
from volumes.grid import Grid
from volumes.shapes import Mask
from volumes.transform import Affine, Transform, as_affine
from volumes.volume import Volume

FIELD_RATIO = 50.0
"""Fields of view that differ by more than this are taken for a mistaken unit."""
SWAP_BELOW = 0.7
"""A moving field smaller than this share of the fixed one is the one that samples are drawn from."""


class RigidConfig(LinearSettings):
    """Rigid registration: six parameters, a rotation and a shift. The settings are those of LinearSettings."""

    kind: Literal["rigid"] = "rigid"

    def build(self) -> Linear:
        """The registrar."""
        return Linear(self)


@dataclass(frozen=True)
class Linear:
    """Finds the rotation and shift that make the normalised mutual information largest.

    Parameters
    ----------
    config : the settings.
    """

    config: RigidConfig

    def register(
        self,
        fixed: Volume,
        moving: Volume,
        *,
        fixed_mask: Mask | None = None,
        moving_mask: Mask | None = None,
        start: Transform | None = None,
    ) -> Registered:
        """The rigid transform from fixed to moving points.

        Parameters
        ----------
        fixed, moving : volumes of one specimen; grids and modalities may differ.
        fixed_mask, moving_mask : (z, y, x) on each one's own grid, True where it may be looked at.
        start : a linear transform to begin from, instead of the search.

        Raises
        ------
        ContentError : a volume that cannot be registered: constant, empty, not finite, a single plane.
        HeaderError : fields of view so different that one unit must be wrong.
        TransformError : a start that is not linear, or lays the volumes apart.
        """
        config = self.config
        first = None if start is None else _rigid_part(start)
        f = prepare(fixed, fixed_mask, config.bins, config.fixed_channel, "fixed")
        m = prepare(moving, moving_mask, config.bins, config.moving_channel, "moving")
        _check_fields(f.grid, m.grid)
        swap = m.volume_um3 < SWAP_BELOW * f.volume_um3
        pair = _pair(f, m, config, swap=swap)
        aligner: Pair | Masked = pair
        if fixed_mask is not None or moving_mask is not None:
            whole_f = prepare(fixed, None, config.bins, config.fixed_channel, "fixed", fixed_mask)
            whole_m = prepare(moving, None, config.bins, config.moving_channel, "moving", moving_mask)
            aligner = Masked(pair, _pair(whole_f, whole_m, config, swap=swap))
        found = aligner.align(first.inverse() if swap and first else first)
        transform = Affine(found.matrix).inverse() if swap else Affine(found.matrix)
        quality = _quality(transform, f, found)
        status, reasons = judge(quality, Bounds(config.least_overlap, pair.ladder_um[0]))
        return Registered(transform, quality, status, reasons)


def _pair(fixed: Prepared, moving: Prepared, config: RigidConfig, *, swap: bool) -> Pair:
    return Pair(moving, fixed, config) if swap else Pair(fixed, moving, config)


def _rigid_part(start: Transform) -> Affine:
    """The start with the nearest rotation as its linear part; its shift at the origin stays."""
    affine = as_affine(start)
    if affine is None:
        raise TransformError("must be linear to begin a rigid registration", field="start", value=type(start).__name__)
    if np.linalg.det(affine.matrix[:3, :3]) <= 0:
        raise TransformError("mirrors space, which a rigid transform cannot", field="start", value=affine)
    u, _, vt = np.linalg.svd(affine.matrix[:3, :3])
    matrix = affine.matrix.copy()
    matrix[:3, :3] = u @ vt
    return Affine(matrix)


def _check_fields(fixed: Grid, moving: Grid) -> None:
    ratio = float(np.linalg.norm(fixed.extent_um) / np.linalg.norm(moving.extent_um))
    if not 1 / FIELD_RATIO <= ratio <= FIELD_RATIO:
        raise HeaderError(
            f"fields of view differ by a factor of {max(ratio, 1 / ratio):.3g}",
            field="spacing_um",
            value=(fixed.spacing_um, moving.spacing_um),
            remedy="One unit is probably wrong (mm read as µm): state the voxel size, or crop the larger volume",
        )


def _quality(transform: Affine, fixed: Prepared, found: Found) -> Quality:
    centre = fixed.grid.centre_um
    change = float(np.linalg.det(transform.matrix[:3, :3]))
    return Quality(
        similarity_before=found.before,
        similarity_after=found.after,
        similarity_chance=found.chance,
        overlap=found.overlap,
        rotation_deg=transform.rotation_deg,
        shift_um=float(np.linalg.norm(transform(centre) - centre)),
        jacobian_min=change,
        jacobian_max=change,
        spread_um=found.spread_um,
        evaluations=found.evaluations,
        dispute_um=found.dispute_um,
    )
