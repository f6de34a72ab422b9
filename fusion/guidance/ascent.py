"""Steps up the gradient of the aims, of every plane by itself.

Steps are Adam's (Kingma & Ba 2015), with short memories, since there are few; ever shorter ones, so that what is
dark or white comes to rest within a grey level. A voxel stays within minₘ Sₘ − R · spread and maxₘ Sₘ + R · spread,
and within 0 to 1 as far as its sources do: equal sources give themselves, and what is black in all of them stays
black. The same start gives the same result bit by bit; starts that differ by rounding end, at a voxel in a thousand,
some thousandths of the scale apart.
"""

from __future__ import annotations

import numpy as np

from fusion.guidance.aims import Aims
from fusion.guidance.config import GuidanceConfig
from volumes.jit import kernel
from volumes.shapes import AnyArray, ChannelVoxels, Voxels

FIRST, LAST = 0.02, 0.001
"""Length of the first and of the last step, on a scale of 1."""
INERTIA, MEMORY, ONE = np.float32(0.4), np.float32(0.85), np.float32(1)
"""β₁ and β₂."""
CALM = 0.02
"""Share of the root mean square gradient of a plane that is added to that of each voxel."""
FAINT = 1e-12
REACH = 2.0
"""R: how many times its sources' spread a voxel may lie beyond them."""
SMALLEST = 17
"""Voxels along the side of a plane from which on the figures are defined: their largest window."""


def ascended(fused: Voxels, sources: ChannelVoxels, config: GuidanceConfig, steps: int) -> Voxels:
    """The fused volume (z, y, x), led so many steps, float32; planes of less than 17 voxels along a side as they are.

    Parameters
    ----------
    fused : to begin with, on the sources' scale.
    sources : (sources, z, y, x) float32, about 0 to 1, filled where they have no data.
    config : how much each aim counts.
    steps : how many.
    """
    out = np.array(fused, np.float32)
    if steps == 0 or min(out.shape[1:]) < SMALLEST:
        return out
    for z, plane in enumerate(out):
        out[z] = _led(plane, np.ascontiguousarray(sources[:, z], np.float32), config, steps)
    return out


def _led(fused: AnyArray, sources: AnyArray, config: GuidanceConfig, steps: int) -> AnyArray:
    aims, fused = Aims(sources, config), fused.copy()
    least, most = _bounds(sources)
    mean, square = np.zeros_like(fused), np.zeros_like(fused)
    for i, length in enumerate(np.linspace(FIRST, LAST, steps), start=1):
        _, gradient = aims.with_gradient(fused)
        _remember(gradient, mean, square)
        ripe = 1 / (1 - MEMORY**i)
        calm = CALM * float(np.sqrt(ripe * np.mean(square, dtype=np.float64))) + FAINT
        _step(fused, mean, square, np.array([length / (1 - INERTIA**i), ripe, calm], np.float32), least, most)
    return fused


@kernel
def _remember(gradient: AnyArray, mean: AnyArray, square: AnyArray) -> None:
    """Running means of the gradient and of its square, in place."""
    for i in range(gradient.shape[0]):
        for j in range(gradient.shape[1]):
            now = gradient[i, j]
            mean[i, j] = INERTIA * mean[i, j] + (ONE - INERTIA) * now
            square[i, j] = MEMORY * square[i, j] + (ONE - MEMORY) * now * now


@kernel
def _step(fused: AnyArray, mean: AnyArray, square: AnyArray, how: AnyArray, least: AnyArray, most: AnyArray) -> None:
    """In place; ``how`` is the length, the share that ``square`` is short of, and what is added to its root."""
    length, ripe, calm = how[0], how[1], how[2]
    for i in range(fused.shape[0]):
        for j in range(fused.shape[1]):
            there = fused[i, j] + length * mean[i, j] / (np.sqrt(ripe * square[i, j]) + calm)
            fused[i, j] = min(max(there, least[i, j]), most[i, j])


def _bounds(sources: AnyArray) -> tuple[AnyArray, AnyArray]:
    """Of every voxel of the plane; nothing is drawn below 0 or above 1 but where a source is."""
    lowest, highest = sources.min(0), sources.max(0)
    beyond = np.float32(REACH) * (highest - lowest)
    least = np.maximum(lowest - beyond, np.minimum(lowest, 0))
    return least, np.minimum(highest + beyond, np.maximum(highest, 1))
