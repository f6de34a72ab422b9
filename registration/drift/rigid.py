"""The turns of a specimen over a movie, from where its shifts put each frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from registration.linear.linear import Linear, RigidConfig
from registration.quality import Status
from volumes.errors import TransformError
from volumes.grid import Grid
from volumes.timelapse import TimeLapse
from volumes.transform import Affine, Transform, as_affine
from volumes.volume import Volume


@dataclass(frozen=True)
class Turned:
    """A frame after its registration.

    Parameters
    ----------
    transform : reference → frame.
    error_um : how far the direct way and the one by the neighbour lie apart, mean over the field's corners; NaN for the
        reference's own neighbours, to which both ways are one.
    failed : the direct way failed, and the one by the neighbour was taken.
    """

    transform: Affine
    error_um: float
    failed: bool


def turned(
    movie: TimeLapse,
    shifts: Sequence[Affine],
    reference: int,
    placed: NDArray[np.bool_],
    config: RigidConfig,
) -> list[Turned]:
    """Register every frame to the reference, and to its neighbour on the way there.

    A frame begins at its shift, turned as its neighbour is.

    Parameters
    ----------
    movie : the frames.
    shifts : reference → frame, as far as shifts tell.
    reference : the frame that stays.
    placed : which frames have a shift of their own; the others are left as they are.
    config : of the registration.

    Raises
    ------
    ContentError : frames of fewer than three planes.
    """
    registrar = Linear(config)
    fixed = movie[reference]
    out = [Turned(shift, 0.0 if t == reference else float("nan"), False) for t, shift in enumerate(shifts)]
    for way in (range(reference + 1, len(movie)), range(reference - 1, -1, -1)):
        last, neighbour = Affine.identity(), fixed
        for frame in way:
            if placed[frame]:
                moving = movie[frame]
                start = _turned_like(shifts[frame], last, movie.grid)
                out[frame] = _registered(registrar, (fixed, neighbour, moving), start, last)
                last, neighbour = out[frame].transform, moving
    return out


def _registered(registrar: Linear, volumes: tuple[Volume, Volume, Volume], start: Affine, last: Affine) -> Turned:
    """The last of (reference, neighbour, frame), by both ways; ``last`` leads from the reference to the neighbour."""
    fixed, neighbour, moving = volumes
    step, good = _rigid(registrar, neighbour, moving, _linear(start @ last.inverse()))
    by_neighbour = _linear(step @ last)
    if neighbour is fixed:
        return Turned(by_neighbour, float("nan"), not good)
    direct, found = _rigid(registrar, fixed, moving, start)
    apart = np.linalg.norm(direct(fixed.grid.corners_um) - by_neighbour(fixed.grid.corners_um), axis=1)
    return Turned(direct if found else by_neighbour, float(apart.mean()), not found)


def _rigid(registrar: Linear, fixed: Volume, moving: Volume, start: Affine) -> tuple[Affine, bool]:
    """The transform, and whether it may be used; the start where there is none."""
    try:
        found = registrar.register(fixed, moving, start=start)
    except TransformError:  # the start lays them apart
        return start, False
    good = found.status is not Status.FAILED
    return (_linear(found.transform) if good else start), good


def _turned_like(shift: Affine, last: Affine, grid: Grid) -> Affine:
    """The rotation of ``last``, with the field's middle going where the shift puts it."""
    centre = grid.centre_um[0]
    turn = Rotation.from_matrix(last.matrix[:3, :3]).as_rotvec()
    return Affine.rigid(turn.tolist(), (shift(centre[None])[0] - centre).tolist(), centre.tolist())


def _linear(transform: Transform) -> Affine:
    found = as_affine(transform)
    if found is None:
        raise TransformError("is not linear", field="transform", value=type(transform).__name__)
    return found
