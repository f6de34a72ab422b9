"""A made-up embryo or organoid of any size: body, yolk, neural tube, notochord, muscle, eyes, otoliths, vessels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field

from phantom.anatomy.anatomy import Anatomy
from phantom.anatomy.solids import band_passed, depth, tube, unit_mean
from phantom.anatomy.tissues import CODE
from volumes.errors import ConfigError
from volumes.shapes import AnyArray, Mask, Points, Shape3, Voxels
from volumes.volume import from_array

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

COARSEST = 24
"""Below so many voxels along its shortest side an embryo has no room for its parts."""
FINEST = 512
"""Above so many along its longest side the labels alone outgrow what an anatomy is for."""
WAVES = 4
"""Each axis is bent by so many sine waves."""


class EmbryoConfig(BaseModel):
    """A procedural embryo: head at low x, back at high z, heart and yolk off the middle plane along y.

    No axis is one of symmetry. Seeds give bodies that differ by some percent in each part's place and size.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["embryo"] = "embryo"
    size_um: tuple[Positive, Positive, Positive] = Field((300.0, 260.0, 420.0), description="of the box around it")
    spacing_um: Positive | None = Field(None, description="edge of a voxel; left out: 1 % of the longest side")
    texture: Annotated[float, Field(ge=0, le=1)] = Field(0.25, description="relative deviation of the fine structure")

    def build(self, rng: np.random.Generator) -> Anatomy:
        """The anatomy; all its randomness is drawn from ``rng``.

        Raises
        ------
        ConfigError : voxels too coarse for the parts, or so fine that there are more than 512 a side.
        """
        spacing = self.spacing_um or max(self.size_um) / 100
        z, y, x = (int(np.ceil(side / spacing - 1e-9)) for side in self.size_um)
        if min(z, y, x) < COARSEST or max(z, y, x) > FINEST:
            raise ConfigError(
                f"gives {(z, y, x)} voxels; an embryo needs {COARSEST} to {FINEST} a side",
                field="size_um, spacing_um",
                value=(self.size_um, spacing),
            )
        shape, spacings = (z, y, x), (spacing, spacing, spacing)
        labels = _drawn(shape, rng)
        noise = band_passed(shape, 0.8, 4.0, rng)
        strength = unit_mean(np.exp(self.texture * noise), labels)
        return Anatomy(
            from_array(labels, spacings, modality="labels"), from_array(strength, spacings, modality="optical")
        )


@dataclass(frozen=True, eq=False)
class _Warp:
    """A smooth bend of the box [−1, 1]³: ``w = u + Σ a sin(k·u + φ)`` along each axis."""

    waves: NDArray[np.float64]
    phases: NDArray[np.float64]
    heights: NDArray[np.float64]

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> _Warp:
        waves = rng.uniform(-2.6, 2.6, (3, WAVES, 3))
        phases = rng.uniform(0, 2 * np.pi, (3, WAVES))
        return cls(waves, phases, rng.uniform(0.004, 0.014, (3, WAVES)))

    def shift(self, u: AnyArray) -> AnyArray:
        """How far points (…, 3) are moved."""
        out = np.zeros_like(u)
        for axis in range(3):
            for wave, phase, height in zip(self.waves[axis], self.phases[axis], self.heights[axis], strict=True):
                out[..., axis] += height * np.sin(u @ wave.astype(u.dtype) + phase)
        out[..., 1] += 0.10 * u[..., 2] ** 2 - 0.04
        return out

    def undone(self, w: Points) -> Points:
        """The points that come to lie at ``w``; the fixed point of ``u = w − shift(u)``."""
        u = w
        for _ in range(12):
            u = np.asarray(w - self.shift(u))
        return u


@dataclass(frozen=True, eq=False)
class _Canvas:
    """Voxels with their bent coordinates ``w``, body-wide about −1 to 1; and factors that differ between seeds."""

    shape: Shape3
    warp: _Warp
    z: Voxels
    y: Voxels
    x: Voxels
    rng: np.random.Generator

    @classmethod
    def blank(cls, shape: Shape3, rng: np.random.Generator) -> _Canvas:
        warp = _Warp.drawn(rng)
        sides = [((2 * np.arange(n) + 1) / n - 1).astype(np.float32) for n in shape]
        u = np.stack(np.meshgrid(*sides, indexing="ij"), -1)
        w = u + warp.shift(u)
        return cls(shape, warp, w[..., 0], w[..., 1], w[..., 2], rng)

    def about(self, value: float, spread: float = 0.06) -> float:
        """The value, give or take some percent."""
        return float(value * self.rng.uniform(1 - spread, 1 + spread))

    def ball(self, centre: tuple[float, float, float], radii: tuple[float, float, float]) -> Mask:
        """An ellipsoid in bent coordinates."""
        z, y, x = ((a - c) / r for a, c, r in zip((self.z, self.y, self.x), centre, radii, strict=True))
        return np.asarray(z * z + y * y + x * x <= 1)

    def tube(self, line: ArrayLike, radius: float) -> Mask:
        """A tube about a line (n, 3) in bent coordinates; its radius is a share of the shortest side's half."""
        voxels = ((self.warp.undone(np.asarray(line, dtype=np.float64)) + 1) * self.shape - 1) / 2
        return tube(self.shape, voxels, max(0.7, radius * min(self.shape) / 2))


def _back(x: AnyArray) -> AnyArray:
    """Height of the neural tube's middle."""
    return 0.40 - 0.20 * x**2 - 0.04 * x


def _thick(x: AnyArray) -> AnyArray:
    """Radius of the neural tube: brain in front, cord behind, with the brain's three swellings."""
    brain = 1 / (1 + np.exp(9 * (x + 0.12)))
    return np.asarray(0.12 + brain * (0.17 + 0.04 * np.cos(14 * x)))


def _drawn(shape: Shape3, rng: np.random.Generator) -> Voxels:
    """Labels; what is drawn later lies over what was drawn before."""
    canvas = _Canvas.blank(shape, rng)
    labels = np.zeros(shape, np.uint8)
    body = _body(canvas)
    labels[body] = CODE["soft"]
    for draw in (_belly, _trunk, _brain, _eyes, _ears, _vessels):
        for name, mask in draw(canvas):
            labels[mask & body] = CODE[name]
    inward = depth(body)
    labels[body & (inward <= max(1.0, 0.018 * min(shape)))] = CODE["skin"]
    return labels


def _body(c: _Canvas) -> Mask:
    """A pear: wide and high at the head, narrow at the tail."""
    taper = 1 - 0.20 * c.x - 0.10 * c.x**2
    height = c.z / (c.about(0.86, 0.02) * (1 - 0.08 * c.x))
    width = c.y / (c.about(0.80, 0.02) * taper)
    inside: Mask = height**2 + width**2 + (c.x / 0.90) ** 2 <= 1
    return inside


def _belly(c: _Canvas) -> list[tuple[str, Mask]]:
    """The yolk, on the left; the gut's lumen, on the right."""
    yolk = c.ball((c.about(-0.40), c.about(-0.07), c.about(0.03, 1)), (c.about(0.34), c.about(0.44), c.about(0.46)))
    x = np.linspace(-0.05, 0.62, 40)
    gut = np.stack([np.full_like(x, -0.02), 0.16 + 0.05 * np.sin(9 * x), x], -1)
    return [("yolk", yolk), ("lumen", c.tube(gut, c.about(0.05)))]


def _trunk(c: _Canvas) -> list[tuple[str, Mask]]:
    """Muscle blocks, set apart by chevrons of connective tissue, and the notochord."""
    apart, phase = c.about(0.13, 0.15), c.rng.uniform(0, 1)
    from_cord = c.z - _back(c.x)
    chevron = (c.x - 0.35 * np.abs(from_cord + 0.12)) / apart + phase
    walls = np.abs(chevron - np.rint(chevron)) * apart < 0.9 / c.shape[2]
    flank = (np.abs(c.y) > 0.07) & (np.abs(c.y) < 0.48) & (from_cord > -0.42) & (from_cord < 0.2) & (c.x > -0.12)
    x = np.linspace(-0.16, 0.78, 60)
    chord = np.stack([_back(x) - _thick(x) - 0.10, np.zeros_like(x), x], -1)
    return [("skin", walls & flank), ("notochord", c.tube(chord, c.about(0.085)))]


def _brain(c: _Canvas) -> list[tuple[str, Mask]]:
    """The neural tube, its neuropil at the sides and below, and its ventricles."""
    scale = c.about(1.0)
    z, y, thick = c.z - _back(c.x), 0.95 * c.y, scale * _thick(c.x)
    across = np.hypot(z, y) / thick
    ends = np.clip((c.x + 0.66) / 0.16, 0, 1) * np.clip((0.82 - c.x) / 0.16, 0, 1)
    within = across < np.sqrt(ends * (2 - ends))
    pil = within & (across > 0.45) & (across < 0.84) & (np.abs(y) > 0.35 * thick) & (z < 0.25 * thick)
    open_ = 0.24 + 0.12 * np.cos(14 * c.x + 0.6)
    lumen = within & (np.hypot(0.45 * z, 1.3 * y) < open_ * 0.55 * thick) & (ends > 0.9)
    return [("neural", within), ("neuropil", pil), ("lumen", lumen)]


def _eyes(c: _Canvas) -> list[tuple[str, Mask]]:
    """Retina, lens, and pigment around all but the pupil; the right eye is the larger."""
    drawn = []
    for side, size in ((-1, c.about(0.145)), (1, c.about(0.17))):
        z, y, x = c.about(0.13), side * c.about(0.40), c.about(-0.50, 0.04)
        whole = c.ball((z, y, x), (size, size, size))
        core = c.ball((z, y + 0.15 * side * size, x), (0.78 * size, 0.82 * size, 0.78 * size))
        lens = c.ball((z, y + 0.45 * side * size, x), (0.36 * size, 0.36 * size, 0.36 * size))
        drawn += [("pigment", whole), ("neural", core), ("lumen", lens)]
    return drawn


def _ears(c: _Canvas) -> list[tuple[str, Mask]]:
    """Two vesicles of fluid with two otoliths each, and the bones of the jaw and of the gills."""
    drawn = []
    for side in (-1, 1):
        z, y, x = c.about(0.30), side * c.about(0.42), c.about(-0.16, 0.1)
        drawn.append(("lumen", c.ball((z, y, x), (0.10, 0.09, 0.12))))
        for shift, size in ((-0.045, 0.040), (0.05, 0.055)):
            drawn.append(("bone", c.tube([(z - 0.02, y, x + shift)], c.about(size))))
    turn = np.linspace(-1.25, 1.25, 50)
    for x, width in ((-0.66, 0.20), (-0.52, 0.30), (-0.40, 0.26)):
        arch = np.stack([-0.10 - 0.22 * np.cos(turn), width * np.sin(turn), x + 0.05 * np.cos(2 * turn)], -1)
        drawn.append(("bone", c.tube(arch, 0.026)))
    return drawn


def _vessels(c: _Canvas) -> list[tuple[str, Mask]]:
    """Heart, aorta, a vein over the yolk, and a tree of branches between the muscle blocks and over the brain."""
    x = np.linspace(-0.55, 0.76, 60)
    under = _back(x) - _thick(x) - 0.24
    aorta = np.stack([under, 0.02 * np.sin(6 * x), x], -1)
    heart = c.ball((c.about(-0.36), c.about(-0.16), c.about(-0.56)), (0.13, 0.10, 0.11))
    t = np.linspace(0, 1, 40)
    outflow = np.stack([-0.36 + (under[0] + 0.36) * t, -0.16 + 0.16 * t, -0.56 + 0.06 * np.sin(np.pi * t)], -1)
    vein = np.stack([-0.03 - 0.10 * np.sin(np.pi * t), -0.30 + 0.05 * np.sin(7 * t), -0.5 + 1.1 * t], -1)
    drawn = [heart, c.tube(aorta, 0.045), c.tube(outflow, 0.05), c.tube(vein, 0.04)]
    for at in np.arange(-0.40, 0.70, c.about(0.15)):
        drawn += [c.tube(_branch(c, float(at), side), 0.018) for side in (-1, 1)]
    return [("vessel", np.logical_or.reduce(drawn))]


def _branch(c: _Canvas, x: float, side: int) -> Points:
    """From the aorta around the neural tube to the back, wavering."""
    turn = np.linspace(-np.pi / 2, c.rng.uniform(0.7, 1.3), 30)
    wide = (_thick(np.array(x)) + 0.06) * (1 + 0.06 * np.sin(3 * turn + c.rng.uniform(0, 6)))
    waver = 0.03 * np.sin(2 * turn + c.rng.uniform(0, 6))
    line: Points = np.stack(
        [_back(np.array(x)) + wide * np.sin(turn), side * wide * np.cos(turn), x + waver + 0.05 * (turn + 1.5)], -1
    )
    foot = [[_back(np.array(x)) - _thick(np.array(x)) - 0.24, 0.0, x]]
    return np.concatenate([foot, line])
