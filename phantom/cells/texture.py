"""How the inside of a nucleus looks: chromatin, nucleoli and rim, fixed to the cell and of mean 1."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from phantom.cells.cells import Cells
from phantom.cells.shape import radius
from volumes.errors import ConfigError
from volumes.jit import inlined, kernel
from volumes.shapes import AnyArray

SIDE = 64
"""Edge of the noise cube, which repeats; a power of two."""
WAVE = 8.0
"""The wavelength in the middle of its band, in steps of the cube; the band is an octave and a half wide."""
MOST_NUCLEOLI = 3
RIM_WIDTH = 0.12
"""How deep the bright rim reaches into the nucleus, as a share of its radius."""
SOFTNESS = 0.08
"""Width of a nucleolus' edge, as a share of the nucleus' radius."""
FACETS = 6
"""Points a radius, along each axis, over which the mean of a nucleus is taken."""
_DRAWS = 12 + 6 * MOST_NUCLEOLI


@dataclass(frozen=True)
class Look:
    """What chromatin looks like in a population of cells in interphase.

    Parameters
    ----------
    contrast : standard deviation of the chromatin relative to its mean, of the median cell.
    grain : the wavelength that dominates it, as a share of the nucleus' radius.
    nucleoli : share of the cells with 1 to 3 dark nucleoli.
    rim : share of the cells with a bright rim.
    flat : share of the cells whose chromatin shows no structure.

    Raises
    ------
    ConfigError : a share outside [0, 1], a contrast outside [0, 1] or a grain outside [0.2, 2].
    """

    contrast: float = 0.3
    grain: float = 0.45
    nucleoli: float = 0.45
    rim: float = 0.15
    flat: float = 0.15

    def __post_init__(self) -> None:
        for item in fields(self):
            low, high = (0.2, 2.0) if item.name == "grain" else (0.0, 1.0)
            value = getattr(self, item.name)
            if not low <= value <= high:
                raise ConfigError(f"must lie within {low} and {high}", field=item.name, value=value)

    @classmethod
    def at(cls, difficulty: float) -> Look:
        """From nearly even nuclei (0) by way of the defaults (0.5) to nuclei that fall into pieces to the eye (1)."""
        if not 0 <= difficulty <= 1:
            raise ConfigError("must lie within 0 and 1", field="difficulty", value=difficulty)
        h = difficulty
        return cls(0.1 + 0.4 * h, 0.45, 0.2 + 0.5 * h, 0.05 + 0.2 * h, 0.3 * (1 - h))


def dressed(cells: Cells, look: Look) -> NDArray[np.float64]:
    """How each cell looks, one row a cell; it follows from its seed, how condensed it is, and from nothing else.

    Returns
    -------
    (n, 30): σ of the logarithm of its chromatin (0), steps of the noise cube to its radius (1), how much brighter its
    rim is (2), where its centre lies in the noise cube (3–5) and how its frame is turned there (6–14); then for each
    nucleolus centre, radius and depth in units of the nucleus, radius 0 for none.
    """
    u = uniforms(cells.seed, _DRAWS)
    relaxed = 1 - cells.condensed
    contrast = look.contrast * (0.6 + 0.8 * u[:, 0]) * (u[:, 1] >= look.flat) * relaxed
    rim = (0.3 + 0.6 * u[:, 2]) * (u[:, 3] < look.rim) * relaxed
    count = np.where(u[:, 4] < look.nucleoli, 1 + np.floor(MOST_NUCLEOLI * u[:, 5]), 0)
    nucleoli = _nucleoli(u[:, 12:].reshape(len(u), MOST_NUCLEOLI, 6), relaxed)
    nucleoli[np.arange(MOST_NUCLEOLI) >= count[:, None]] = 0
    tone = np.stack([np.sqrt(np.log1p(contrast**2)), np.full(len(u), WAVE / look.grain), rim], 1)
    turns, spots = _turns(u[:, 9:12]).reshape(-1, 9), nucleoli.reshape(-1, 5 * MOST_NUCLEOLI)
    return np.concatenate([tone, SIDE * u[:, 6:9], turns, spots], 1)


def uniforms(seed: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Numbers in [0, 1), (n, count), that each row's seed alone decides.

    The outputs 1 to ``count`` of SplitMix64 started at the seed (Steele, Lea & Flood 2014, "Fast splittable
    pseudorandom number generators", OOPSLA), their upper 53 bits.
    """
    golden = np.uint64(0x9E3779B97F4A7C15)
    z = seed.astype(np.int64).view(np.uint64)[:, None] + golden * np.arange(1, count + 1, dtype=np.uint64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(((z ^ (z >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53)


def _nucleoli(u: AnyArray, relaxed: AnyArray) -> NDArray[np.float64]:
    """Spheres (n, 3, 5) well inside the nucleus; they dissolve as chromatin condenses."""
    cosine, angle = 2 * u[..., 0] - 1, 2 * np.pi * u[..., 1]
    sine, out = np.sqrt(1 - cosine**2), 0.55 * np.cbrt(u[..., 2])
    size, depth = 0.14 + 0.14 * u[..., 3], (0.5 + 0.4 * u[..., 4]) * relaxed[:, None]
    return np.stack([out * cosine, out * sine * np.sin(angle), out * sine * np.cos(angle), size, depth], -1)


def _turns(u: AnyArray) -> NDArray[np.float64]:
    """Rotations (n, 3, 3), even over all of them (Shoemake 1992, "Uniform random rotations", Graphics Gems III)."""
    short, long = np.sqrt(1 - u[:, 0]), np.sqrt(u[:, 0])
    one, two = 2 * np.pi * u[:, 1], 2 * np.pi * u[:, 2]
    a, b, c, d = short * np.sin(one), short * np.cos(one), long * np.sin(two), long * np.cos(two)
    rows = [
        [1 - 2 * (b * b + c * c), 2 * (a * b - c * d), 2 * (a * c + b * d)],
        [2 * (a * b + c * d), 1 - 2 * (a * a + c * c), 2 * (b * c - a * d)],
        [2 * (a * c - b * d), 2 * (b * c + a * d), 1 - 2 * (a * a + b * b)],
    ]
    return np.ascontiguousarray(np.moveaxis(np.asarray(rows), -1, 0))


@lru_cache(maxsize=1)
def noise_cube() -> Float32[np.ndarray, "s s s"]:
    """Gaussian noise that repeats, (64, 64, 64), of a band of wavelengths about :data:`WAVE`.

    Its mean is 0; its standard deviation is 1 when it is read between its points by trilinear interpolation, which
    leaves the share ``Π (2 + cos 2πf)/3`` of the power at the frequency f.
    """
    white = np.fft.rfftn(np.random.default_rng(20240731).standard_normal((SIDE,) * 3))
    f = np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE), np.fft.rfftfreq(SIDE), indexing="ij")
    octave = np.log2(np.maximum(np.sqrt(f[0] ** 2 + f[1] ** 2 + f[2] ** 2), 1e-9) * WAVE)
    kept = white * np.exp(-0.5 * (octave / 0.5) ** 2) * (np.abs(octave) < 0.75)
    a, b, c = (np.sqrt((2 + np.cos(2 * np.pi * axis)) / 3) for axis in f)
    cube = np.fft.irfftn(kept, (SIDE,) * 3, axes=(0, 1, 2))
    out: Float32[np.ndarray, "s s s"] = (
        cube / np.fft.irfftn(kept * a * b * c, (SIDE,) * 3, axes=(0, 1, 2)).std()
    ).astype(np.float32)
    out.flags.writeable = False
    return out


def levels(dress: AnyArray, bumps: AnyArray, wanted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The mean of :func:`shine` over each wanted nucleus, (n,); 1 elsewhere.

    Taken in the nucleus' own frame, so that it is the same whatever grid it is then seen on.

    Parameters
    ----------
    bumps : of the cells' shapes (:mod:`phantom.cells.shape`), (n, k).
    wanted : which cells, (n,).
    """
    out = np.ones(len(wanted))
    _levels_kernel(noise_cube(), dress, np.ascontiguousarray(bumps), np.flatnonzero(wanted), out)
    return out


@kernel
def _levels_kernel(cube: AnyArray, dress: AnyArray, bumps: AnyArray, rows: AnyArray, out: AnyArray) -> None:
    for n in rows:
        shape, look = bumps[n], dress[n]
        longest = 1 + np.abs(shape).sum()
        side = int(np.ceil(longest * FACETS))
        total, count = 0.0, 0
        for i in range(-side, side):
            for j in range(-side, side):
                for k in range(-side, side):
                    z, y, x = (i + 0.5) / FACETS, (j + 0.5) / FACETS, (k + 0.5) / FACETS
                    far = z * z + y * y + x * x
                    if far < longest * longest:
                        far = np.sqrt(far)
                        rho = far / radius(shape, z / far, y / far, x / far)
                        if rho <= 1:
                            total += shine(cube, look, z, y, x, rho)
                            count += 1
        out[n] = total / count


@kernel
def shine(cube: AnyArray, dress: AnyArray, z: float, y: float, x: float, rho: float) -> float:
    """Light of a cell at the point v = (z, y, x) of its own frame, ``ρ = |v| / r(v̂)`` of the way to its surface.

    ``exp(σ noise(Q v + offset)) (1 + rim exp(−((1 − ρ)/0.12)²)) Π (1 − depth inside nucleolus)``.
    """
    light = 1.0
    if dress[0] > 0:
        steps = dress[1]
        a = steps * (dress[6] * z + dress[7] * y + dress[8] * x) + dress[3]
        b = steps * (dress[9] * z + dress[10] * y + dress[11] * x) + dress[4]
        c = steps * (dress[12] * z + dress[13] * y + dress[14] * x) + dress[5]
        light = np.exp(dress[0] * _noise(cube, a, b, c))
    if dress[2] > 0:
        deep = (1 - rho) / RIM_WIDTH
        light *= 1 + dress[2] * np.exp(-deep * deep)
    for at in range(15, len(dress), 5):
        if dress[at + 3] > 0:
            dz, dy, dx = z - dress[at], y - dress[at + 1], x - dress[at + 2]
            inside = (dress[at + 3] - np.sqrt(dz * dz + dy * dy + dx * dx)) / SOFTNESS + 0.5
            light *= 1 - dress[at + 4] * min(max(inside, 0.0), 1.0)
    return light


@inlined
def _noise(cube: AnyArray, z: float, y: float, x: float) -> float:
    """The periodic cube between its points, trilinear."""
    i, j, k = int(np.floor(z)), int(np.floor(y)), int(np.floor(x))
    fz, fy, fx = z - i, y - j, x - k
    i, j, k = i & (SIDE - 1), j & (SIDE - 1), k & (SIDE - 1)
    i1, j1, k1 = (i + 1) & (SIDE - 1), (j + 1) & (SIDE - 1), (k + 1) & (SIDE - 1)
    a = cube[i, j, k] + (cube[i, j, k1] - cube[i, j, k]) * fx
    b = cube[i, j1, k] + (cube[i, j1, k1] - cube[i, j1, k]) * fx
    c = cube[i1, j, k] + (cube[i1, j, k1] - cube[i1, j, k]) * fx
    d = cube[i1, j1, k] + (cube[i1, j1, k1] - cube[i1, j1, k]) * fx
    a += (b - a) * fy
    c += (d - c) * fy
    return float(a + (c - a) * fz)
