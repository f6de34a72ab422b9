"""How a modality shows a patchwork: a kind of look, with all its numbers drawn at random; 0 is dark, 1 bright."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy import ndimage

from phantom.patchwork.structure import SHELL, TISSUES, Structure, smooth_noise
from volumes.shapes import AnyArray, Mask, Voxels

Look = Literal["contrast", "dense", "functional", "stain"]
"""Soft-tissue contrast (MRI, optical), density (CT), uptake (PET, SPECT, SWIR), a stain (fluorescence)."""
LOOKS: tuple[Look, ...] = ("contrast", "dense", "functional", "stain")
MODALITY: dict[Look, tuple[str, ...]] = {
    "contrast": ("MRI", "optical", "phase", "brightfield"),
    "dense": ("CT",),
    "functional": ("PET", "SPECT", "SWIR"),
    "stain": ("fluorescence",),
}
"""What a look may be called."""


def pictures_of(structure: Structure, looks: Sequence[Look], rng: np.random.Generator) -> Voxels:
    """One clean picture for each look, (looks, z, y, x) float32 in [0, 1]; what is black stays exactly 0.

    Parameters
    ----------
    structure : what is to be seen.
    looks : by whom.
    rng : all randomness.
    """
    draw = {"contrast": _contrast, "dense": _dense, "functional": _functional, "stain": _stain}
    return np.stack([np.clip(draw[look](structure, rng), 0, 1).astype(np.float32) for look in looks])


def _contrast(structure: Structure, rng: np.random.Generator) -> Voxels:
    """A grey level for each tissue, texture, the shell dark."""
    levels = rng.uniform(0.08, 1.0, TISSUES)
    levels[0], levels[SHELL] = 0, rng.choice([0.0, 0.05, rng.uniform(0.1, 0.9)])
    body = edged(levels[structure.labels], rng.uniform(0.3, 1.0))
    return textured(body, rng.uniform(0.0, 0.25), rng)


def _dense(structure: Structure, rng: np.random.Generator) -> Voxels:
    """A saturated shell around tissue of nearly one grey, with the noise that such scans have.

    Often the shell reaches beyond its own borders, so that what others see there lies in it.
    """
    middle, spread = rng.uniform(0.15, 0.55), rng.uniform(0.01, 0.12)
    levels = np.clip(middle + spread * rng.standard_normal(TISSUES), 0.02, 1)
    levels[0], levels[SHELL] = 0, rng.uniform(0.85, 1.3)
    if rng.random() < 0.3:
        levels[2] = rng.uniform(0, 0.1)
    drawn = levels[structure.labels]
    if rng.random() < 0.7:
        drawn = np.where(_widened(structure, int(rng.integers(1, 6))), levels[SHELL], drawn)
    picture = edged(drawn, rng.uniform(0.4, 1.2))
    grain = rng.uniform(0, 0.05) * smooth_noise(structure.labels.shape, rng.uniform(0.4, 0.9), rng)
    picture = picture + grain * (structure.depth > 0)
    return with_marks(picture, rng) if rng.random() < 0.3 else picture


def _functional(structure: Structure, rng: np.random.Generator) -> Voxels:
    """Uptake through a wide blur, with hot spots of its own; sometimes as the luminance of a false-colour table.

    Sometimes there is none in the shell and outside it, as a brain takes up more than the scalp.
    """
    levels = rng.uniform(0.0, 1.0, TISSUES) ** 1.3
    levels[0], levels[SHELL] = 0, rng.uniform(0, 0.2)
    size = max(structure.labels.shape)
    own = smooth_noise(structure.labels.shape, rng.uniform(0.03, 0.1) * size, rng)
    spots = rng.uniform(0, 0.4) * np.maximum(own - rng.uniform(0, 1.5), 0) * (structure.depth > 0)
    taken_up = levels[structure.labels] + spots
    shell = structure.depth[structure.labels == SHELL]
    inner = structure.depth > (shell.max() if shell.size else 0)
    if rng.random() < 0.5 and inner.mean() > 0.1:
        taken_up = taken_up * inner
    picture = edged(taken_up, rng.uniform(1.5, 8.0))
    picture = picture / max(float(picture.max()), 1e-3) * rng.uniform(0.4, 1.0)
    picture = np.where(picture < rng.uniform(0.01, 0.08), 0, picture)
    if rng.random() < 0.5:
        picture = coloured(picture, rng)
    return picture


def coloured(picture: Voxels, rng: np.random.Generator) -> Voxels:
    """The luminance that a false-colour table would give it: not always brighter where there is more; black stays."""
    nodes = int(rng.integers(4, 9))
    table = np.clip(np.linspace(0, 1, nodes) + rng.uniform(0.05, 0.35) * rng.standard_normal(nodes), 0, 1)
    table[0] = 0
    return np.asarray(np.interp(picture, np.linspace(0, 1, nodes), table), np.float32)


def _stain(structure: Structure, rng: np.random.Generator) -> Voxels:
    """Some tissues bright on a faint ground."""
    levels = rng.uniform(0, 0.08, TISSUES)
    bright = rng.choice(np.arange(1, TISSUES), int(rng.integers(2, 7)), replace=False)
    levels[bright] = rng.uniform(0.3, 1.0, len(bright))
    levels[0] = rng.choice([0.0, rng.uniform(0, 0.1)])
    body = edged(levels[structure.labels], rng.uniform(0.5, 1.5))
    return textured(body, rng.uniform(0.05, 0.5), rng)


def _widened(structure: Structure, voxels: int) -> Mask:
    """The shell and what lies so many voxels from it, plane by plane, within the body."""
    plane = ndimage.generate_binary_structure(2, 1)[None]
    wide = ndimage.binary_dilation(structure.labels == SHELL, plane, voxels)
    return np.asarray(wide & (structure.depth > 0))


def edged(picture: AnyArray, sigma: float) -> Voxels:
    """Through a small blur; what was black far from anything stays exactly black."""
    soft = ndimage.gaussian_filter(
        picture.astype(np.float32), [sigma if n > 1 else 0 for n in picture.shape], truncate=3.0
    )
    return np.asarray(np.where(soft < 1 / 512, 0, soft), np.float32)


def textured(picture: Voxels, strength: float, rng: np.random.Generator) -> Voxels:
    """Made brighter and darker by noise, fine and coarse; black stays black."""
    fine = smooth_noise(picture.shape, rng.uniform(0.5, 1.5), rng)
    coarse = smooth_noise(picture.shape, rng.uniform(3, 20), rng)
    return np.asarray(picture * np.clip(1 + strength * (0.6 * fine + 0.5 * coarse), 0, None), np.float32)


def with_marks(picture: Voxels, rng: np.random.Generator) -> Voxels:
    """A thin bright arc outside the body, such as a head rest."""
    _, ny, nx = picture.shape
    y, x = np.mgrid[:ny, :nx]
    centre, radius = (rng.uniform(-0.2, 1.2) * ny, rng.uniform(-0.2, 1.2) * nx), rng.uniform(0.3, 0.9) * max(ny, nx)
    away = np.abs(np.hypot(y - centre[0], x - centre[1]) - radius)
    mark = np.clip(rng.uniform(0.8, 2.5) - away, 0, 1)
    return np.asarray(np.maximum(picture, mark * rng.uniform(0.3, 1.0)))
