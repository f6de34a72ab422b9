"""Nuclei side by side: placed at random, then pushed apart until they touch without overlapping.

Two bodies are apart when a plane across the line of their centres parts them,
``|c_i − c_j| ≥ h_i(û) + h_j(−û)``, with the support ``h(û) = κ (|Fᵀû| r(v̂) − Fᵀû · g)``, ``v̂ = Fᵀû / |Fᵀû|``, of the
bodies of :mod:`phantom.cells.cells` (exact for ellipsoids, to first order in the bumps). Random sequential placing jams
far below the density of tissue, so what it leaves is relaxed by pairwise projections (Jodrey & Tory 1985, "Computer
simulation of close random packing of equal spheres", Physical Review A 32).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from phantom.cells.cells import Cells
from phantom.cells.room import Room, trilinear
from phantom.cells.shape import normalised, radius
from volumes.errors import ConfigError
from volumes.jit import inlined, kernel
from volumes.shapes import AnyArray, Points

TOLERANCE = 0.02
"""Largest overlap that is left, as a share of the smaller radius."""
DENSEST = 0.62
"""No random packing of round bodies is denser; more is refused at once."""
CLOSEST = 0.8
"""Places are drawn so that spheres overlap by up to a fifth: pushed apart, such pairs touch, as cells in tissue do."""
ROUNDS = 40
"""Draws for each cell, :data:`WALL` radii deep; in the last quarter also among others, then anywhere that lives."""
REBUILDS = 150
"""Lists of neighbours before it is said that there is no room."""
SWEEPS = 60
"""Sweeps over one list of neighbours, before it is made anew."""
WALL = 0.5
"""A centre keeps so many radii below the tissue's surface, unless it lay less deep before."""
YIELD = 0.05
"""So many radii that distance shrinks where nuclei are crowded. One that is pushed out of the tissue is put back,
and for once pushes the others without giving way."""
KICK = 0.2
"""So many radii beside it, if no wall lets it slide, so that two wedged nuclei come free."""
SKIN = 0.3
"""Pairs further apart than their reach are listed up to this share of the median radius."""


@dataclass(frozen=True, eq=False)
class _Bodies:
    """What the loops need of the cells, in their order of arguments."""

    frame: AnyArray
    bumps: AnyArray
    scale: AnyArray
    shift: AnyArray
    radius: AnyArray

    @classmethod
    def of(cls, cells: Cells) -> _Bodies:
        scale, shift = normalised(cells.bumps)
        return cls(
            np.ascontiguousarray(cells.frame_um), np.ascontiguousarray(cells.bumps), scale, shift, cells.radius_um
        )

    @property
    def arrays(self) -> tuple[AnyArray, AnyArray, AnyArray, AnyArray, AnyArray]:
        return self.frame, self.bumps, self.scale, self.shift, self.radius


def placed(cells: Cells, room: Room, rng: np.random.Generator) -> Points:
    """Places (n, 3) µm for cells, whatever their centres are: at random in living tissue, without overlap.

    Raises
    ------
    ConfigError : there is no room for so many; it says how many would fit.
    """
    fill = float(cells.volume_um3.sum()) / room.volume_um3
    if fill > DENSEST:
        raise _no_room(len(cells), int(len(cells) * 0.5 / fill))
    centre = np.zeros((len(cells), 3))
    is_placed = np.zeros(len(cells), bool)
    for k in range(ROUNDS):
        todo = np.flatnonzero(~is_placed)
        if not len(todo):
            break
        new = room.drawn(len(todo), rng)
        deep = room.depth(new) >= WALL * cells.radius_um[todo]
        todo = todo[deep]
        centre[todo] = new[deep]
        fine = _apart(centre, cells.radius_um, np.flatnonzero(is_placed), todo)
        is_placed[todo[fine | (k >= ROUNDS * 3 // 4)]] = True
    left = np.flatnonzero(~is_placed)
    centre[left] = room.drawn(len(left), rng)
    return relaxed(_at(cells, centre), room, centre)


def _apart(centre: Points, radius_um: AnyArray, old: NDArray[np.int64], new: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of the new ones are far enough from all old ones and from the new ones before them."""
    order = np.concatenate([old, new])
    pairs = cKDTree(centre[order]).query_pairs(2 * CLOSEST * float(radius_um.max()), output_type="ndarray")
    first, second = order[pairs[:, 0]], order[pairs[:, 1]]
    gap = np.linalg.norm(centre[first] - centre[second], axis=1) - CLOSEST * (radius_um[first] + radius_um[second])
    later = np.maximum(pairs[:, 0], pairs[:, 1])[gap < 0]
    fine = np.ones(len(order), bool)
    fine[later] = False
    return np.asarray(fine[len(old) :])


def relaxed(cells: Cells, room: Room, home: Points) -> Points:
    """Their centres (n, 3) after little pushing that parts all pairs and keeps all of them in living tissue.

    Parameters
    ----------
    cells : the bodies, which may overlap.
    room : where they may be: centres always in living tissue, and :data:`WALL` radii deep where there is room.
    home : a living place of each one, (n, 3) µm: where it was before it moved.

    Raises
    ------
    ConfigError : no room; it says how many would fit.
    """
    centre, crowded = pushed(cells, room, home, REBUILDS)
    if len(crowded):
        deepest = -gaps(_at(cells, centre)).clip(-1, 0)
        raise _no_room(len(cells), int(len(cells) * (1 - float(deepest.mean()) / 2) ** 3))
    return centre


def pushed(cells: Cells, room: Room, home: Points, rebuilds: int) -> tuple[Points, NDArray[np.int64]]:
    """As :func:`relaxed`, but where there is no room it also says for which pairs of rows, (m, 2).

    Parameters
    ----------
    rebuilds : lists of neighbours that are made before it gives up.
    """
    bodies, reach = _Bodies.of(cells), cells.reach_um
    centre: Points = np.clip(cells.centre_um, room.low_um, room.high_um)
    need = np.clip(room.depth(home), 0.0, WALL * cells.radius_um)
    skin = SKIN * float(np.median(cells.radius_um)) if len(cells) else 0.0
    walls = (room.depth_um, room.low_um, room.high_um, room.step_um, need)
    for k in range(rebuilds + 1):
        outside = ~room.tissue.living(centre)
        centre[outside] = _back(room, centre[outside], home[outside], KICK * cells.radius_um[outside], k)
        home = centre.copy()
        pairs = _near(centre, reach, skin)
        crowded = pairs[_overlaps(centre, *bodies.arrays, pairs) > TOLERANCE]
        if not len(crowded) or k == rebuilds:
            break
        need[outside] = np.minimum(need, room.depth(home))[outside]
        tight = np.unique(crowded)
        need[tight] -= YIELD * cells.radius_um[tight] * (need[tight] > 0)
        _settle(centre, *bodies.arrays, pairs, ~outside, *walls, skin / 2)
    return centre, crowded


def _back(room: Room, centre: Points, home: Points, kick_um: AnyArray, seed: int) -> Points:
    """Living places of those that left: slid along the walls of voxels, or else beside the last place inside."""
    kicks = np.random.default_rng(seed).standard_normal(centre.shape)
    kicks *= (kick_um / np.linalg.norm(kicks, axis=1))[:, None]
    tries = [np.where(np.arange(3) == axis, home, centre) for axis in range(3)]
    tries += [np.where(np.arange(3) == axis, centre, home) for axis in range(3)]
    out, found = home.copy(), np.zeros(len(centre), bool)
    for tried in [*tries, home + kicks]:
        living = room.tissue.living(tried) & room.holds(tried) & ~found
        out[living], found[living] = tried[living], True
    return out


def gaps(cells: Cells) -> NDArray[np.float64]:
    """Distance of each nucleus to its nearest neighbour, surface to surface along their centres, in radii of its own.

    Returns (n,): negative where they overlap, infinite where nothing is near (within one radius).
    """
    pairs = _near(cells.centre_um, cells.reach_um, float(cells.radius_um.max(initial=0.0)))
    bodies = _Bodies.of(cells)
    overlap = _overlaps(cells.centre_um, *bodies.arrays, pairs)
    apart = -overlap * np.minimum(cells.radius_um[pairs[:, 0]], cells.radius_um[pairs[:, 1]])
    nearest = np.full(len(cells), np.inf)
    for side in (0, 1):
        np.minimum.at(nearest, pairs[:, side], apart)
    return nearest / cells.radius_um


def largest_overlap(cells: Cells) -> float:
    """The largest overlap of any pair, as a share of the smaller radius; 0 where none overlaps."""
    overlap = _overlaps(cells.centre_um, *_Bodies.of(cells).arrays, _near(cells.centre_um, cells.reach_um, 0.0))
    return float(overlap.max(initial=0.0))


def _at(cells: Cells, centre: Points) -> Cells:
    return Cells(**{name: getattr(cells, name) for name in cells.__dataclass_fields__} | {"centre_um": centre})


def _near(centre: Points, reach: AnyArray, skin: float) -> NDArray[np.int64]:
    """Pairs (m, 2) that may touch after moving by half the skin each."""
    if len(centre) < 2:
        return np.zeros((0, 2), np.int64)
    pairs = cKDTree(centre).query_pairs(2 * float(reach.max()) + skin, output_type="ndarray").astype(np.int64)
    away = np.linalg.norm(centre[pairs[:, 0]] - centre[pairs[:, 1]], axis=1)
    return np.asarray(pairs[away < reach[pairs[:, 0]] + reach[pairs[:, 1]] + skin])


def _no_room(wanted: int, fit: int) -> ConfigError:
    return ConfigError(
        f"there is no room for {wanted} nuclei without overlap",
        field="density",
        value=wanted,
        remedy=f"About {fit} would fit: ask for fewer, smaller or rounder ones, or for a larger field",
    )


@inlined
def _way(a: AnyArray, b: AnyArray) -> tuple[float, float, float, float]:
    """Distance and unit vector from a to b; along z where they are at one place."""
    z, y, x = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    away = np.sqrt(z * z + y * y + x * x)
    if away < 1e-9:
        return 1e-9, 1.0, 0.0, 0.0
    return away, z / away, y / away, x / away


@inlined
def _support(frame: AnyArray, bumps: AnyArray, scale: float, shift: AnyArray, z: float, y: float, x: float) -> float:
    vz = frame[0, 0] * z + frame[1, 0] * y + frame[2, 0] * x
    vy = frame[0, 1] * z + frame[1, 1] * y + frame[2, 1] * x
    vx = frame[0, 2] * z + frame[1, 2] * y + frame[2, 2] * x
    n = np.sqrt(vz * vz + vy * vy + vx * vx)
    return float(scale * (n * radius(bumps, vz / n, vy / n, vx / n) - vz * shift[0] - vy * shift[1] - vx * shift[2]))


@kernel
def _overlaps(
    centre: AnyArray,
    frame: AnyArray,
    bumps: AnyArray,
    scale: AnyArray,
    shift: AnyArray,
    size: AnyArray,
    pairs: AnyArray,
) -> AnyArray:
    """How deep each pair overlaps, in smaller radii; negative where it is apart, (m,)."""
    out = np.empty(pairs.shape[0])
    for p in range(pairs.shape[0]):
        i, j = pairs[p, 0], pairs[p, 1]
        away, z, y, x = _way(centre[i], centre[j])
        both = _support(frame[i], bumps[i], scale[i], shift[i], z, y, x)
        both += _support(frame[j], bumps[j], scale[j], shift[j], -z, -y, -x)
        out[p] = (both - away) / min(size[i], size[j])
    return out


@kernel
def _settle(
    centre: AnyArray,
    frame: AnyArray,
    bumps: AnyArray,
    scale: AnyArray,
    shift: AnyArray,
    size: AnyArray,
    pairs: AnyArray,
    free: AnyArray,
    depth: AnyArray,
    low: AnyArray,
    high: AnyArray,
    step: AnyArray,
    need: AnyArray,
    slack: float,
) -> None:
    """Pushes pairs apart and nuclei off the walls, in turn, until all is well or one has moved beyond the slack."""
    start = centre.copy()
    for _ in range(SWEEPS):
        worst = 0.0
        for p in range(pairs.shape[0]):
            i, j = pairs[p, 0], pairs[p, 1]
            away, z, y, x = _way(centre[i], centre[j])
            both = _support(frame[i], bumps[i], scale[i], shift[i], z, y, x)
            both += _support(frame[j], bumps[j], scale[j], shift[j], -z, -y, -x)
            if both <= away or not (free[i] or free[j]):
                continue
            worst = max(worst, (both - away) / min(size[i], size[j]))
            push = 1.01 * (both - away) / (1.0 * free[i] + 1.0 * free[j])
            for cell, way in ((i, -push * free[i]), (j, push * free[j])):
                centre[cell, 0] += way * z
                centre[cell, 1] += way * y
                centre[cell, 2] += way * x
        furthest = 0.0
        for i in range(centre.shape[0]):
            value, z, y, x = trilinear(depth, low, step, centre[i, 0], centre[i, 1], centre[i, 2])
            steep = np.sqrt(z * z + y * y + x * x)
            if free[i] and value < need[i] and steep > 1e-6:
                push = min(need[i] - value, size[i]) / steep
                centre[i, 0] += push * z
                centre[i, 1] += push * y
                centre[i, 2] += push * x
            moved = 0.0
            for a in range(3):
                centre[i, a] = min(max(centre[i, a], low[a]), high[a])
                moved += (centre[i, a] - start[i, a]) ** 2
            furthest = max(furthest, moved)
        if worst < 0.5 * TOLERANCE or furthest > slack * slack:
            return
