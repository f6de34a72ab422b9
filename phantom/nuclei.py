"""A movie of fluorescent nuclei that move and divide, with the exact labels and the exact lineage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from phantom.imaging import Microscope
from phantom.lineage import Lineage
from phantom.population import Field, Nucleus, population
from volumes import Channel, Grid, TimeLapse, Volume
from volumes.errors import ConfigError
from volumes.shapes import Shape3, Triple, Voxels

FILL = 0.08
"""Share of the field that nuclei fill when their radius is left open."""
STEP = 0.2
"""Standard deviation of a step along each axis, as a share of the radius."""
COARSEST = 2.1
"""A radius is at least this many half diagonals of a voxel: even the flattest daughter then holds a voxel's centre."""


@dataclass(frozen=True, eq=False)
class NucleiMovie:
    """A movie and its truth; frames are drawn when they are asked for, the same each time.

    Parameters
    ----------
    image : fluorescence, float32, in photons.
    labels : integers, 0 where there is no cell; a cell keeps its number until it divides.
    truth : one row for each cell in each frame, in µm.
    label : what each row of the truth is called in ``labels``, (n,).
    photons : what each row of the truth shines with, (n,), in photons a voxel.
    """

    image: TimeLapse
    labels: TimeLapse
    truth: Lineage
    label: NDArray[np.int64]
    photons: NDArray[np.float64]


def nuclei_movie(
    shape: Shape3,
    spacing_um: Triple,
    frames: int,
    cells: int,
    seed: int,
    divide: int = 1,
    *,
    dt_s: float = 60.0,
    radius_um: float | None = None,
    photons: float = 100.0,
    microscope: Microscope | None = None,
    noise: bool = True,
) -> NucleiMovie:
    """Draw a population of nuclei as one instrument would see it.

    Parameters
    ----------
    shape, spacing_um : voxels and their size in µm, (z, y, x).
    frames : how many, ``dt_s`` seconds apart.
    cells : nuclei in the first frame; none touches another, ever.
    seed : of everything; each frame's noise has a seed of its own.
    divide : how many of the cells divide, once each, at evenly spread frames.
    radius_um : median radius; left out, that with which the nuclei fill 8 % of the field, up to 1/5 of its shortest
        side.
    photons : median light from a voxel of a nucleus.
    microscope : the instrument; left out, :class:`Microscope` as it stands.
    noise : False gives the mean of all possible pictures.

    Raises
    ------
    ConfigError : no frame or cell, more divisions than cells or in a single frame, nuclei that are too small for the
        voxels, or a field that is too small for the nuclei.
    HeaderError : a grid that cannot be.
    """
    grid = Grid(shape, spacing_um)
    radius = _radius(grid, cells, radius_um)
    _check(grid, frames, cells, divide, radius)
    half = np.asarray(grid.spacing_um) / 2
    low, high = -half, np.asarray(grid.extent_um) - half
    field = Field(tuple(low.tolist()), tuple(high.tolist()), radius, photons, STEP * radius)
    drawn = population(field, cells, frames, divide, np.random.default_rng([seed, 0]))
    times = tuple(dt_s * frame for frame in range(frames))
    light, truth = Channel("nuclei", "fluorescence"), Channel("labels", "labels")
    picture = partial(_picture, drawn, grid, light, microscope or Microscope(), seed if noise else None)
    image = TimeLapse(grid, (light,), times, picture)
    labels = TimeLapse(grid, (truth,), times, partial(_label_volume, drawn, grid, truth))
    flat = [nucleus for nuclei in drawn for nucleus in nuclei]
    shining = np.array([nucleus.photons for nucleus in flat])
    return NucleiMovie(image, labels, _lineage(drawn), np.array([n.label for n in flat]), shining)


def _radius(grid: Grid, cells: int, radius_um: float | None) -> float:
    if radius_um is not None:
        return radius_um
    filled = FILL * float(np.prod(grid.extent_um)) / max(cells, 1)
    return float(min((filled * 3 / (4 * np.pi)) ** (1 / 3), min(grid.extent_um) / 5))


def _check(grid: Grid, frames: int, cells: int, divide: int, radius_um: float) -> None:
    if frames < 1 or cells < 1:
        raise ConfigError("needs at least one frame and one cell", field="frames, cells", value=(frames, cells))
    if not 0 <= divide <= cells or (divide and frames < 2):
        raise ConfigError("is more than can divide, each once, after the first frame", field="divide", value=divide)
    smallest = COARSEST * float(np.linalg.norm(grid.spacing_um)) / 2
    if not radius_um >= smallest:
        raise ConfigError(
            f"is under {smallest:.3g} µm, too small for these voxels",
            field="radius_um",
            value=radius_um,
            remedy="Ask for larger or fewer nuclei, or finer voxels",
        )


def _lineage(drawn: Sequence[Sequence[Nucleus]]) -> Lineage:
    rows: dict[tuple[int, int], int] = {}
    parent: list[int] = []
    flat = [(frame, nucleus) for frame, nuclei in enumerate(drawn) for nucleus in nuclei]
    for row, (frame, nucleus) in enumerate(flat):
        parent.append(rows.get((frame - 1, nucleus.label), rows.get((frame - 1, nucleus.mother), -1)))
        rows[frame, nucleus.label] = row
    zyx = np.array([nucleus.centre_um for _, nucleus in flat])
    radius = np.array([nucleus.radius_um for _, nucleus in flat])
    return Lineage(np.array([frame for frame, _ in flat]), zyx, np.array(parent), radius)


def _label_volume(drawn: Sequence[Sequence[Nucleus]], grid: Grid, channel: Channel, frame: int) -> Volume:
    return Volume(painted(drawn[frame], grid)[None], grid, (channel,))


def _picture(
    drawn: Sequence[Sequence[Nucleus]],
    grid: Grid,
    channel: Channel,
    microscope: Microscope,
    seed: int | None,
    frame: int,
) -> Volume:
    """One frame; without a seed, its expectation."""
    labels = painted(drawn[frame], grid)
    table = np.zeros(int(labels.max()) + 1)
    for nucleus in drawn[frame]:
        table[nucleus.label] = nucleus.photons
    if seed is None:
        seen = microscope.expected(table[labels], grid.spacing_um)
    else:
        seen = microscope.picture(table[labels], grid.spacing_um, np.random.default_rng([seed, 1, frame]))
    return Volume(seen.astype(np.float32)[None], grid, (channel,))


def painted(nuclei: Sequence[Nucleus], grid: Grid) -> Voxels:
    """Labels (z, y, x): a voxel is of the nucleus that holds its centre, ``|diag(1/a) Rᵀ (x − c)| ≤ 1``."""
    out = np.zeros(grid.shape, np.int32)
    spacing = np.asarray(grid.spacing_um)
    for nucleus in nuclei:
        centre = np.asarray(nucleus.centre_um)
        first = np.maximum(0, np.ceil((centre - nucleus.reach_um) / spacing)).astype(int)
        last = np.minimum(np.asarray(grid.shape) - 1, np.floor((centre + nucleus.reach_um) / spacing)).astype(int)
        box = tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))
        away = np.stack(np.meshgrid(*(np.arange(s.start, s.stop) for s in box), indexing="ij"), -1) * spacing - centre
        along = away @ Rotation.from_rotvec(nucleus.turn).as_matrix() / np.asarray(nucleus.semi_axes_um)
        out[box][(along**2).sum(-1) <= 1] = nucleus.label
    return out
