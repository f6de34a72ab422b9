"""Linear registration: all rotations searched at a coarse resolution, then normalised mutual information climbed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float64
from pydantic import Field

from registration.linear.align import Found, Freedom, LinearSettings, Pair
from registration.linear.masked import Masked
from registration.linear.motion import AffineMotion, SimilarityMotion
from registration.prepared import Prepared, prepare
from registration.quality import Bounds, Quality, judge
from registration.result import Registered
from volumes.errors import HeaderError, TransformError
from volumes.grid import Grid
from volumes.shapes import Mask
from volumes.transform import Affine, Transform, as_affine
from volumes.volume import Volume

SWAP_BELOW = 0.7
"""A moving field smaller than this share of the fixed one is the one that samples are drawn from."""


class RigidConfig(LinearSettings):
    """Rigid registration: six parameters, a rotation and a shift. The settings are those of LinearSettings."""

    kind: Literal["rigid"] = "rigid"

    @property
    def freedom(self) -> Freedom:
        """What it may do besides turning and shifting."""
        return Freedom()

    def build(self) -> Linear:
        """The registrar."""
        return Linear(self)


class StretchSettings(LinearSettings):
    """How far a transform may go that is not rigid.

    Parameters
    ----------
    most_stretch : no length may grow or shrink by more than this factor.
    mirrored : whether mirror images are searched too; they are refused otherwise.
    """

    most_stretch: float = Field(default=1.5, gt=1, le=10)
    mirrored: bool = False


class SimilarityConfig(StretchSettings):
    """Seven parameters: rotation, shift, and one factor for all lengths. The settings are those of StretchSettings."""

    kind: Literal["similarity"] = "similarity"

    @property
    def freedom(self) -> Freedom:
        """What it may do besides turning and shifting."""
        return Freedom(SimilarityMotion, self.most_stretch, self.mirrored)

    def build(self) -> Linear:
        """The registrar."""
        return Linear(self)


class AffineConfig(StretchSettings):
    """Twelve parameters: any linear map and a shift. The settings are those of StretchSettings."""

    kind: Literal["affine"] = "affine"

    @property
    def freedom(self) -> Freedom:
        """What it may do besides turning and shifting."""
        return Freedom(AffineMotion, self.most_stretch, self.mirrored)

    def build(self) -> Linear:
        """The registrar."""
        return Linear(self)


LinearConfig: TypeAlias = RigidConfig | SimilarityConfig | AffineConfig


@dataclass(frozen=True)
class Linear:
    """Finds the linear transform that makes the normalised mutual information largest.

    Parameters
    ----------
    config : the settings.
    """

    config: LinearConfig

    def register(
        self,
        fixed: Volume,
        moving: Volume,
        *,
        fixed_mask: Mask | None = None,
        moving_mask: Mask | None = None,
        start: Transform | None = None,
    ) -> Registered:
        """The transform from fixed to moving points.

        Parameters
        ----------
        fixed, moving : volumes of one specimen; grids and modalities may differ.
        fixed_mask, moving_mask : (z, y, x) on each one's own grid, True where it may be looked at.
        start : a linear transform to begin from, instead of the search.

        Raises
        ------
        ContentError : a volume that cannot be registered: constant, empty, not finite, a single plane.
        HeaderError : fields of view so different that one unit must be wrong.
        TransformError : a start that is not linear, lays the volumes apart, or does what the result may not.
        """
        config = self.config
        first = None if start is None else self._begun(start, fixed.grid.centre_um[0])
        f = prepare(fixed, fixed_mask, config.bins, config.fixed_channel, "fixed")
        m = prepare(moving, moving_mask, config.bins, config.moving_channel, "moving")
        _check_fields(f.grid, m.grid, config.most_field_ratio)
        swap = m.volume_um3 < SWAP_BELOW * f.volume_um3
        masked = f.scales[0].inside is not None or m.scales[0].inside is not None
        pair = self._pair(f, m, swap=swap, masked=masked)
        aligner: Pair | Masked = pair
        if fixed_mask is not None or moving_mask is not None:
            whole_f = prepare(fixed, None, config.bins, config.fixed_channel, "fixed", fixed_mask)
            whole_m = prepare(moving, None, config.bins, config.moving_channel, "moving", moving_mask)
            aligner = Masked(pair, self._pair(whole_f, whole_m, swap=swap, masked=masked))
        found = aligner.align(first.inverse() if swap and first else first)
        transform = Affine(found.matrix).inverse() if swap else Affine(found.matrix)
        quality = _quality(transform, f, found)
        bounds = Bounds(
            config.least_overlap,
            pair.ladder_um[0],
            mirrored=config.freedom.mirrored,
            at_most_stretch=config.freedom.is_at_bound(transform.matrix[:3, :3]),
        )
        status, reasons = judge(quality, bounds)
        return Registered(transform, quality, status, reasons)

    def _pair(self, fixed: Prepared, moving: Prepared, *, swap: bool, masked: bool) -> Pair:
        first, second = (moving, fixed) if swap else (fixed, moving)
        return Pair(first, second, self.config, self.config.freedom, masked)

    def _begun(self, start: Transform, middle_um: Float64[np.ndarray, " 3"]) -> Affine:
        """The start with the nearest linear part that the result may have; where it takes the middle stays."""
        affine, freedom = as_affine(start), self.config.freedom
        if affine is None:
            raise TransformError("must be linear to begin from", field="start", value=type(start).__name__)
        u, stretches, vt = np.linalg.svd(affine.matrix[:3, :3])
        if np.linalg.det(u @ vt) < 0 and not freedom.mirrored:
            remedy = "If the specimen truly is a mirror image, allow it: mirrored, of an affine registration"
            raise TransformError("mirrors space", field="start", value=affine, remedy=remedy)
        if freedom.is_rigid:
            stretches = np.ones(3)
        elif freedom.motion is SimilarityMotion:
            stretches = np.full(3, np.prod(stretches) ** (1 / 3))
        matrix = affine.matrix.copy()
        matrix[:3, :3] = u @ np.diag(stretches) @ vt
        matrix[:3, 3] += (affine.matrix - matrix)[:3, :3] @ middle_um
        if not freedom.allows(matrix[:3, :3]):
            raise TransformError(
                f"stretches by more than a factor of {freedom.most_stretch:g}",
                field="start",
                value=stretches.round(4).tolist(),
                remedy="Raise most_stretch, or give a start that stretches less",
            )
        return Affine(matrix)


def _check_fields(fixed: Grid, moving: Grid, most: float) -> None:
    ratio = float(np.linalg.norm(fixed.extent_um) / np.linalg.norm(moving.extent_um))
    if not 1 / most <= ratio <= most:
        raise HeaderError(
            f"fields of view differ by a factor of {max(ratio, 1 / ratio):.3g}",
            field="spacing_um",
            value=(fixed.spacing_um, moving.spacing_um),
            remedy="One unit is probably wrong (mm read as µm): state the voxel size; if not, crop the larger volume, "
            "or raise most_field_ratio",
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
        halves_um=found.halves_um,
        evaluations=found.evaluations,
        dispute_um=found.dispute_um,
    )
