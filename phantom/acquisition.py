"""One instrument before one specimen: pictures, clean pictures and labels, drawn slab by slab when asked for."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from phantom.anatomy.anatomy import Anatomy
from phantom.anatomy.paths import Paths
from phantom.cells.cells import Cells
from phantom.cells.history import History
from phantom.cells.raster import rasterised
from phantom.cells.texture import Look
from phantom.instruments.instrument import Instrument, Picture
from phantom.physics.camera import Camera
from phantom.pose import Pose, seeded
from phantom.scene import Scene
from volumes.errors import ConfigError
from volumes.grid import Grid
from volumes.shapes import AnyArray, ChannelVoxels, Points, Shape3, Voxels
from volumes.timelapse import TimeLapse
from volumes.volume import Channel, Volume

SLAB_VOXELS = 1 << 21
"""A slab has about so many voxels, halo apart, and at least one plane."""
KEPT_BYTES = 1 << 29
"""Drawn slabs are kept up to this size, so that image, clean picture and labels of a small movie are drawn once."""
SOFT = 1.0
"""Voxels that the soft edge of a body reaches beyond it."""
BENT = 1.1
"""Room for the bending of a body's box within itself, where the pose is not linear."""
CUT_OFF = 0.2
"""A slab of which a larger share lies beyond what the instrument can write is refused: it would show nothing true."""
Kind = Literal["image", "clean", "labels"]


@dataclass(frozen=True, eq=False)
class Drawn:
    """One slab's core planes: what the instrument writes, its expectation, and whose nucleus each voxel is of."""

    image: Voxels
    clean: Voxels
    labels: Voxels

    @property
    def nbytes(self) -> int:
        """Bytes of all three."""
        return self.image.nbytes + self.clean.nbytes + self.labels.nbytes


@dataclass(frozen=True, eq=False)
class Acquisition:
    """Everything that one instrument records of one specimen, and what is true of it.

    Parameters
    ----------
    name : of the instrument; with the seed it decides its noise.
    instrument : turns scenes into pictures.
    pose : how the specimen lies before it.
    times_s : of its frames, on the specimen's clock.
    anatomy, history : the specimen.
    look : of the chromatin.
    seed : of the noise.
    """

    name: str
    instrument: Instrument
    pose: Pose
    times_s: tuple[float, ...]
    anatomy: Anatomy
    history: History
    look: Look
    seed: int
    _kept: OrderedDict[tuple[int, int], Drawn] = field(default_factory=OrderedDict, repr=False)
    _points_of: dict[tuple[int, Shape3], Voxels] = field(default_factory=dict, repr=False)
    _tissue: list[Paths] = field(default_factory=list, repr=False)

    @property
    def grid(self) -> Grid:
        """The voxels that it writes; of an instrument that projects, one plane in the middle of what it sums."""
        seen = self.pose.grid
        if not self.instrument.projects:
            return seen
        middle = seen.to_world([((seen.shape[0] - 1) / 2, 0.0, 0.0)])[0]
        return Grid((1, *seen.shape[1:]), seen.spacing_um, (middle[0], middle[1], middle[2]), seen.direction)

    def image(self) -> TimeLapse:
        """What the instrument writes."""
        return self._movie("image", self.instrument.channel)

    def clean(self) -> TimeLapse:
        """The same without any noise, float32, in the same unit."""
        return self._movie("clean", self.instrument.channel)

    def labels(self) -> TimeLapse:
        """The number of the cell whose nucleus holds each voxel's centre, 0 where there is none."""
        return self._movie("labels", Channel("nuclei", "labels"))

    def cells(self, frame: int) -> Cells:
        """The cells at the time of a frame, in the specimen's frame of reference."""
        return self.history.at(self.times_s[frame])

    def drawn(self, frame: int, slab: int) -> Drawn:
        """One slab of one frame; the last ones are kept."""
        key = (frame, slab)
        if key not in self._kept:
            self._kept[key] = self._draw(frame, slab)
            while len(self._kept) > 1 and sum(d.nbytes for d in self._kept.values()) > KEPT_BYTES:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    @property
    def slab_planes(self) -> int:
        """Planes of a slab; an instrument that projects sees the whole depth at once."""
        depth, height, width = self.pose.grid.shape
        if self.instrument.projects:
            return depth
        return min(depth, max(1, SLAB_VOXELS // (height * width)))

    @property
    def slabs(self) -> int:
        """How many slabs a frame is drawn in."""
        return -(-self.pose.grid.shape[0] // self.slab_planes)

    def scene(self, frame: int, slab: int = 0) -> Scene:
        """What the instrument faces: one slab of one frame with its halo."""
        grid = self.pose.grid
        first, stop = slab * self.slab_planes, min((slab + 1) * self.slab_planes, grid.shape[0])
        halo = int(np.ceil(self.instrument.halo_um / grid.spacing_um[0]))
        begin, shape = first - halo, (stop - first + 2 * halo, *grid.shape[1:])
        points = self._points(frame, begin, shape)
        cells = self.cells(frame)
        here, boxes = self._boxes(cells, frame, begin, shape)
        cells = cells.rows(here)
        raster = rasterised(cells, points, boxes, grid.spacing_um, self.look, self.membranes)
        return Scene(
            spacing_um=grid.spacing_um,
            first=begin,
            core=slice(halo, halo + stop - first),
            planes=grid.shape[0],
            points_um=points,
            cells=cells,
            raster=raster,
            anatomy=self.anatomy,
            paths=self._paths(),
            time_s=self.times_s[frame] - self.times_s[0],
            seed=int(seeded(self.seed, self.name, 3).integers(1 << 62)),
        )

    @property
    def membranes(self) -> bool:
        """Whether the instrument looks at the cells' surfaces."""
        return getattr(self.instrument, "dye", "nuclear") == "membrane"

    def _draw(self, frame: int, slab: int) -> Drawn:
        scene = self.scene(frame, slab)
        first = 0 if self.instrument.projects else slab * self.slab_planes
        count = 1 if self.instrument.projects else scene.core.stop - scene.core.start
        noise = [seeded(self.seed, self.name, 2, frame, first + plane) for plane in range(count)]
        picture = self.instrument.take(scene, noise)
        self._require_range(picture, frame)
        row = scene.raster.row[scene.core]
        if self.instrument.projects:
            row = _foremost(row)
        return Drawn(picture.image, picture.clean, _labelled(row, scene.cells.number, self.label_type))

    def _require_range(self, picture: Picture, frame: int) -> None:
        """Raise ConfigError for a picture that is mostly cut off at the largest number, or at a negative smallest."""
        image, limits = picture.image, np.iinfo(self.instrument.dtype)
        camera = getattr(self.instrument, "camera", None)
        top = camera.saturation if isinstance(camera, Camera) else limits.max
        lost = image == top
        if limits.min < 0:
            lost |= image == limits.min
        if lost.mean() > CUT_OFF:
            raise ConfigError(
                f"{lost.mean():.0%} of the voxels of frame {frame} are too bright or too dark to be written",
                field=f"instruments.{self.name}",
                value=f"{float(picture.clean.max()):.4g} without noise, {top} can be written",
                remedy="Lower photons, gain or stain, or what adds noise",
            )

    @property
    def label_type(self) -> np.dtype[Any]:
        """uint16 as long as all numbers fit, else uint32."""
        return np.dtype(np.uint16 if self.history.highest < 1 << 16 else np.uint32)

    def _points(self, frame: int, begin: int, shape: Shape3) -> Voxels:
        """The specimen's points (z, y, x, 3) under the voxels, float32; the last ones are kept on a still stage."""
        if (begin, shape) in self._points_of:
            return self._points_of[begin, shape]
        out = np.empty((*shape, 3), np.float32)
        rows = np.stack(np.meshgrid(*(np.arange(n, dtype=np.float64) for n in shape[1:]), indexing="ij"), -1)
        for z in range(shape[0]):
            index = np.concatenate([np.full((*rows.shape[:2], 1), float(begin + z)), rows], -1).reshape(-1, 3)
            out[z] = self.pose.specimen(self.pose.grid.to_world(index), frame).reshape(*shape[1:], 3)
        if self.pose.still:
            self._points_of.clear()
            self._points_of[begin, shape] = out
        return out

    def _paths(self) -> Paths:
        """Integrals through the tissue; a drift of some micrometres is taken not to change them."""
        if not self._tissue:
            grid = self.pose.grid
            specimen = partial(_specimen_of_index, self.pose)
            self._tissue.append(Paths(self.anatomy, grid.shape, grid.spacing_um, specimen))
        return self._tissue[0]

    def _boxes(
        self, cells: Cells, frame: int, begin: int, shape: Shape3
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows of the cells that reach into a slab, and the voxels (n, 2, 3) that each can touch there."""
        reach = cells.reach_um * (cells.body if self.membranes else 1.0) + SOFT * max(self.pose.grid.spacing_um)
        index = self.pose.grid.to_index(self.pose.world(cells.centre_um, frame)) - (begin, 0, 0)
        half = np.linalg.norm(self.pose.stretch(cells.centre_um), axis=2) * reach[:, None] * BENT + 1
        low = np.clip(np.floor(index - half), 0, shape).astype(np.int64)
        high = np.clip(np.ceil(index + half) + 1, 0, shape).astype(np.int64)
        here = np.flatnonzero((high > low).all(1))
        return here, np.stack([low, high], 1)[here]

    def _movie(self, kind: Kind, channel: Channel) -> TimeLapse:
        def load(frame: int) -> Volume:
            return Volume(DrawnArray(self, kind, frame), self.grid, (channel,), self.times_s[frame])

        return TimeLapse(self.grid, (channel,), self.times_s, load)


@dataclass(frozen=True, eq=False)
class DrawnArray:
    """Voxels (1, z, y, x) of one frame that are drawn when they are indexed."""

    acquisition: Acquisition
    kind: Kind
    frame: int

    @property
    def shape(self) -> tuple[int, ...]:
        """(1, z, y, x)."""
        return (1, *self.acquisition.grid.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type that the instrument writes, float32 for the clean picture, an integer for labels."""
        if self.kind == "image":
            return np.dtype(self.acquisition.instrument.dtype)
        return np.dtype(np.float32) if self.kind == "clean" else self.acquisition.label_type

    def __array__(self, dtype: np.dtype[Any] | None = None, copy: bool | None = None) -> ChannelVoxels:
        return np.asarray(self[...], dtype)

    def __getitem__(self, key: Any, /) -> Any:  # noqa: ANN401 - any numpy index
        parts = key if isinstance(key, tuple) else (key,)
        # Only behind a plain first index is the second one sure to count planes, in numpy's rules.
        if len(parts) >= 2 and type(parts[0]) in (int, slice) and isinstance(parts[1], slice):
            start, stop, step = parts[1].indices(self.shape[1])
            if step > 0:
                rest = (parts[0], slice(None, None, step), *parts[2:])
                return self._planes(start, max(start, stop))[None][rest]
        return self._planes(0, self.shape[1])[None][key]

    def _planes(self, start: int, stop: int) -> AnyArray:
        """Planes [start, stop), from the slabs that hold them."""
        thick = self.acquisition.slab_planes
        out = np.empty((stop - start, *self.shape[2:]), self.dtype)
        for slab in range(start // thick, -(-stop // thick)):
            low, high = max(start, slab * thick), min(stop, (slab + 1) * thick)
            voxels: AnyArray = getattr(self.acquisition.drawn(self.frame, slab), self.kind)
            out[low - start : high - start] = voxels[low - slab * thick : high - slab * thick]
        return out


def _labelled(row: NDArray[np.int32], number: NDArray[np.int32], kind: np.dtype[Any]) -> Voxels:
    """The number of each voxel's cell, 0 where ``row`` is −1."""
    table: AnyArray = np.append(number, 0).astype(kind)
    return table[row]


def _foremost(row: NDArray[np.int32]) -> NDArray[np.int32]:
    """The first cell along each line of sight, (1, y, x); −1 where there is none."""
    first = (row >= 0).argmax(0)[None]
    return np.take_along_axis(row, first, axis=0)


def _specimen_of_index(pose: Pose, index: Points) -> Points:
    return pose.specimen(pose.grid.to_world(index), 0)
