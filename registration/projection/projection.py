"""The pose of a volume in a picture: 2-D to 3-D registration, for cameras that see the whole depth at once.

A camera without sectioning gives a picture of a single plane. The volume is turned and shifted until its projection
explains the picture. The camera is orthographic and looks along the picture's own first axis, from low to high index;
its magnification is that of the picture's spacing. **How deep the specimen lies cannot be seen**: the middle of the
volume's field is laid on the picture's plane, and errors are measured within that plane.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from registration.projection.align import Effort, Outcome, Stage
from registration.projection.cloud import Model, specimen
from registration.projection.doubt import LOOSE, TORN, deviation_um, halves_um, rivals_um
from registration.projection.fit import View
from registration.projection.picture import picture
from registration.projection.refine import SCALE_BOUND, Free
from registration.quality import Bounds, Quality, Status, judge
from registration.result import Registered
from volumes.errors import ConfigError, ContentError, HeaderError, TransformError
from volumes.grid import Grid
from volumes.shapes import Mask
from volumes.transform import Affine, Transform, as_affine
from volumes.volume import Volume

FIELD_RATIO = 50.0
"""Fields of view that differ by more than this are taken for a mistaken unit."""
SMALL, LARGE = 0.02, 8.0
"""A specimen whose radius is below or above these shares of the picture's field is not what the picture shows."""
AT_BOUND = 0.98
"""A solved magnification this near to its bound was stopped by it."""
DEPTH = "the depth along the camera's axis cannot be seen: the volume's middle is laid on the picture's plane"
"""Said with every result that is not failed."""


class ProjectionConfig(BaseModel):
    """2-D to 3-D registration: one of the two is a single plane, a camera's picture of the other's whole depth.

    Parameters
    ----------
    model : what a pixel collects: ``depth``, light that fades on its way through the specimen; ``sum``, light that
        does not; ``max``, the brightest; ``silhouette``, whether anything is there.
    attenuation_per_um : µ of light that fades as exp(−µ d), d µm below the surface; left out, it is solved for.
    scale : whether the magnification is solved for, between 0.74 and 1.35; else the spacings are taken as true.
    rotations : how many the search tries besides the way the volume lies.
    starts : the best of the search that are refined.
    hats : functions of the volume's intensity that the picture's light is composed of.
    finest_um : the finest pixels worked on; left out, the picture's or the volume's own, or 1/24 of the radius.
    most_voxels : how many voxels of the volume's field are worked on; a larger field is averaged.
    least_overlap : share of the specimen that must lie inside the picture.
    fixed_channel, moving_channel : which channels are registered, by position or name.
    seed : of the shuffled picture that tells what chance would find.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["projection"] = "projection"
    model: Model = "depth"
    attenuation_per_um: float | None = Field(default=None, ge=0, le=10, allow_inf_nan=False)
    scale: bool = False
    rotations: int = Field(default=2000, ge=100, le=100_000)
    starts: int = Field(default=40, ge=1, le=1000)
    hats: int = Field(default=4, ge=1, le=16)
    finest_um: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    most_voxels: int = Field(default=400_000, ge=1000)
    least_overlap: float = Field(default=0.25, gt=0, lt=1)
    fixed_channel: int | str = 0
    moving_channel: int | str = 0
    seed: int = Field(default=0, ge=0)

    def build(self) -> Projection:
        """The registrar.

        Raises
        ------
        ConfigError : an attenuation for a model in which light does not fade.
        """
        if self.attenuation_per_um is not None and self.model != "depth":
            raise ConfigError(
                f"light does not fade in the model {self.model!r}",
                field="attenuation_per_um",
                value=self.attenuation_per_um,
                remedy="Leave it out, or use the model 'depth'",
            )
        return Projection(self)


@dataclass(frozen=True)
class Projection:
    """Finds the pose in which a volume's projection explains most of a picture.

    Parameters
    ----------
    config : the settings.
    """

    config: ProjectionConfig

    def register(
        self,
        fixed: Volume,
        moving: Volume,
        *,
        fixed_mask: Mask | None = None,
        moving_mask: Mask | None = None,
        start: Transform | None = None,
    ) -> Registered:
        """The transform from fixed to moving points, rigid, or with one scale where that is solved for.

        Parameters
        ----------
        fixed, moving : a volume and a picture of a single plane (z, the first axis, has one), in either order.
        fixed_mask, moving_mask : (z, y, x) on each one's own grid, True where it may be looked at.
        start : a linear transform, fixed to moving, to begin from instead of the search; its depth does not matter.

        Raises
        ------
        ContentError : none or both are of a single plane; constant, empty, not finite; a silhouette that is not there.
        HeaderError : fields of view so different that one unit must be wrong.
        TransformError : a start that is not linear, mirrors space, or lays the specimen outside the picture.
        """
        flat = [volume.grid.shape[0] == 1 for volume in (fixed, moving)]
        if flat[0] == flat[1]:
            raise _not_a_pair(fixed, moving)
        first = None if start is None else _linear(start)
        if flat[1]:
            return self._pose(fixed, moving, fixed_mask, moving_mask, first, "fixed", "moving")
        found = self._pose(
            moving, fixed, moving_mask, fixed_mask, first.inverse() if first else None, "moving", "fixed"
        )
        return replace(found, transform=found.transform.inverse())

    def _pose(
        self,
        volume: Volume,
        seen: Volume,
        volume_mask: Mask | None,
        seen_mask: Mask | None,
        start: Affine | None,
        of_volume: str,
        of_picture: str,
    ) -> Registered:
        """The transform from the volume's points to the picture's."""
        config = self.config
        _check_fields(volume.grid, seen.grid)
        channels = {"fixed": config.fixed_channel, "moving": config.moving_channel}
        flat = config.model == "silhouette"
        pictured = picture(seen, seen_mask, channels[of_picture], of_picture, flat=flat)
        voxel = max((float(np.prod(volume.grid.extent_um)) / config.most_voxels) ** (1 / 3), _finest(volume))
        body = specimen(volume, volume_mask, channels[of_volume], of_volume, voxel, config.hats, config.model)
        _check_size(body.radius_um, seen.grid)
        finest = config.finest_um or max(min(body.grid.spacing_um), pictured.pixel_um)
        effort = Effort(config.rotations, config.starts, finest, config.scale, config.attenuation_per_um, config.seed)
        stage = Stage(body, pictured, config.model, effort)
        begun = None if start is None else _view(stage, start, scale=config.scale)
        outcome = stage.pose(begun)
        return _registered(stage, outcome, volume.grid, begun, config)


def _registered(
    stage: Stage, outcome: Outcome, volume: Grid, begun: View | None, config: ProjectionConfig
) -> Registered:
    transform = _transform(stage, outcome.best.view, volume)
    quality = _quality(stage, outcome, transform, volume, begun)
    status, reasons = judge(quality, Bounds(config.least_overlap, 0.0))
    free = Free(scale=config.scale, attenuation=stage.solved)
    doubts = []
    loose = deviation_um(stage, outcome, free)
    if not loose <= LOOSE * stage.specimen.radius_um:
        doubts.append(f"the picture holds the pose only to {loose:.3g} µm: give a start, or a sharper picture")
    halves = halves_um(stage, outcome, free)
    if halves > TORN * stage.specimen.radius_um:
        doubts.append(f"half of the picture alone moves the pose by {halves:.3g} µm: check that both show one specimen")
    if config.scale and abs(np.log(outcome.best.view.scale)) > AT_BOUND * SCALE_BOUND:
        doubts.append(f"the magnification ran to its bound, {outcome.best.view.scale:.3g}: check the spacings")
    if doubts and status is Status.GOOD:
        status = Status.DOUBTFUL
    return Registered(transform, quality, status, (*reasons, *doubts, DEPTH))


def _transform(stage: Stage, view: View, volume: Grid) -> Affine:
    """Volume points → picture points; the middle of the volume's field comes to lie on the picture's plane."""
    linear = view.scale * view.rotation
    axes, middle = stage.axes, stage.picture.grid.centre_um[0]
    depth = -float(axes[:, 0] @ linear @ (volume.centre_um[0] - stage.specimen.centre_um))
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    target = middle + axes @ np.array([depth, *view.shift_um])
    matrix[:3, 3] = target - linear @ stage.specimen.centre_um
    return Affine(matrix)


def _view(stage: Stage, start: Affine, *, scale: bool) -> View:
    """How a transform shows the specimen, its linear part made a rotation, and its shift kept at the middle."""
    u, stretches, vt = np.linalg.svd(start.matrix[:3, :3])
    size = float(np.clip(np.prod(stretches) ** (1 / 3), np.exp(-SCALE_BOUND), np.exp(SCALE_BOUND))) if scale else 1.0
    at = (start(stage.specimen.centre_um[None]) - stage.picture.grid.centre_um)[0] @ stage.axes
    view = View(u @ vt, at[1:], size)
    if _overlap(stage, view) <= 0:
        raise TransformError(
            "lays the specimen outside the picture",
            field="start",
            value=start.matrix.round(3).tolist(),
            remedy="It must map fixed points to moving points in µm; leave it out to search",
        )
    return view


def _overlap(stage: Stage, view: View) -> float:
    """Share of the specimen that is seen inside the picture's field."""
    points = stage.specimen.foreground_um @ (view.scale * view.rotation).T @ stage.axes
    half = np.asarray(stage.picture.grid.extent_um[1:]) / 2
    return float((np.abs(points[:, 1:] + view.shift_um) <= half).all(axis=1).mean())


def _quality(stage: Stage, outcome: Outcome, transform: Affine, volume: Grid, begun: View | None) -> Quality:
    still = begun or _lying(stage)
    before = outcome.scene.fit(still).explained if _overlap(stage, still) > 0 else 0.0
    change = float(np.linalg.det(transform.matrix[:3, :3]))
    return Quality(
        similarity_before=1 + before,
        similarity_after=1 + outcome.best.fit.explained,
        similarity_chance=1 + stage.chance(),
        overlap=_overlap(stage, outcome.best.view),
        rotation_deg=transform.rotation_deg,
        shift_um=float(np.linalg.norm(transform(volume.centre_um) - volume.centre_um)),
        jacobian_min=change,
        jacobian_max=change,
        spread_um=rivals_um(stage, outcome),
        evaluations=outcome.evaluations,
    )


def _lying(stage: Stage) -> View:
    """The specimen where the two worlds are one."""
    at = (stage.specimen.centre_um - stage.picture.grid.centre_um[0]) @ stage.axes
    return View(np.eye(3), at[1:])


def _linear(start: Transform) -> Affine:
    affine = as_affine(start)
    if affine is None:
        raise TransformError("must be linear to begin from", field="start", value=type(start).__name__)
    if np.linalg.det(affine.matrix[:3, :3]) <= 0:
        raise TransformError("mirrors space, which a pose cannot", field="start", value=affine)
    return affine


def _finest(volume: Volume) -> float:
    return min(volume.grid.spacing_um)


def _not_a_pair(fixed: Volume, moving: Volume) -> ContentError:
    planes = "both are" if fixed.grid.shape[0] == 1 else "neither is"
    return ContentError(
        f"{planes} a picture of a single plane",
        field="fixed, moving",
        value=(fixed.grid.shape, moving.grid.shape),
        remedy="Give a volume and a picture (Z = 1); two volumes are registered by 'rigid'",
    )


def _check_fields(volume: Grid, seen: Grid) -> None:
    ratio = float(np.linalg.norm(volume.extent_um) / np.linalg.norm(seen.extent_um[1:]))
    if not 1 / FIELD_RATIO <= ratio <= FIELD_RATIO:
        raise _unit(f"fields of view differ by a factor of {max(ratio, 1 / ratio):.3g}", volume, seen)


def _check_size(radius_um: float, seen: Grid) -> None:
    share = radius_um / max(seen.extent_um[1:])
    if not SMALL <= share <= LARGE:
        problem = f"the specimen's radius of {radius_um:.3g} µm is {share:.3g} of the picture's field"
        raise HeaderError(
            problem,
            field="spacing_um",
            value=seen.spacing_um,
            remedy="Check the units, or crop the larger of the two",
        )


def _unit(problem: str, volume: Grid, seen: Grid) -> HeaderError:
    return HeaderError(
        problem,
        field="spacing_um",
        value=(volume.spacing_um, seen.spacing_um),
        remedy="One unit is probably wrong (mm read as µm): state the voxel size, or crop the larger one",
    )
