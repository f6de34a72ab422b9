"""Links and late daughters that jump over a frame, and where their cell would have been in it."""

from __future__ import annotations

from math import log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracking3d.link.candidates import Candidates
from tracking3d.link.divisions import Triplets
from tracking3d.link.likelihood import Rates
from tracking3d.link.scene import Scene
from volumes.jit import inlined, kernel
from volumes.shapes import Points

SEPARATED = 0.8
"""Share of a daughter's way from its mother that lies behind it one frame after the division."""


USUAL = 4.0
"""Nats by which two links through one cell usually fall short of ideal ones; where no more is lacking, none jumps."""


class Jumps(NamedTuple):
    """Ways over a frame without a detection of their own, ordered by that frame.

    Parameters
    ----------
    cells : (j, 3) the cell before, the one after, and the sister of the latter, −1 where nothing divides.
    whole : (j,) whether both sisters come after the frame, so that their mother is what passes through it.
    frame : (j,) the frame that is jumped over; it holds other cells.
    zyx : (j, 3) where the cell would have been, µm.
    log_volume : (j,) natural logarithm of its volume, NaN unknown.
    gain : (j,) log odds of the link or the division; that the cell was missed in the frame is not counted.
    """

    cells: NDArray[np.int64]
    whole: NDArray[np.bool_]
    frame: NDArray[np.int64]
    zyx: Points
    log_volume: NDArray[np.float64]
    gain: NDArray[np.float64]


def jumps(scene: Scene, found: Candidates, gain: NDArray[np.float64], splits: Triplets, rates: Rates) -> Jumps:
    """Jumps of candidate links (m,) of some gain, and of divisions, for which no cell in between is a likelier way."""
    made = [_of_links(scene, found, gain, rates), *_of_divisions(scene, splits)]
    cells, whole, frame, zyx, volume, worth = (np.concatenate(column) for column in zip(*made, strict=True))
    order = np.argsort(frame, kind="stable")
    order = order[np.isin(frame[order], scene.frames)]
    worth = worth - log(rates.miss)
    return Jumps(cells[order], whole[order], frame[order], zyx[order], volume[order], worth[order])


def _of_links(scene: Scene, found: Candidates, gain: NDArray[np.float64], rates: Rates) -> Jumps:
    link = _unexplained(found.start, found.later, found.gap, gain, log(rates.miss))
    passed = found.gap[link] - 1
    step = np.arange(passed.sum()) - np.repeat(np.cumsum(passed) - passed, passed) + 1
    link = np.repeat(link, passed)
    before, after = found.earlier[link], found.later[link]
    share = (step / found.gap[link])[:, None]
    volume = _either(scene.log_volume[before], scene.log_volume[after])
    place = (1 - share) * scene.zyx[before] + share * scene.zyx[after]
    none = np.full(len(link), -1)
    cells = np.column_stack([before, after, none])
    return Jumps(cells, none >= 0, scene.t[before] + step, place, volume, gain[link])


def _of_divisions(scene: Scene, splits: Triplets) -> list[Jumps]:
    """Late daughters, and mothers whose daughters are both late."""
    out = []
    at, volume = scene.zyx, scene.log_volume
    late = scene.t[splits.cells[:, 1:]] - scene.t[splits.cells[:, :1]] == 2
    for own, other in ((0, 1), (1, 0)):
        row = np.flatnonzero(late[:, own])
        mother, daughter, sister = splits.cells[row][:, [0, 1 + own, 1 + other]].T
        place = (1 - SEPARATED) * at[mother] + SEPARATED * at[daughter]
        cells = np.column_stack([mother, daughter, sister])
        no = np.zeros(len(row), bool)
        out.append(Jumps(cells, no, scene.t[mother] + 1, place, volume[daughter], splits.gain[row]))
    row = np.flatnonzero(late.all(axis=1))
    mother, first, second = splits.cells[row].T
    place = at[mother] / 2 + (at[first] + at[second]) / 4
    out.append(Jumps(splits.cells[row], late[row, 0], scene.t[mother] + 1, place, volume[mother], splits.gain[row]))
    return out


def _either(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of both where both are known, else the one that is."""
    return np.where(np.isnan(one), other, np.where(np.isnan(other), one, (one + other) / 2))


@kernel
def _unexplained(
    start: NDArray[np.int64],
    later: NDArray[np.int64],
    gap: NDArray[np.int64],
    gain: NDArray[np.float64],
    log_miss: float,
) -> NDArray[np.int64]:
    """Links over a gap of a gain above 0 that no two links through a cell in between explain, the best of each."""
    out = [0 for _ in range(0)]
    for cell in range(len(start) - 1):
        k, end = start[cell], start[cell + 1]
        while k < end and gap[k] < 2:
            k += 1
        while k < end:
            best, second, step = -1, -1, gap[k]
            while k < end and gap[k] == step:
                if gain[k] > 0 and (best < 0 or gain[k] > gain[best]):
                    best, second = k, best
                elif gain[k] > 0 and (second < 0 or gain[k] > gain[second]):
                    second = k
                k += 1
            for link in (best, second):
                if link >= 0:
                    usual = 2 * (gain[link] - (step - 1) * log_miss) - USUAL
                    if not _through(start, later, gap, gain, cell, link, usual):
                        out.append(link)
    return np.array(out, np.int64)


@inlined
def _through(
    start: NDArray[np.int64],
    later: NDArray[np.int64],
    gap: NDArray[np.int64],
    gain: NDArray[np.float64],
    cell: int,
    k: int,
    least: float,
) -> bool:
    """Whether two links from a cell through another to where its link k leads gain more than ``least``."""
    for i in range(start[cell], start[cell + 1]):
        if gap[i] >= gap[k]:
            break
        for j in range(start[later[i]], start[later[i] + 1]):
            if gap[i] + gap[j] > gap[k]:
                break
            if later[j] == later[k] and gain[i] + gain[j] > least:
                return True
    return False
