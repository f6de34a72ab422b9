"""Head and trunk of a larval zebrafish about two real stains of its brain, from the Z-Brain atlas."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy import ndimage

from phantom.anatomy.anatomy import Anatomy
from phantom.anatomy.solids import ball, band_passed, depth, rounded, tube, unit_mean
from phantom.anatomy.tissues import CODE
from volumes.errors import ConfigError, ContentError, GridError
from volumes.io import read
from volumes.shapes import Mask, Shape3, Voxels
from volumes.volume import Volume, from_array

MARGIN = ((38, 6), (12, 12), (5, 4))
"""Voxels added (before, after) along z, y, x: the atlas cuts the eyes in half and shows no belly."""
STRONG = 0.5
"""Share of its Otsu level at which tERK counts as present."""


class ZebrafishConfig(BaseModel):
    """A larva whose brain is measured and whose other parts are placed where a larva has them.

    Measured: where cells lie dense (H2B-RFP), where neuropil lies (tERK), where the eyes are (tERK), and the texture of
    those. Placed by hand: belly, skin, lower halves and pigment of the eyes, ears with otoliths, jaw, notochord, muscle
    walls, yolk, vessels, pigment cells. Head at low x, back at high z, as in the atlas.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["zebrafish"] = "zebrafish"
    terk: Path | None = Field(None, description="Z-Brain's anti-tERK stain, NRRD; whoever builds may pass it in")
    h2b: Path | None = Field(None, description="Z-Brain's H2B-RFP, on the same grid")
    texture: Annotated[float, Field(ge=0, le=1)] = Field(0.25, description="deviation where nothing was measured")

    def build(self, rng: np.random.Generator) -> Anatomy:
        """The anatomy; the texture of what is not measured and the pigment cells are drawn from ``rng``.

        Raises
        ------
        ConfigError : a path that is left out.
        GridError : the two stains do not share one grid, or its axes are not the world's.
        ContentError : a stain in which no brain stands out.
        """
        if self.terk is None or self.h2b is None:
            raise ConfigError(
                "needs the two stains", field="terk, h2b", value=(self.terk, self.h2b), remedy="State both files"
            )
        terk, h2b = (read(path, modality="fluorescence") for path in (self.terk, self.h2b))
        if not terk.grid.is_close(h2b.grid) or not np.allclose(terk.grid.axes, np.eye(3)):
            raise GridError("needs both stains on one grid along the world's axes", field="h2b", value=h2b.grid)
        atlas = _Atlas.of(terk, h2b)
        labels = _drawn(atlas, rng)
        strength = _texture(atlas, labels, self.texture, rng)
        spacing, origin = terk.grid.spacing_um, _origin(terk)
        return Anatomy(
            from_array(labels, spacing, modality="labels", origin_um=origin),
            from_array(strength, spacing, modality="optical", origin_um=origin),
        )


@dataclass(frozen=True, eq=False)
class _Atlas:
    """The two stains with margin, and what is seen in them. Indices below are of the atlas without its margin."""

    terk: Voxels
    h2b: Voxels
    brain: Mask
    cells: Mask
    eyes: Mask

    @classmethod
    def of(cls, terk: Volume, h2b: Volume) -> _Atlas:
        """What lies over its Otsu level, in parts large enough to be an organ.

        Raises
        ------
        ContentError : no brain, or not two eyes.
        """
        a, b = (np.pad(v.channel().astype(np.float32), MARGIN) for v in (terk, h2b))
        cells = ndimage.gaussian_filter(b, 0.7) > _otsu(b)
        stained = ndimage.gaussian_filter(a, 0.7) > STRONG * _otsu(a)
        faint = ndimage.binary_opening(ndimage.gaussian_filter(a, 1.0) > 2, iterations=2)
        # The opening takes off the bright rims of the eyes, which are thinner than any part of the brain.
        brain = _largest(ndimage.binary_opening(ndimage.binary_closing(cells | stained, iterations=2), iterations=3))
        eyes = ndimage.binary_opening(faint & ~ndimage.binary_dilation(brain, iterations=2), iterations=3)
        if brain.mean() < 0.01 or eyes.mean() < 0.001:
            raise ContentError("no brain with eyes stands out", field="terk, h2b", value=float(brain.mean()))
        return cls(a, b, brain, cells & brain, eyes)

    @property
    def shape(self) -> Shape3:
        z, y, x = self.brain.shape
        return z, y, x


def _otsu(stain: Voxels) -> float:
    from skimage.filters import threshold_otsu

    return float(threshold_otsu(stain))


def _largest(mask: Mask) -> Mask:
    labelled, count = ndimage.label(mask)
    if count == 0:
        return mask
    sizes = np.bincount(labelled.ravel())[1:]
    largest: Mask = labelled == 1 + int(np.argmax(sizes))
    return largest


def _origin(volume: Volume) -> tuple[float, float, float]:
    """The margin moves the first voxel, not the atlas."""
    z, y, x = (o - m[0] * s for o, m, s in zip(volume.grid.origin_um, MARGIN, volume.grid.spacing_um, strict=True))
    return z, y, x


def _at(z: float, y: float, x: float) -> tuple[float, float, float]:
    """An index of the atlas, counted with margin."""
    return z + MARGIN[0][0], y + MARGIN[1][0], x + MARGIN[2][0]


def _line(*columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """A line of atlas indices (n, 3), counted with margin."""
    return np.asarray(np.stack(np.broadcast_arrays(*columns), -1) + np.array(_at(0, 0, 0)))


def _drawn(atlas: _Atlas, rng: np.random.Generator) -> Voxels:
    """Labels; what is drawn later lies over what was drawn before."""
    eyes = list(_eyes(atlas))
    body = _body(atlas, [whole for whole, _, _ in eyes])
    labels = np.zeros(atlas.shape, np.uint8)
    labels[body] = CODE["soft"]
    for name, mask in _placed(atlas):
        labels[mask & body & ~atlas.brain] = CODE[name]
    labels[atlas.brain] = CODE["neuropil"]
    labels[atlas.cells] = CODE["neural"]
    labels[_ventricles(atlas)] = CODE["lumen"]
    for whole, core, lens in eyes:
        for name, mask in (("pigment", whole), ("neural", core), ("lumen", lens)):
            labels[mask & ~atlas.brain] = CODE[name]
    inward = depth(body)
    labels[body & (inward <= 1.0)] = CODE["skin"]
    labels[_pigment_cells(inward, rng)] = CODE["pigment"]
    return labels


def _eyes(atlas: _Atlas) -> Iterator[tuple[Mask, Mask, Mask]]:
    """Whole eye, retina and lens of each side: an ellipsoid about the measured upper half; what is inside is placed."""
    middle = atlas.shape[1] // 2
    side = np.arange(atlas.shape[1])[None, :, None]
    for sign in (-1, 1):
        z, y, x = np.nonzero(_largest(atlas.eyes & (sign * (side - middle) > 0)))
        low, high = np.percentile(x, [1, 99])
        radius, top = (high - low) / 2, float(z.max() - MARGIN[0][0])
        # The atlas cuts the eye in half; a whole one is about as high as it is long.
        centre = (MARGIN[0][0] + top - 0.95 * radius, float(np.median(y)), (low + high) / 2)
        radii = (0.95 * radius, 0.72 * radius, radius)
        whole = ball(atlas.shape, centre, radii)
        pupil = (centre[0], centre[1] + sign * 0.12 * radius, centre[2])
        core = ball(atlas.shape, pupil, tuple(r - 2.0 for r in radii))
        lens = (centre[0], centre[1] + sign * 0.42 * radius, centre[2])
        yield whole, core & whole, ball(atlas.shape, lens, (0.32 * radius,) * 3) & whole


def _body(atlas: _Atlas, eyes: list[Mask]) -> Mask:
    """Brain and eyes with tissue around them, a belly and a trunk; smooth. Only brain and eyes are measured."""
    shape = atlas.shape
    near = ndimage.binary_dilation(atlas.brain, iterations=4)
    x = np.arange(shape[2]) - MARGIN[2][0]
    belly = ball(shape, _at(2, 49, 112), (38, 33, 88)) | ball(shape, _at(-2, 49, 40), (26, 24, 40))
    z, y = (np.arange(n) - m[0] for n, m in zip(shape[:2], MARGIN[:2], strict=True))
    high, wide = 34 - 0.03 * (x - 100), 25 - 0.06 * (x - 100)
    trunk = ((z[:, None, None] - 22) / high) ** 2 + ((y[None, :, None] - 49) / wide) ** 2 <= 1
    trunk &= (x > 95) & (z < 54)[:, None, None]
    body = rounded(near | belly | trunk | np.logical_or.reduce(eyes), 2.0)
    body |= atlas.brain | np.logical_or.reduce(eyes)
    filled: Mask = _largest(ndimage.binary_fill_holes(body))
    return filled


def _ventricles(atlas: _Atlas) -> Mask:
    """Dark in both stains inside the brain, near its middle plane."""
    closed = ndimage.binary_closing(atlas.brain, iterations=4)
    both = ndimage.gaussian_filter(atlas.terk, 1.0) / _otsu(atlas.terk)
    both += ndimage.gaussian_filter(atlas.h2b, 1.0) / _otsu(atlas.h2b)
    dark: Mask = closed & (both < 0.5)
    dark |= atlas.brain & (both < 0.9)
    y = np.abs(np.arange(atlas.shape[1]) - MARGIN[1][0] - 49)[None, :, None]
    hollow: Mask = dark & (y < 9)
    return hollow


def _placed(atlas: _Atlas) -> Iterator[tuple[str, Mask]]:
    """What the atlas does not show, where a larva of six days has it; placed, not measured."""
    shape = atlas.shape
    x = np.linspace(112, 230, 80)
    floor = 9 + 18 * np.clip((x - 112) / 90, 0, 1)
    yield "yolk", ball(shape, _at(-19, 46, 128), (12, 15, 42))
    yield "lumen", tube(shape, _line(-4 + 0 * x, 56 + 3 * np.sin(x / 14), x), 3.0)
    yield "skin", _muscle_walls(shape)
    yield "notochord", tube(shape, _line(floor - 3, 49 + 0 * x, x), 5.0)
    for side in (-1, 1):
        yield "lumen", ball(shape, _at(14, 49 + 27 * side, 128), (10, 7, 14))
        yield "bone", ball(shape, _at(11, 49 + 27 * side, 122), (2.0, 2.0, 2.6))
        yield "bone", ball(shape, _at(13, 49 + 28 * side, 134), (2.6, 2.2, 3.4))
    turn = np.linspace(-1.35, 1.35, 60)
    for front, width in ((18, 15), (34, 19), (56, 21), (72, 20)):
        back = front + 26 - 26 * np.cos(turn)
        yield "bone", tube(shape, _line(-14 - 3 * np.cos(turn), 49 + width * np.sin(turn), back), 1.4)
    yield "vessel", np.logical_or.reduce(list(_vessels(shape, x, floor)))


def _muscle_walls(shape: Shape3) -> Mask:
    """Chevrons of connective tissue between the muscle blocks of the trunk."""
    z, y, x = (np.arange(n) - m[0] for n, m in zip(shape, MARGIN, strict=True))
    along = (x[None, :] - 0.45 * np.abs(z[:, None] - 24)) / 15
    wall = (np.abs(along - np.rint(along)) * 15 < 0.8) & (x[None, :] > 145)
    return np.asarray(wall[:, None, :] & (np.abs(y - 49) > 7)[None, :, None])


def _vessels(shape: Shape3, x: NDArray[np.float64], floor: NDArray[np.float64]) -> Iterator[Mask]:
    """Heart left of the middle, aorta, cardinal vein, branches between the muscle blocks, and loops over the brain."""
    yield ball(shape, _at(-20, 44, 78), (8, 8, 9))
    yield tube(shape, _line(floor - 12, 49 + 0 * x, x), 2.2)
    yield tube(shape, _line(floor - 18, 50 + np.sin(x / 11), x), 2.6)
    t = np.linspace(0, 1, 40)
    yield tube(shape, _line(-18 + 15 * t, 44 + 5 * t, 78 + 34 * t + 5 * np.sin(3 * t)), 2.0)
    for number, at in enumerate(range(124, 228, 15)):
        for side in (-1, 1):
            out = 49 + side * (8 + 9 * np.sin(np.pi * t)) + (number % 3)
            rise = float(np.interp(at, x, floor)) - 12
            yield tube(shape, _line(rise + (48 - rise) * t, out, at + 4 * t * side), 0.9)
    for at in (38, 62, 84, 106):
        for side in (-1, 1):
            yield tube(shape, _line(-4 + 44 * t, 49 + side * (12 + 26 * np.sin(np.pi * t)), at + 6 * t), 1.1)


def _pigment_cells(inward: Voxels, rng: np.random.Generator) -> Mask:
    """Flat stars of melanin just under the skin of the back; placed by chance."""
    rows, columns = (np.sort(rng.uniform(0, n, 40)) for n in inward.shape[1:])
    rng.shuffle(rows)
    spots = np.zeros(inward.shape[1:], bool)
    spots[rows.astype(int), columns.astype(int)] = True
    spread = ndimage.distance_transform_edt(~spots) < rng.uniform(1.5, 2.8)
    back = np.arange(inward.shape[0])[:, None, None] > MARGIN[0][0] + 26
    cells: Mask = spread[None] & back & (inward > 1.0) & (inward <= 2.3)
    return cells


def _texture(atlas: _Atlas, labels: Voxels, deviation: float, rng: np.random.Generator) -> Voxels:
    """The stains inside the brain, band-passed noise elsewhere; mean 1 in each tissue."""
    strength = np.exp(deviation * band_passed(atlas.shape, 0.8, 4.0, rng))
    for tissue, stain in (("neural", atlas.h2b), ("neuropil", atlas.terk)):
        here = atlas.brain & (labels == CODE[tissue])
        strength[here] = np.maximum(stain[here] / max(float(stain[here].mean()), 1e-6), 0.05)
    return unit_mean(strength, labels)
