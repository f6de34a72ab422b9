"""The shift between two volumes, from a correlation over all shifts at once by Fourier transforms.

The idea is Kuglin & Hines 1975, "The phase correlation image alignment method". Whitened phases proved too weak against
noise and cells that move; instead the contrast of both volumes (:mod:`registration.drift.views`, a band-pass in the
place of the whitening) is correlated, zero-padded, and divided by what both hold in the part that they share, as in
Padfield 2012, "Masked object registration in the Fourier domain" (IEEE TIP 21:2706): neither borders, nor masks, nor
how much overlaps then draw the peak towards no shift.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from registration.drift.error import shift_error_um
from registration.drift.views import Floats, View, lattice, view
from volumes.errors import ConfigError, TransformError
from volumes.shapes import AnyArray, Mask, Triple
from volumes.transform import Affine
from volumes.volume import Volume

MOST_VOXELS = 100_000
"""Of the lattice that is worked on, unless the caller says otherwise."""
LEAST_OVERLAP = 0.3
"""Share of the smaller field that must be shared, unless the caller says otherwise."""
FAINT = 1e-6
"""Energies below this share of the largest are rounding of the Fourier transform."""
APART = 5
"""Two peaks within a cube of so many voxels are one."""
DEVIATION = 1.4826
"""Of a normal distribution, in median absolute deviations."""


@dataclass(frozen=True)
class Shift:
    """What lies at x in the fixed volume lies at x + ``um`` in the moving one.

    Parameters
    ----------
    um : along the world's (z, y, x).
    likeness : the normalised correlation there, −1 to 1.
    height : how far the peak stands above all other shifts, in their deviations; about 5 by chance.
    rival : height of the second peak as a share of the first; near 1 the choice between them is a toss.
    overlap : share of the smaller field that both share at this shift.
    error_um : standard deviation of the shift, by how much parts of the specimen disagree about it.
    """

    um: Triple
    likeness: float
    height: float
    rival: float
    overlap: float
    error_um: float

    @property
    def transform(self) -> Affine:
        """Fixed points → moving points."""
        return Affine.rigid(translation_um=self.um)


def shift_between(
    fixed: Volume,
    moving: Volume,
    *,
    fixed_mask: Mask | None = None,
    moving_mask: Mask | None = None,
    fixed_channel: int | str = 0,
    moving_channel: int | str = 0,
    most_voxels: int = MOST_VOXELS,
    finest_um: float | None = None,
    least_overlap: float = LEAST_OVERLAP,
    largest_um: float | None = None,
) -> Shift:
    """The shift that makes two volumes alike; their contrast must be, their brightness and grids may differ.

    Parameters
    ----------
    fixed, moving : volumes that show the specimen in the same contrast, and turned alike.
    fixed_mask, moving_mask : (z, y, x) on each one's own grid, True where it may be looked at.
    fixed_channel, moving_channel : by position or name.
    most_voxels : of the lattice that is worked on; finer voxels are averaged.
    finest_um : no finer voxels than these are worked on.
    least_overlap : share of the smaller field that must be shared, above 0 and below 1.
    largest_um : length of the largest shift that is looked for.

    Raises
    ------
    ContentError : a volume without contrast, with NaN, or with an empty mask.
    ConfigError : a share or a length out of range.
    TransformError : no shift within ``largest_um`` shares enough of the fields.
    """
    if not 0 < least_overlap < 1:
        raise ConfigError("must lie between 0 and 1", field="least_overlap", value=least_overlap)
    if most_voxels < 1:
        raise ConfigError("must be above 0", field="most_voxels", value=most_voxels)
    onto = lattice(fixed.grid, most_voxels, finest_um)
    pair = (
        view(fixed, onto, fixed_channel, fixed_mask, "fixed"),
        view(moving, onto, moving_channel, moving_mask, "moving"),
    )
    shape = padded(pair[0].contrast.shape, pair[1].contrast.shape, least_overlap)
    return best_shift(Spectra(pair[0], shape), Spectra(pair[1], shape), least_overlap, largest_um)


@dataclass(frozen=True, eq=False)
class Spectra:
    """The Fourier transforms of a view that correlations are made of, zero-padded to ``shape``; each made once."""

    view: View
    shape: tuple[int, ...]

    @cached_property
    def contrast(self) -> AnyArray:
        """Of the contrast."""
        return self._of(self.view.contrast)

    @cached_property
    def energy(self) -> AnyArray:
        """Of its square."""
        return self._of(self.view.contrast**2)

    @cached_property
    def inside(self) -> AnyArray:
        """Of the mask."""
        share = self.view.inside
        return self._of(np.ones(self.view.contrast.shape, np.float32) if share is None else share)

    @cached_property
    def voxels(self) -> float:
        """How many voxels are inside."""
        share = self.view.inside
        return float(self.view.contrast.size if share is None else share.sum(dtype=np.float64))

    def _of(self, array: Floats) -> AnyArray:
        return np.asarray(fft.rfftn(array, self.shape, workers=1))


def padded(fixed: Sequence[int], moving: Sequence[int], least_overlap: float) -> tuple[int, ...]:
    """A shape at which no shift that shares ``least_overlap`` of the smaller field along an axis wraps onto another."""
    needed = (int(np.ceil(f + m - least_overlap * min(f, m))) for f, m in zip(fixed, moving, strict=True))
    spans = zip(needed, fixed, moving, strict=True)
    return tuple(1 if f == m == 1 else int(fft.next_fast_len(n + 1, real=True)) for n, f, m in spans)


def best_shift(fixed: Spectra, moving: Spectra, least_overlap: float, largest_um: float | None = None) -> Shift:
    """The shift of the highest peak, between voxels by a paraboloid through the logarithms about it.

    The peak is that of r √n, r being the likeness and n the overlap: chance alone gives r a deviation of 1/√n.

    Raises
    ------
    TransformError : no shift within ``largest_um`` shares enough of the fields.
    """
    likeness, overlap = _correlation(fixed, moving)
    steps = _signed(fixed, moving, least_overlap)
    allowed = overlap >= least_overlap
    if largest_um is not None:
        allowed &= _length_um(steps, fixed, moving) <= largest_um
    if not allowed.any():
        raise TransformError(
            "no shift that is allowed makes the volumes overlap enough",
            field="largest_um",
            value=largest_um,
            remedy="Allow larger shifts or less overlap",
        )
    score = np.where(allowed, likeness * np.sqrt(np.maximum(overlap, 0)), np.float32(-1))
    peak = tuple(int(i) for i in np.unravel_index(int(score.argmax()), score.shape))
    step = np.array([axis[i] for axis, i in zip(steps, peak, strict=True)])
    step = step + _between_voxels(likeness, peak)
    z, y, x = (float(v) for v in _world_um(step, fixed, moving))
    height, rival = _standing(score, allowed, peak)
    error = shift_error_um(fixed.view, moving.view, step)
    return Shift((z, y, x), float(likeness[peak]), height, rival, float(min(overlap[peak], 1.0)), error)


def _correlation(fixed: Spectra, moving: Spectra) -> tuple[Floats, Floats]:
    """For each shift Σ f m / √(Σ f² Σ m²) over the overlap, and the overlap as a share of the smaller inside."""

    def correlate(a: AnyArray, b: AnyArray) -> Floats:
        return np.asarray(fft.irfftn(np.conj(a) * b, fixed.shape, workers=1), np.float32)

    ours, theirs = correlate(fixed.energy, moving.inside), correlate(fixed.inside, moving.energy)
    both = np.sqrt(np.maximum(ours, FAINT * ours.max())) * np.sqrt(np.maximum(theirs, FAINT * theirs.max()))
    shared = correlate(fixed.inside, moving.inside) / np.float32(min(fixed.voxels, moving.voxels))
    return correlate(fixed.contrast, moving.contrast) / both, shared


def _signed(fixed: Spectra, moving: Spectra, least_overlap: float) -> list[NDArray[np.int64]]:
    """The shift in voxels that each index along each axis stands for."""
    out = []
    for n, f, m in zip(fixed.shape, fixed.view.contrast.shape, moving.view.contrast.shape, strict=True):
        index = np.arange(n)
        out.append(np.where(index <= m - least_overlap * min(f, m), index, index - n))
    return out


def _world_um(step: NDArray[np.float64], fixed: Spectra, moving: Spectra) -> NDArray[np.float64]:
    """The shift in µm of a shift in voxels (…, 3): both lattices share their axes, but not their origins."""
    grid = fixed.view.grid
    apart = np.subtract(moving.view.grid.origin_um, grid.origin_um)
    return np.asarray(apart + (step * grid.spacing_um) @ grid.axes.T)


def _length_um(steps: Sequence[NDArray[np.int64]], fixed: Spectra, moving: Spectra) -> NDArray[np.float64]:
    every = np.stack(np.meshgrid(*steps, indexing="ij"), -1).astype(np.float64)
    return np.asarray(np.linalg.norm(_world_um(every, fixed, moving), axis=-1))


def _between_voxels(likeness: Floats, peak: Sequence[int]) -> NDArray[np.float64]:
    """Where between its neighbours the peak lies, (3,), from the slopes and curvatures of the logarithm.

    A correlation's peak is nearly Gaussian, and the logarithm of a Gaussian is a paraboloid: −H⁻¹ g is its top. Where
    the neighbours are no peak, 0.
    """
    around = np.ix_(*[(np.arange(-1, 2) + i) % n for i, n in zip(peak, likeness.shape, strict=True)])
    near = likeness[around].astype(np.float64)
    free = [i for i in range(3) if likeness.shape[i] > 1]
    out = np.zeros(3)
    if not free or near.min() <= 0:
        return out
    slope, curve = _derivatives(np.log(near))
    slope, curve = slope[free], curve[np.ix_(free, free)]
    if np.linalg.eigvalsh(curve).max() < 0:
        out[free] = np.clip(-np.linalg.solve(curve, slope), -1, 1)
    return out


def _derivatives(near: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Central differences at the middle of 3×3×3 values: the gradient (3,) and the Hessian (3, 3)."""
    unit = np.eye(3, dtype=int)

    def at(offset: NDArray[np.int64]) -> float:
        return float(near[tuple(1 + offset)])

    slope = np.array([(at(e) - at(-e)) / 2 for e in unit])
    curve = np.empty((3, 3))
    for i, j in product(range(3), repeat=2):
        a, b = unit[i], unit[j]
        cross = (at(a + b) - at(a - b) - at(b - a) + at(-a - b)) / 4 if i != j else at(a) - 2 * at(a - a) + at(-a)
        curve[i, j] = cross
    return slope, curve


def _standing(score: Floats, allowed: NDArray[np.bool_], peak: tuple[int, ...]) -> tuple[float, float]:
    """How far the peak stands out in robust deviations, and the second peak as a share of it."""
    values = score[allowed]
    middle = float(np.median(values))
    deviation = DEVIATION * float(np.median(np.abs(values - middle)))
    top = ndimage.maximum_filter(score, APART, mode="wrap") == score
    top[peak] = False
    second = float(score[top & allowed].max(initial=0.0))
    first = float(score[peak])
    height = (first - middle) / deviation if deviation > 0 else 0.0
    return height, min(max(second / first, 0.0), 1.0) if first > 0 else 1.0
