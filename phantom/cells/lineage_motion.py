"""Cells that live as a real lineage says: where each was, when it divided, when it was lost."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.spatial import cKDTree

from phantom.cells.cells import Cells
from phantom.cells.divisions import SPLIT_SPREAD, daughters
from phantom.cells.lives import Lives, Looks, joined, newborn, put
from phantom.cells.motion import MotionSettings, Positive
from phantom.cells.packing import relaxed
from phantom.cells.room import Room
from phantom.lineage import Lineage, read_lineage
from volumes.errors import ConfigError
from volumes.shapes import Points

log = logging.getLogger(__name__)

UNEVEN = 0.1
"""A daughter's share of the mother's volume strays at most so far from one half, whatever the table's radii say."""
SNUG = 1 - 1e-9
"""A table that is fitted to the room is this much smaller, so that rounding leaves no cell outside."""
CROWDED = 10.0
"""Percentile of the nearest neighbours' distances to which a table's radii are shrunk; what is left is pushed apart."""


class LineageMotionConfig(MotionSettings):
    """A lineage table (columns id, t, z, y, x, parent, and radius if known); its frames are the simulated moments."""

    kind: Literal["lineage"] = "lineage"
    file: Path = Field(description="CSV table, also .csv.gz; relative to the config's folder")
    first_frame: int = Field(0, ge=0, description="frame of the table that is the first moment")
    scale: Positive | None = Field(
        None, description="µm for each unit of the table; left out: so that these frames fit the field"
    )


@dataclass(frozen=True, eq=False)
class _Course:
    """The table as cells: one row for each cell in each frame, gaps filled.

    Parameters
    ----------
    frame, cell, zyx : of each row, (n,), (n,), (n, 3); places in the table's unit.
    mother : of each cell, −1 at a root, (cells,); a mother stands before her daughters.
    radius : of each cell, its median, (cells,); None where the table has none.
    """

    frame: NDArray[np.int64]
    cell: NDArray[np.int64]
    zyx: Points
    mother: NDArray[np.int64]
    radius: NDArray[np.float64] | None

    def ends(self, last: bool) -> NDArray[np.int64]:
        """The first or the last frame of each cell, (cells,)."""
        out = np.full(len(self.mother), -1 if last else np.iinfo(np.int64).max)
        (np.maximum if last else np.minimum).at(out, self.cell, self.frame)
        return out


def followed(
    config: LineageMotionConfig,
    room: Room,
    times_s: NDArray[np.float64],
    looks: Looks,
    mitosis_s: float,
    own_radius: bool,
    rng: np.random.Generator,
) -> tuple[Cells, ...]:
    """The cells of a table at each moment; moment k is frame ``first_frame + k``.

    Places are scaled, and the middle of their bounding box is put into the middle of the room; cells outside the room
    or its living tissue are left out while they are there. Nuclei that would overlap are pushed apart, all others lie
    where the table says. Daughters share the mother's volume as the cubes of their radii in the table. A cell divides
    half-way between its last frame and its daughters' first; one that ends without daughters wilts before that.

    Parameters
    ----------
    own_radius : whether the table's radii count, if it has any: then a nucleus has 1 / ``looks.body`` of the cell's
        radius, all shrunk by one factor if they would overlap in more than a few places. Otherwise
        ``looks.radius_um`` is that of cells without a mother.

    Raises
    ------
    TableError : the table cannot be read.
    ConfigError : the table has fewer frames than there are moments, no cell is left, or there is no room.
    """
    course = _course(read_lineage(config.file, leave_out_unplaced=True), config, len(times_s))
    low, high = course.zyx.min(0), course.zyx.max(0)
    scale = config.scale or _fitting(high - low, room)
    places = (course.zyx - (low + high) / 2) * scale + (room.low_um + room.high_um) / 2
    lives = _cells(course, scale, looks, own_radius, rng)
    lives = _timed(lives, course, times_s)
    inside = room.holds(places) & room.tissue.living(places)
    if not inside.any():
        raise ConfigError("no cell of the table lies in living tissue", file=config.file, field="scale", value=scale)
    outside = int((~inside).sum())
    if outside:
        log.warning("%s: %d of %d places lie outside living tissue and are left out", config.file, outside, len(inside))
    rows = [np.flatnonzero((course.frame == k) & inside) for k in range(len(times_s))]
    if own_radius and course.radius is not None:
        lives = _shrunk(lives, [(course.cell[r], places[r]) for r in rows])
    moments = []
    for r, time_s in zip(rows, times_s.tolist(), strict=True):
        now = put(lives.rows(course.cell[r]), places[r]).seen(time_s, mitosis_s)
        moments.append(replace(now, centre_um=relaxed(now, room, places[r])))
    return tuple(moments)


def _course(lineage: Lineage, config: LineageMotionConfig, frames: int) -> _Course:
    """The table's rows of these frames, a number for each cell from birth to division."""
    first, last = config.first_frame, config.first_frame + frames - 1
    if not len(lineage) or last > lineage.t.max():
        raise ConfigError(
            f"has no frame {last}",
            file=config.file,
            field="frames",
            value=int(lineage.t.max(initial=-1)) + 1,
            remedy="Ask for fewer frames, or begin earlier",
        )
    parent = np.where((lineage.parent >= 0) & (lineage.t[lineage.parent] >= first), lineage.parent, -1)
    children = np.bincount(parent[parent >= 0], minlength=len(lineage))
    cell = np.full(len(lineage), -1)
    mother: list[int] = []
    frame, of, zyx = [], [], []
    shown = np.flatnonzero((lineage.t >= first) & (lineage.t <= last))
    for row in shown[np.argsort(lineage.t[shown], kind="stable")].tolist():
        up = int(parent[row])
        if up >= 0 and children[up] == 1:
            cell[row] = cell[up]
        else:
            cell[row] = len(mother)
            mother.append(int(cell[up]) if up >= 0 else -1)
        since = int(lineage.t[up]) if up >= 0 else int(lineage.t[row]) - 1
        steps = int(lineage.t[row]) - since
        for k in range(1, steps + 1):
            frame.append(since + k - first)
            of.append(int(cell[row]))
            zyx.append(
                lineage.zyx[row] if up < 0 else lineage.zyx[up] + (lineage.zyx[row] - lineage.zyx[up]) * k / steps
            )
    if not mother:
        raise ConfigError("has no cell in these frames", file=config.file, field="first_frame", value=first)
    radius = None
    if lineage.radius is not None:
        order = np.argsort(cell[shown], kind="stable")
        parts = np.split(lineage.radius[shown][order], np.flatnonzero(np.diff(cell[shown][order])) + 1)
        radius = np.array([np.median(part) for part in parts])
    return _Course(np.array(frame), np.array(of), np.array(zyx), np.array(mother), radius)


def _fitting(extent: NDArray[np.float64], room: Room) -> float:
    """The largest scale with which all places fit the room's box."""
    wide = extent > 0
    return SNUG * float(((room.high_um - room.low_um)[wide] / extent[wide]).min()) if wide.any() else 1.0


def _cells(course: _Course, scale: float, looks: Looks, own_radius: bool, rng: np.random.Generator) -> Lives:
    """All cells of the table, one row each: generation after generation, daughters from their mothers."""
    roots = np.flatnonzero(course.mother < 0)
    generation = newborn(len(roots), 1, looks, rng)
    if own_radius and course.radius is not None:
        radius = course.radius[roots] * scale / looks.body
        generation = replace(generation, radius_um=radius, full_um=radius)
    done, which = [generation], [roots]
    kids = _kids(course.mother)
    while (parents := np.flatnonzero(kids[which[-1], 0] >= 0)).size:
        pairs = kids[which[-1][parents]]
        both = daughters(done[-1].rows(parents), _shares(course, pairs, rng), 1, looks, rng)
        done.append(both.rows(pairs.ravel() >= 0))
        which.append(pairs[pairs >= 0])
    order = np.argsort(np.concatenate(which))
    lives = joined(done).rows(order)
    number = np.arange(1, len(lives) + 1, dtype=np.int32)
    return replace(lives, number=number, mother=(course.mother + 1).astype(np.int32))


def _kids(mother: NDArray[np.int64]) -> NDArray[np.int64]:
    """The daughters of each cell, (cells, 2); −1 where there is none, or none yet."""
    out = np.full((len(mother), 2), -1)
    for cell in np.flatnonzero(mother >= 0).tolist():
        out[mother[cell], int(out[mother[cell], 0] >= 0)] = cell
    return out


def _shares(course: _Course, pairs: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float64]:
    """The first daughter's share of the mother's volume, for each pair."""
    share = 0.5 + SPLIT_SPREAD * np.clip(rng.standard_normal(len(pairs)), -3, 3)
    if course.radius is not None:
        cubes = course.radius[pairs] ** 3
        share = np.where((pairs >= 0).all(1), cubes[:, 0] / cubes.sum(1), share)
    return np.clip(share, 0.5 - UNEVEN, 0.5 + UNEVEN)


def _timed(lives: Lives, course: _Course, times_s: NDArray[np.float64]) -> Lives:
    """The cells with the instants at which they are born, divide and end."""
    middle = np.concatenate([[-np.inf], (times_s[1:] + times_s[:-1]) / 2, [np.inf]])
    first, last = course.ends(False), course.ends(True)
    ends = middle[last + 1]
    divides = np.bincount(course.mother[course.mother >= 0], minlength=len(lives)) > 0
    return replace(
        lives,
        born_s=np.where(course.mother >= 0, middle[first], -np.inf),
        divides_s=np.where(divides, ends, np.inf),
        dies_s=np.where(divides, np.inf, ends),
    )


def _shrunk(lives: Lives, moments: list[tuple[NDArray[np.int64], Points]]) -> Lives:
    """The cells with all radii times the largest factor up to 1 that leaves most nearest neighbours room."""
    ratios = [np.ones(1)]
    for cell, places in moments:
        if len(cell) > 1:
            away, near = (np.asarray(found)[:, 1] for found in cKDTree(places).query(places, 2))
            ratios.append(away / (lives.radius_um[cell] + lives.radius_um[cell[near.astype(int)]]))
    factor = min(1.0, float(np.percentile(np.concatenate(ratios), CROWDED)))
    return replace(lives, radius_um=lives.radius_um * factor, full_um=lives.full_um * factor)
