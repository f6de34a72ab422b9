"""Volumes that somebody has labelled, on the network's grid, bent and scaled anew for every piece."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import Field
from scipy import ndimage

from experiments.entries import Closed
from experiments.tasks.cell_pieces import Piece
from tracking3d.segment.network.heads import DIAMETER
from tracking3d.segment.network.normalise import levels
from tracking3d.segment.network.resampling import coarse_shape, resampled
from tracking3d.segment.network.targets import targets
from volumes.errors import ContentError, GridError
from volumes.io import read
from volumes.io.layout import Layout
from volumes.shapes import AnyArray, Points, Shape3, Triple, Voxels
from volumes.volume import Volume

SCALES = 0.2
"""σ of the logarithm of how much larger or smaller a piece is shown."""
BENT = 1.5
"""Largest σ of the elastic displacement, voxels of the network's grid."""
NODES = 5
"""Points along each edge at which the displacement is drawn."""
BLURRED, NOISY, BENT_GREY = 0.8, 0.08, 0.3
"""Largest σ of an added blur (voxels) and noise (shares of the levels' span); largest |ln γ| of a grey scale."""
FEW = 5
"""Whole cells that are enough to say how large one is."""
MARGIN = 8
"""Voxels around a piece from which its targets are taken, too."""


class LabelledConfig(Closed):
    """One image and its labels on the same grid."""

    image: Path
    labels: Path = Field(description="0 the background, each cell a number of its own")
    modality: str = "fluorescence"
    layout: Layout | None = Field(None, description="axes, sizes and spacing of stacks without metadata")
    channel: int | str = 0
    diameter_um: float | None = Field(None, gt=0, description="of a typical cell; left out: the labels' median")


@dataclass(frozen=True, eq=False)
class Labelled:
    """An image (z, y, x), float32, and its labels on the network's grid; the levels of the whole image."""

    image: Voxels
    labels: Voxels
    levels: tuple[float, float]

    @classmethod
    def of(cls, config: LabelledConfig) -> Labelled:
        """Read both.

        Raises
        ------
        GridError : the labels lie on another grid than the image.
        ContentError : there is no cell among the labels.
        """
        image = read(config.image, modality=config.modality, layout=config.layout)
        labels = read(config.labels, modality="labels", layout=config.layout)
        if not labels.grid.is_close(image.grid):
            raise GridError("the labels lie on another grid than their image", file=config.labels, field="labels")
        if not (labels.channel() > 0).any():
            raise ContentError("holds no cell", file=config.labels, field="labels", remedy="Leave it out")
        return cls.from_volumes(image, labels, config.channel, config.diameter_um)

    @classmethod
    def from_volumes(
        cls, image: Volume, labels: Volume, channel: int | str = 0, diameter_um: float | None = None
    ) -> Labelled:
        """The same of volumes in memory; without a diameter, the median of the labels' own."""
        spacing, numbers = image.grid.spacing_um, labels.channel()
        step = (diameter_um or median_diameter_um(numbers, spacing)) / DIAMETER
        factors: Triple = (step / spacing[0], step / spacing[1], step / spacing[2])
        shape = coarse_shape(numbers.shape, factors)
        whole = [(0, n) for n in numbers.shape]
        coarse = resampled(image.channel(channel), whole, [(0, n) for n in shape], factors)
        return cls(coarse, _nearest(numbers, shape, factors), levels(coarse))

    def piece(self, crop: int, rng: np.random.Generator) -> Piece:
        """A part about as large as ``crop`` along each edge, seen otherwise than it was."""
        # Axes shorter than the part stay whole.
        shape = tuple(min(crop + 2 * MARGIN, n) for n in self.image.shape)
        points = _places(self.image.shape, shape, rng)
        image = ndimage.map_coordinates(self.image, points, order=1, mode="nearest")
        labels = ndimage.map_coordinates(self.labels, points, order=0, mode="constant")
        known = _inside(points, self.image.shape)
        return Piece(_otherwise(image, self.levels, rng), targets(labels, known), self.levels, labels)


def median_diameter_um(labels: Voxels, spacing_um: Triple) -> float:
    """Of the balls that have the labels' volumes."""
    sizes = np.bincount(labels.astype(np.int64).ravel())[1:]
    volume = float(np.median(sizes[sizes > 0])) * float(np.prod(spacing_um))
    return float(np.cbrt(6 / np.pi * volume))


def typical_diameter_um(volumes: Sequence[Volume]) -> float:
    """The diameter of a typical cell in labelled volumes of one kind, which may cut many of their cells.

    The median of the cells that touch no face. Where those are few, that of the cell in which the median voxel lies: of
    what a face cuts, the larger parts count more.

    Raises
    ------
    ContentError : there is no cell in any of them.
    """
    whole, all_um3 = [], []
    for volume in volumes:
        sizes = np.bincount(volume.channel().astype(np.int64).ravel()) * volume.grid.voxel_um3
        sizes[0] = 0
        all_um3.append(sizes[sizes > 0])
        sizes[_at_faces(volume.channel())] = 0
        whole.append(sizes[sizes > 0])
    um3 = np.concatenate(whole)
    if not any(len(sizes) for sizes in all_um3):
        raise ContentError("hold no cell", field="labels", remedy="Label some, or leave them out")
    if len(um3) < FEW:
        um3 = np.sort(np.concatenate(all_um3))
        um3 = um3[np.searchsorted(np.cumsum(um3), um3.sum() / 2)]
    return float(np.cbrt(6 / np.pi * np.median(um3)))


def _at_faces(labels: Voxels) -> AnyArray:
    return np.unique(np.concatenate([labels.take(i, axis).ravel() for axis in range(3) for i in (0, -1)]))


def _nearest(labels: Voxels, shape: Shape3, factors: Triple) -> Voxels:
    at = [
        np.clip(np.rint((np.arange(n) + 0.5) * f - 0.5).astype(int), 0, have - 1)
        for n, f, have in zip(shape, factors, labels.shape, strict=True)
    ]
    return np.ascontiguousarray(labels[np.ix_(*at)].astype(np.int32))


def _places(whole: Sequence[int], shape: Sequence[int], rng: np.random.Generator) -> AnyArray:
    """(3, z, y, x): where in the volume each voxel of a piece is read: turned about z, scaled and bent."""
    scale = np.exp(SCALES * np.clip(rng.standard_normal(), -2, 2) + 0.1 * rng.standard_normal(3))
    angle = rng.uniform(0, 2 * np.pi) if rng.random() < 0.7 else 0.0
    sine, cosine = np.sin(angle), np.cos(angle)
    turn = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]]) * scale
    middle = np.array([rng.uniform(min(s, n) / 2, n - min(s, n) / 2) for s, n in zip(shape, whole, strict=True)])
    grid = np.indices(shape).reshape(3, -1) - (np.array(shape)[:, None] - 1) / 2
    bend = rng.uniform(0, BENT) * rng.standard_normal((3, NODES, NODES, NODES))
    zoom = [np.linspace(0, NODES - 1, n) for n in shape]
    nodes = np.stack(np.meshgrid(*zoom, indexing="ij")).reshape(3, -1)
    away = np.stack([ndimage.map_coordinates(part, nodes, order=1) for part in bend])
    return np.asarray((turn @ grid + middle[:, None] + away).reshape(3, *shape))


def _inside(points: Points, whole: Sequence[int]) -> AnyArray:
    limit = np.array(whole).reshape(3, 1, 1, 1) - 0.5
    return np.asarray(((points >= -0.5) & (points <= limit)).all(0))


def _otherwise(image: AnyArray, bounds: tuple[float, float], rng: np.random.Generator) -> AnyArray:
    """With another grey scale between the levels, blurred and noisy, now and then."""
    low, high = bounds
    span = max(high - low, 1e-9)
    if rng.random() < 0.5:
        part = (image - low) / span
        image = low + span * np.sign(part) * np.abs(part) ** np.exp(rng.uniform(-BENT_GREY, BENT_GREY))
    if rng.random() < 0.3:
        image = ndimage.gaussian_filter(image, rng.uniform(0, BLURRED, 3))
    if rng.random() < 0.5:
        image = image + span * rng.uniform(0, NOISY) * rng.standard_normal(image.shape)
    return np.asarray(image, np.float32)
