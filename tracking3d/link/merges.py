"""Merged detections as one choice each: two cells pass through one detection, at the weighted mean of their places."""

from __future__ import annotations

from math import exp, log, pi
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracking3d.link.grid import Grid, grid, nearest_within
from tracking3d.link.jumps import Jumps
from tracking3d.link.likelihood import Rates, Volumes, appearing, vanishing
from tracking3d.link.motion import Motion, log_student, student_scale
from tracking3d.link.packing import HOPELESS, Bundles
from tracking3d.link.scene import Scene
from volumes.jit import inlined, kernel
from volumes.shapes import Points

NEAREST = 8
"""Jumps about a cell that may pass through it."""
REACH = 1.35
"""How far they may be from it, in local spacings."""
KEPT = 3
"""Merges kept of each cell, the likeliest."""
UNSURE, BLIND = 0.05, 0.12
"""Deviation of one cell's share of the merged volume from the expected share, with volumes and without."""
TRUSTED = 10.0
"""Merges that the assumed habits weigh as much as."""
CELLS = 100.0
"""Cells that the assumed rate weighs as much as."""
SPURIOUS = 3e-3
"""Share of cells that crowds alone make look merged; only merges beyond it speak for more."""


class Joining(NamedTuple):
    """How cells are merged; the defaults are what is assumed before any merge is seen.

    Parameters
    ----------
    rate : probability that a detection is two cells.
    middle : Student scale of the detection about the weighted mean of the two places, in that of a link.
    whole, whole_spread : mean and deviation of the log of its volume over the sum of theirs.
    """

    rate: float = 3e-4
    middle: float = 0.7
    whole: float = 0.0
    whole_spread: float = 0.2


ASSUMED = Joining()
"""What is assumed of merges before any is seen."""


class _Cells(NamedTuple):
    """What speaks for and against each cell as a merged one.

    Parameters
    ----------
    zyx : (n, 3) centres, µm.
    reach : (n,) how far ways that pass through may be, µm.
    log_volume : (n,) NaN where unknown.
    log_stranger : (n,) log density of the volume among strangers, 0 where unknown.
    alone : (n,) log odds of a merge over the cell's being a track of its own.
    price : (n,) what each cell is worth elsewhere at least, as a parent and as a child together.
    """

    zyx: Points
    reach: NDArray[np.float64]
    log_volume: NDArray[np.float64]
    log_stranger: NDArray[np.float64]
    alone: NDArray[np.float64]
    price: NDArray[np.float64]


class Merges(NamedTuple):
    """Merges that may be.

    Parameters
    ----------
    cell : (k,) the merged detection.
    larger, smaller : (k, 3) the two ways through it (cell before, cell after, sister of the latter or −1).
    whole : (k, 2) whether the cell of each way divides after the detection, so that both sisters come out of it.
    squared : (k,) squared distance of the detection from the weighted mean of the two places, µm².
    grown : (k,) log of its volume over the sum of theirs, NaN where one is unknown.
    gain : (k,) log odds over strangers, above 0.
    """

    cell: NDArray[np.int64]
    larger: NDArray[np.int64]
    smaller: NDArray[np.int64]
    whole: NDArray[np.bool_]
    squared: NDArray[np.float64]
    grown: NDArray[np.float64]
    gain: NDArray[np.float64]

    def take(self, rows: NDArray[np.bool_]) -> Merges:
        """Those where ``rows`` (k,) holds."""
        return Merges(
            self.cell[rows],
            self.larger[rows],
            self.smaller[rows],
            self.whole[rows],
            self.squared[rows],
            self.grown[rows],
            self.gain[rows],
        )

    def bundles(self, n: int) -> Bundles:
        """The places among n cells that each claims: all that go in as parents, all that come out as children."""
        out = np.column_stack([self.cell, self.larger[:, 1:], self.smaller[:, 1:]])
        into = np.column_stack([self.larger[:, 0], self.cell, self.smaller[:, 0]])
        place = np.concatenate([into, np.where(out >= 0, n + out, -1)], axis=1)
        start = np.concatenate([[0], np.cumsum((place >= 0).sum(axis=1))])
        return Bundles(start, place[place >= 0], self.gain)

    def jumped(self, parent: NDArray[np.int64]) -> None:
        """Write the parents of all cells that come out, over the frame of the merge, into parents (n,)."""
        for before, after, sister in np.concatenate([self.larger, self.smaller]):
            parent[after] = before
            if sister >= 0:
                parent[sister] = before

    def passed(self, parent: NDArray[np.int64]) -> None:
        """Let the larger cell of each pass through the detection in parents (n,) that jump over it."""
        parent[self.cell] = self.larger[:, 0]
        parent[self.larger[:, 1]] = self.cell
        sister = self.larger[:, 2]
        both = (sister >= 0) & self.whole[:, 0]
        parent[sister[both]] = self.cell[both]

    def swallowed(self, n: int) -> NDArray[np.int64]:
        """(n,) the detection in which a cell was merged on the way from its parent to here, −1 for none."""
        out = np.full(n, -1)
        out[self.smaller[:, 1]] = self.cell
        both = (self.smaller[:, 2] >= 0) & self.whole[:, 1]
        out[self.smaller[both, 2]] = self.cell[both]
        return out


_NOBODY, _NOTHING, _NO_WAY = np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 3), np.int64)
NONE = Merges(_NOBODY, _NO_WAY, _NO_WAY, np.zeros((0, 2), bool), _NOTHING, _NOTHING, _NOTHING)
"""No merges at all."""


def merges(
    scene: Scene,
    ways: Jumps,
    motion: Motion,
    volume: Volumes,
    rates: Rates,
    habits: Joining,
    price: NDArray[np.float64] | None = None,
) -> Merges:
    """The likeliest merges of each cell among the jumps about it.

    With prices (2 n,) of the cells as parents and as children, none of those that fall far short of them.

    The gain of two jumps of gains G₁, G₂, places x₁, x₂ and volumes V₁, V₂ through a cell at x of volume V is

    G₁ + G₂ + log rate + log t(x − w x₁ − (1 − w) x₂; σ) − log ρ − log p_appear − log p_vanish
    + log N(log V/(V₁ + V₂); whole) − log p(log V), where the share w of the first is V₁/(V₁ + V₂) or ½, give or take
    a deviation that widens the Student t along x₁ − x₂. The cell whose share is likelier the larger passes through.
    """
    n = len(scene)
    asked = np.zeros(2 * n) if price is None else price
    cells = _Cells(
        scene.zyx,
        REACH * scene.spacing,
        scene.log_volume,
        volume.log_stranger,
        log(habits.rate) - appearing(scene, rates) - vanishing(scene, rates) - scene.log_density,
        asked[:n] + asked[n:],
    )
    first = np.append(np.searchsorted(ways.frame, scene.frames), len(ways.frame))
    scaled = habits._replace(middle=habits.middle * float(motion.scale[0]))
    short = _asked(ways.cells, asked) - ways.gain
    row, pair, squared, grown, gain = _likeliest(scene.first, cells, grid(ways.zyx, first), first, ways, short, scaled)
    larger, smaller = pair.T
    sides = np.column_stack([ways.whole[larger], ways.whole[smaller]])
    return Merges(row, ways.cells[larger], ways.cells[smaller], sides, squared, grown, gain)


def _asked(ways: NDArray[np.int64], price: NDArray[np.float64]) -> NDArray[np.float64]:
    """(j,) what the cells of each way (j, 3) are priced at, the first as a parent, the others as children."""
    child = price[len(price) // 2 :]
    sister = np.where(ways[:, 2] >= 0, child[ways[:, 2]], 0.0)
    return np.asarray(price[ways[:, 0]] + child[ways[:, 1]] + sister)


def learnt_joining(merged: Merges, motion: Motion, cells: int, assumed: Joining = ASSUMED) -> Joining:
    """Habits of the merges already made among so many cells, leaning on the assumed ones."""
    step = float(motion.scale[0])
    away = np.column_stack([np.sqrt(merged.squared), np.zeros((len(merged.gain), 2))])
    grown = merged.grown[np.isfinite(merged.grown)]
    weight = len(grown) + TRUSTED
    whole = (grown.sum() + TRUSTED * assumed.whole) / weight
    squares = ((grown - whole) ** 2).sum() + TRUSTED * (assumed.whole_spread**2 + (assumed.whole - whole) ** 2)
    return Joining(
        (max(0.0, len(merged.gain) - SPURIOUS * cells) + CELLS * assumed.rate) / (cells + CELLS),
        student_scale(away, assumed.middle * step) / step,
        float(whole),
        float(np.sqrt(squares / weight)),
    )


@kernel
def _likeliest(
    frames: NDArray[np.int64],
    cells: _Cells,
    boxes: Grid,
    first: NDArray[np.int64],
    ways: Jumps,
    short: NDArray[np.float64],
    habits: Joining,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The best merges of each cell: cell (k,), ways of the larger and the smaller (k, 2), and the figures of each.

    Cells of a frame begin at ``frames`` (f + 1,), the ways over it at ``first`` (f + 1,); ``short`` (j,) is by how much
    each way falls short of its cells' prices.
    """
    room = KEPT * len(cells.zyx)
    cell, pair, made = np.empty(room, np.int64), np.empty((room, 2), np.int64), np.empty((room, 3))
    near, away = np.empty(NEAREST, np.int64), np.empty(NEAREST)
    count = 0
    for f in range(len(frames) - 1):
        if first[f + 1] - first[f] < 2:
            continue
        least = 2 * short[first[f] : first[f + 1]].min()
        for m in range(frames[f], frames[f + 1]):
            spare = _at_most(m, cells, habits) - cells.price[m] + HOPELESS
            if spare <= least:
                continue
            begin = count
            about = nearest_within(boxes, f, cells.zyx[m], cells.reach[m], near, away)
            for i in range(about):
                for j in range(i):
                    one, other = near[j], near[i]
                    if spare <= short[one] + short[other] or not _apart(m, ways.cells[one], ways.cells[other]):
                        continue
                    share, squared, grown, odds = _joined(m, one, other, ways, cells, habits)
                    odds += cells.alone[m]
                    gain = odds + ways.gain[one] + ways.gain[other]
                    if gain <= 0.0 or odds - cells.price[m] + HOPELESS <= short[one] + short[other]:
                        continue
                    if count == begin + KEPT and gain <= made[count - 1, 2]:
                        continue
                    at = min(count, begin + KEPT - 1)
                    count = at + 1
                    while at > begin and made[at - 1, 2] < gain:
                        pair[at], made[at] = pair[at - 1], made[at - 1]
                        at -= 1
                    pair[at, 0 if share >= 0.5 else 1] = one
                    pair[at, 1 if share >= 0.5 else 0] = other
                    made[at, 0], made[at, 1], made[at, 2] = squared, grown, gain
            cell[begin:count] = m
    made = made[:count].copy()
    return cell[:count].copy(), pair[:count].copy(), made[:, 0], made[:, 1], made[:, 2]


@inlined
def _at_most(cell: int, cells: _Cells, habits: Joining) -> float:
    """Log odds that no two ways through a cell exceed, besides their own gains."""
    most = cells.alone[cell] + log_student(0.0, habits.middle)
    if np.isfinite(cells.log_volume[cell]):
        most += max(0.0, -log(habits.whole_spread) - 0.5 * log(2 * pi) - cells.log_stranger[cell])
    return float(most)


@inlined
def _apart(cell: int, one: NDArray[np.int64], other: NDArray[np.int64]) -> bool:
    """Whether two ways have no cell in common, and the cell between is no sister in either."""
    apart = one[0] != other[0] and one[2] != cell and other[2] != cell
    for i in range(1, 3):
        for j in range(1, 3):
            apart &= one[i] != other[j] or one[i] < 0
    return bool(apart)


@inlined
def _joined(
    cell: int, first: int, second: int, ways: Jumps, cells: _Cells, habits: Joining
) -> tuple[float, float, float, float]:
    """Share of the first way in a cell, squared distance from the weighted mean, growth, log odds besides the ways'."""
    one, other = ways.log_volume[first], ways.log_volume[second]
    known = np.isfinite(one) and np.isfinite(other)
    share, unsure = (1 / (1 + exp(other - one)), UNSURE) if known else (0.5, BLIND)
    apart, along, away = 1e-300, 0.0, 0.0
    for axis in range(3):
        across = ways.zyx[first, axis] - ways.zyx[second, axis]
        offset = cells.zyx[cell, axis] - ways.zyx[second, axis]
        apart += across * across
        along += across * offset
        away += offset * offset
    # Along the line between the two places, the share's own deviation adds to that of the place.
    widened = 1 + unsure * unsure * apart / habits.middle**2
    off = along / apart - share
    squared = max(0.0, away - along * along / apart) + off * off * apart / widened
    odds = log_student(squared, habits.middle) - 0.5 * log(widened)
    grown = np.nan
    if known and np.isfinite(cells.log_volume[cell]):
        grown = cells.log_volume[cell] - log(exp(one) + exp(other))
        sigma = (grown - habits.whole) / habits.whole_spread
        odds -= 0.5 * sigma * sigma + log(habits.whole_spread) + 0.5 * log(2 * pi) + cells.log_stranger[cell]
    return share + off * (1 - 1 / widened), squared, grown, odds
