"""Where to begin: a coarse search over all rotations, the specimens' middles laid on each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

from registration.linear.motion import Allowed, Candidate
from registration.linear.rotations import spread_rotations
from registration.linear.similarity import Similarity
from registration.prepared import Prepared
from volumes.shapes import Matrix3, Matrix4, Points
from volumes.transform import Affine

Matrices = Float64[np.ndarray, "m 4 4"]

APART_TURNED = 0.35
"""Of the starts with any rotation, two nearer than this share of the specimen's radius count as one."""
APART_LYING = 0.2
"""The same for the starts near the way the volumes lie."""
SMALL_DEG = 40.0
"""Rotations up to this angle are also tried with a lattice of shifts."""
TILT_DEG = 12.0
"""Rotations of none or this angle about each axis are tried with it too."""
REACH = 0.6
"""How far that lattice reaches, by the specimen's radius."""
MOST_STEPS = 8
"""Steps of that lattice to either side along an axis, at most."""
WIDER = 1.6
"""A moving field this many times as wide as the fixed one along two axes is searched as a whole for the fixed one."""
PLACE = 0.2
"""How far apart the places of that search lie, by the fixed field's width."""
MOST_PLACES = 150_000
"""Of its places and turns, at most."""
PLACE_SAMPLES = 400
"""Samples by which they are ranked first, and ``RANKED`` of them by all."""
RANKED = 2000
MIRROR = np.diag([1.0, 1.0, -1.0])
"""One mirror image; with all rotations it gives every other."""
NUDGE_DEG, NUDGE = 8.0, 0.1
"""How much a given start is turned, and shifted by the specimen's radius, to see whether all end in one place."""


def promising(
    similarity: Similarity,
    fixed: Prepared,
    moving: Prepared,
    rotations: int,
    count: int,
    allowed: Allowed,
    *,
    mirrored: bool = False,
) -> list[Matrix4]:
    """The starts that are worth refining: the way the volumes lie, then the best and clearly different of two searches.

    One tries each of :func:`registration.linear.rotations.spread_rotations` with each way of laying the middles on each
    other; the other, for fields that show different parts of the specimen, small rotations with a lattice of shifts.
    Where the moving field is much the wider, the fixed one is looked for everywhere in it.

    Parameters
    ----------
    similarity : of few samples at the coarsest resolution.
    fixed, moving : what is registered.
    rotations : how many; 0 leaves both searches to the small ones.
    count : how many starts to keep of each search.
    allowed : whether a transform may be at all.
    mirrored : whether all are mirror images, about a plane through the fixed specimen's middle, instead.
    """
    turns = spread_rotations(rotations)
    lying = _lying(fixed, moving, similarity, allowed)
    if mirrored:
        lying = lying @ _mirror(fixed)
    turned = _ranked(similarity, _placed(turns @ MIRROR if mirrored else turns, fixed, moving), allowed)
    shifted = _ranked(similarity, _shifted(lying, turns, fixed), allowed)
    first = Candidate(lying, 0.0, 1.0)
    kept = distinct(chain([first], turned), fixed.foreground_um, APART_TURNED * fixed.radius_um, count + 1)
    kept += distinct(shifted, fixed.foreground_um, APART_LYING * fixed.radius_um, count)
    if _is_wider(fixed, moving):
        placed = _ranked(similarity, _preferred(similarity, _everywhere(lying[:3, :3], fixed, moving)), allowed)
        kept += distinct(placed, fixed.foreground_um, APART_LYING * fixed.radius_um, count)
    return [candidate.matrix for candidate in kept]


def nudged(start: Matrix4, fixed: Prepared) -> list[Matrix4]:
    """A start, and six more turned and shifted a little about each axis, to see whether all end in one place."""
    out = [start]
    for vector in np.concatenate([np.eye(3), -np.eye(3)]):
        shift = np.roll(vector, 1) * NUDGE * fixed.radius_um
        turn = (vector * np.deg2rad(NUDGE_DEG)).tolist()
        out.append(start @ Affine.rigid(turn, shift.tolist(), fixed.centre_um.tolist()).matrix)
    return out


def distinct(candidates: Iterable[Candidate], points_um: Points, apart_um: float, count: int) -> list[Candidate]:
    """The first ``count`` candidates that bring the points to places further apart than ``apart_um``."""
    kept: list[Candidate] = []
    for candidate in candidates:
        if len(kept) == count:
            break
        if all(disagreement(candidate.matrix, other.matrix, points_um) > apart_um for other in kept):
            kept.append(candidate)
    return kept


def disagreement(a: Matrix4, b: Matrix4, points_um: Points) -> float:
    """The mean distance in µm between where two transforms bring the same points."""
    difference = points_um @ (a - b)[:3, :3].T + (a - b)[:3, 3]
    return float(np.linalg.norm(difference, axis=1).mean())


def _ranked(similarity: Similarity, matrices: Matrices, allowed: Allowed) -> Iterator[Candidate]:
    """Those that may be, best first."""
    scores, overlaps = similarity.rank(matrices)
    order = np.argsort(-scores, kind="stable")
    return (Candidate(matrices[i], scores[i], overlaps[i]) for i in order if allowed(matrices[i], overlaps[i]))


def _lying(fixed: Prepared, moving: Prepared, similarity: Similarity, allowed: Allowed) -> Matrix4:
    """The identity; where the volumes lie apart in the world, the middles of the fields laid on each other."""
    out = np.eye(4)
    if not allowed(out, similarity.value(out)[1]):
        out[:3, 3] = (moving.grid.centre_um - fixed.grid.centre_um)[0]
    return out


def _mirror(fixed: Prepared) -> Matrix4:
    out = np.eye(4)
    out[:3, :3] = MIRROR
    out[:3, 3] = fixed.centre_um - MIRROR @ fixed.centre_um
    return out


def _placed(rotations: Float64[np.ndarray, "r 3 3"], fixed: Prepared, moving: Prepared) -> Matrices:
    """x ↦ R (x − c_f) + c_m for each rotation and each pair of like centres."""
    out = []
    for centre_f, centre_m in zip(fixed.centres_um, moving.centres_um, strict=True):
        matrices = np.tile(np.eye(4), (len(rotations), 1, 1))
        matrices[:, :3, :3] = rotations
        matrices[:, :3, 3] = centre_m - rotations @ centre_f
        out.append(matrices)
    return np.concatenate(out)


def _shifted(lying: Matrix4, rotations: Float64[np.ndarray, "r 3 3"], fixed: Prepared) -> Matrices:
    """Small rotations about the fixed specimen's middle with a lattice of shifts, before ``lying``."""
    small = rotations[np.trace(rotations, axis1=1, axis2=2) > 1 + 2 * np.cos(np.deg2rad(SMALL_DEG))]
    small = np.concatenate([small, _tilts()])
    steps = [_steps(float(deviation), fixed.radius_um) for deviation in fixed.foreground_um.std(axis=0)]
    shifts = np.stack(np.meshgrid(*steps, indexing="ij"), -1).reshape(-1, 3)
    matrices = np.tile(np.eye(4), (len(small), len(shifts), 1, 1))
    matrices[..., :3, :3] = small[:, None]
    matrices[..., :3, 3] = (fixed.centre_um - small @ fixed.centre_um)[:, None] + shifts
    out: Matrices = lying @ matrices.reshape(-1, 4, 4)
    return out


def _widths(prepared: Prepared) -> Float64[np.ndarray, " 3"]:
    """Of the field, along the world's axes."""
    widths: Float64[np.ndarray, " 3"] = np.abs(prepared.grid.axes) @ np.asarray(prepared.grid.extent_um)
    return widths


def _is_wider(fixed: Prepared, moving: Prepared) -> bool:
    return bool(np.median(np.sort(_widths(moving)) / np.sort(_widths(fixed))) > WIDER)


def _everywhere(linear: Matrix3, fixed: Prepared, moving: Prepared) -> Matrices:
    """The fixed field's middle laid on all places of the moving field; turned a little too if these are not many."""
    step, room = PLACE * _widths(fixed), _widths(moving) - 0.5 * _widths(fixed)
    counts = np.maximum(1, np.ceil(room / step)).astype(int)
    turns = _tilts() if counts.prod() * 27 <= MOST_PLACES else np.eye(3)[None]
    most = int(MOST_PLACES / len(turns))
    if counts.prod() > most:
        counts = np.maximum(1, counts * (most / counts.prod()) ** (1 / 3)).astype(int)
    places = np.stack(np.meshgrid(*[(np.arange(n) + 0.5) / n - 0.5 for n in counts], indexing="ij"), -1).reshape(-1, 3)
    out = np.tile(np.eye(4), (len(turns), len(places), 1, 1))
    turned = turns @ linear
    out[..., :3, :3] = turned[:, None]
    out[..., :3, 3] = moving.grid.centre_um + places * room - (turned @ fixed.grid.centre_um[0])[:, None]
    matrices: Matrices = out.reshape(-1, 4, 4)
    return matrices


def _preferred(similarity: Similarity, matrices: Matrices) -> Matrices:
    """The best of very many, by a few of the samples."""
    few = np.zeros(len(similarity.samples.bins), bool)
    few[:: max(1, len(few) // PLACE_SAMPLES)] = True
    scores, overlaps = similarity.only(few).rank(matrices)
    best: Matrices = matrices[np.argsort(-np.where(overlaps > 0.5, scores, 0.0), kind="stable")[:RANKED]]
    return best


def _tilts() -> Float64[np.ndarray, "27 3 3"]:
    angles = np.deg2rad([-TILT_DEG, 0.0, TILT_DEG])
    out: Float64[np.ndarray, "27 3 3"] = Rotation.from_rotvec(
        np.stack(np.meshgrid(angles, angles, angles, indexing="ij"), -1).reshape(-1, 3)
    ).as_matrix()
    return out


def _steps(deviation_um: float, radius_um: float) -> Float64[np.ndarray, " s"]:
    """Shifts along one world axis, half the specimen's deviation along it apart: a thin slab needs small ones."""
    reach = REACH * radius_um
    number = int(np.clip(np.ceil(reach / max(0.5 * deviation_um, 1e-6 * radius_um)), 2, MOST_STEPS))
    return np.arange(-number, number + 1) * (reach / number)
