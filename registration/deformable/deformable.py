"""Deformable registration: linear first, then a smooth field, searched coarsely and refined by its derivative."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from registration.deformable.likeness_gain import Comparison
from registration.deformable.working import Working, together, working_grid
from registration.given import AssessmentSettings, assess
from registration.linear.linear import AffineConfig, LinearConfig
from registration.quality import Bounds, Status, judge
from registration.result import Registered
from volumes.displacement import DisplacementField
from volumes.grid import Grid
from volumes.shapes import Mask
from volumes.transform import Composite, Transform, as_affine
from volumes.volume import Volume

if TYPE_CHECKING:
    from registration.deformable.field_search import FieldSearch, FoundField

Steps = Annotated[int, Field(ge=1, le=1000)]
SMOOTHNESS = 1 / 13
"""Smoothness unless it is given, by the geometric mean of the fixed field's sides."""
KEPT = 0.9
"""Share of the gain over NMI = 1 that a deformation must at least keep: it is not fitted to it, and may cost some.

One that moves the specimen by less than a working voxel may cost none: by so much the descriptors of two tones of one
unmoved specimen already differ in place.
"""


class DeformableConfig(BaseModel):
    """A linear registration, and a smooth deformation after it.

    Parameters
    ----------
    linear : how the linear part is found; its channels, histogram and seed hold for the deformation too.
    likeness : ``mind`` (modality independent neighbourhood descriptors), ``lncc2`` (squared local correlation) or
        ``nmi`` (normalised mutual information).
    smoothness_um : over what distance the displacement changes, the width of the Gaussians it is made of; left out,
        a thirteenth of the field.
    stiffness : how much likeness a strain must be worth.
    diffeomorphic : whether the field is the flow of a stationary velocity field.
    search_cells : how far the coarse search looks, in cells of 0.8 times the smoothness; 0: no search.
    iterations : steps of the refinement at most, coarse and fine.
    finest_um : the finest working resolution, µm; left out, that of the coarser volume, within ``most_voxels``.
    most_voxels : of the working grid.
    device : ``cpu`` or ``cuda``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["deformable"] = "deformable"
    linear: LinearConfig = Field(default=AffineConfig(), discriminator="kind")
    likeness: Literal["mind", "lncc2", "nmi"] = "mind"
    smoothness_um: float | None = Field(default=None, gt=0)
    stiffness: float = Field(default=17.0, gt=0)
    diffeomorphic: bool = False
    search_cells: int = Field(default=3, ge=0, le=6)
    iterations: tuple[Steps, Steps] = (20, 12)
    finest_um: float | None = Field(default=None, gt=0)
    most_voxels: int = Field(default=1_000_000, ge=1000)
    device: str = "cpu"

    def build(self) -> Deformable:
        """The registrar.

        Raises
        ------
        ConfigError : a device that is not there.
        """
        from registration.deformable.field_search import find_device

        find_device(self.device)
        return Deformable(self)


@dataclass(frozen=True)
class Deformable:
    """Finds ``x ↦ A(x + u(x))``: first A, then a smooth u that makes the volumes more alike.

    Parameters
    ----------
    config : the settings.
    """

    config: DeformableConfig

    def register(
        self,
        fixed: Volume,
        moving: Volume,
        *,
        fixed_mask: Mask | None = None,
        moving_mask: Mask | None = None,
        start: Transform | None = None,
    ) -> Registered:
        """The deformation from fixed to moving points; the linear transform alone where it does no better.

        The deformation is found in both directions apart. It is taken where it moves the specimen further than they
        disagree (else it is not told from noise), and where the normalised mutual information, on samples of its own,
        does not clearly fall, nor at all where it moves by less than a voxel of the working grid. Otherwise the linear
        transform is the result: in doubt, but for a deformation of less than a voxel, which tells that there is none.
        A linear transform that failed is given back as it is.

        Parameters
        ----------
        fixed, moving : volumes of one specimen; grids and modalities may differ.
        fixed_mask, moving_mask : (z, y, x) on each one's own grid, True where it may be looked at.
        start : a linear transform, which the linear registration begins from; or one that deforms already, which takes
            the place of the linear registration: the result is ``x ↦ start(x + u(x))``.

        Raises
        ------
        ContentError : a volume that cannot be registered: constant, empty, not finite, a single plane.
        HeaderError : fields of view so different that one unit must be wrong.
        TransformError : a start that lays the volumes apart, or gives points that are not finite.
        """
        masks = (fixed_mask, moving_mask)
        begun = self._begun(fixed, moving, masks, start)
        if begun.status is Status.FAILED:
            return begun
        linear = self.config.linear
        channels = (linear.fixed_channel, linear.moving_channel)
        grid = working_grid(fixed.grid, moving.grid, self.config.most_voxels, self.config.finest_um)
        working = together(fixed, moving, channels, masks, grid, begun.transform)
        found = self._search(working).run()
        del working
        comparison = Comparison.of(fixed, moving, masks, self._assessment)
        return self._deformed(begun, found, comparison, start)

    def _search(self, working: Working) -> FieldSearch:
        from registration.deformable.field_search import FieldSearch, Settings, find_device

        c = self.config
        smoothness = self._smoothness_um(working.grid)
        device = find_device(c.device)
        return FieldSearch(
            working,
            Settings(smoothness, c.likeness, c.stiffness, c.diffeomorphic, c.search_cells, c.iterations, device),
        )

    @property
    def _assessment(self) -> AssessmentSettings:
        linear = self.config.linear
        return AssessmentSettings(
            bins=linear.bins,
            least_overlap=linear.least_overlap,
            fixed_channel=linear.fixed_channel,
            moving_channel=linear.moving_channel,
            seed=linear.seed + 1,
        )

    def _begun(
        self, fixed: Volume, moving: Volume, masks: tuple[Mask | None, Mask | None], start: Transform | None
    ) -> Registered:
        """What is deformed: the linear result, or a start that deforms already."""
        if start is None or as_affine(start) is not None:
            registrar = self.config.linear.build()
            return registrar.register(fixed, moving, fixed_mask=masks[0], moving_mask=masks[1], start=start)
        return assess(start, fixed, moving, self._assessment, fixed_mask=masks[0], moving_mask=masks[1])

    def _deformed(
        self, begun: Registered, found: FoundField, comparison: Comparison, start: Transform | None
    ) -> Registered:
        """The deformation with its quality, or what it began from where it is no better."""
        whole = Composite((begun.transform, found.field))
        before, after = comparison.nmi(begun.transform), comparison.nmi(whole)
        points, linear = comparison.fixed.foreground_um, start is None or as_affine(start) is not None
        moved, cycle = found.moved_over(points), found.cycle_over(points)
        small = moved <= found.voxel_um
        if small and (cycle >= moved or after < before):
            note = f"no deformation beyond {found.voxel_um:.2g} µm is seen: this is the transform it began from"
            return replace(begun, reasons=(*begun.reasons, note))
        if not cycle < moved:
            return _kept(begun, f"both directions disagree by {cycle:.3g} µm on a deformation of {moved:.3g} µm")
        if after - 1 < KEPT * (before - 1):
            return _kept(begun, f"the deformation makes the likeness less: NMI {after:.4f}, {before:.4f} without")
        quality = replace(
            begun.quality,
            similarity_before=begun.quality.similarity_before if linear else before,
            similarity_after=after,
            similarity_chance=comparison.chance(whole),
            overlap=comparison.overlap(whole),
            evaluations=begun.quality.evaluations + found.evaluations,
            cycle_um=cycle,
            **_geometry(whole, found.field),
        )
        # Where halves of the specimen come to different poses, a deformation is what explains it.
        bound = max(self._smoothness_um(found.grid), *comparison.fixed.grid.spacing_um)
        bounds = Bounds(self.config.linear.least_overlap, bound, mirrored=True)
        # How far the likeness may fall was looked at above.
        status, reasons = judge(replace(quality, similarity_before=1.0), bounds)
        if status is Status.FAILED:
            return _kept(begun, f"the deformation failed: {reasons[0]}")
        return Registered(whole, quality, status, reasons)

    def _smoothness_um(self, grid: Grid) -> float:
        return self.config.smoothness_um or SMOOTHNESS * float(np.prod(grid.extent_um)) ** (1 / 3)


def _kept(begun: Registered, reason: str) -> Registered:
    """What the deformation began from, in doubt."""
    remedy = f"{reason}; try another likeness, a larger smoothness_um or more stiffness"
    return Registered(begun.transform, begun.quality, Status.DOUBTFUL, (*begun.reasons, remedy))


def _geometry(whole: Composite, field: DisplacementField) -> dict[str, float]:
    """Range of the Jacobian and folds over the field's own voxels, its margin included.

    What the field is put before is linear, or smooth on the scale of a voxel: its determinant is taken at each corner.
    """
    linear = as_affine(Composite(whole.parts[:-1]))
    jacobian = DisplacementField.of(whole, field.grid).jacobian() if linear is None else field.jacobian()
    by = 1.0 if linear is None else float(np.linalg.det(linear.matrix[:3, :3]))
    low, high = sorted((float(jacobian.min()) * by, float(jacobian.max()) * by))
    return {"jacobian_min": low, "jacobian_max": high, "folded_fraction": field.folded_fraction()}
