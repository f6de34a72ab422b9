"""The numbers of one made-up specimen, all of them drawn at random: what its nuclei are like and how they are seen.

The ranges are wide on purpose: a network that has met more than nature offers takes a real specimen for one more of
them (domain randomisation; Dey et al. 2024, "AnyStar", WACV, arXiv:2307.07044).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from phantom.cells.texture import Look
from volumes.errors import ConfigError

Arrangement = Literal["tissue", "sheet", "cluster", "few", "none"]
"""Nuclei throughout, or within a winding tissue; in a thin layer; in a ball; a handful in a large dark field; none."""
ARRANGEMENTS: tuple[Arrangement, ...] = ("tissue", "sheet", "cluster", "few", "none")
SHARES = (0.65, 0.12, 0.11, 0.09, 0.03)
"""How often each arrangement is drawn."""


@dataclass(frozen=True)
class Bodies:
    """What the nuclei of a specimen are like, lengths in voxels.

    Parameters
    ----------
    diameter : of a ball as large as the typical nucleus.
    spacing : least distance of two centres, in diameters.
    arrangement : where they lie.
    size_spread, elongation : standard deviations of the logarithms of the diameter, and of each axis.
    bumps : how far from an ellipsoid, 0 to 1.
    flatness : length of the z axis of all nuclei, in shares of the other two.
    gap : how far nuclei in contact stay apart, in radii.
    real : share of the nuclei that take a given shape, if any are given.
    """

    diameter: float = 14.0
    spacing: float = 0.9
    arrangement: Arrangement = "tissue"
    size_spread: float = 0.1
    elongation: float = 0.2
    bumps: float = 0.2
    flatness: float = 1.0
    gap: float = 0.0
    real: float = 0.0


@dataclass(frozen=True)
class Stain:
    """How bright the nuclei are, and what else shines.

    Parameters
    ----------
    look : chromatin, nucleoli and rim (:mod:`phantom.cells.texture`).
    spread : standard deviation of the logarithm of the brightness.
    split : share of the nuclei with a dark plane through their middle.
    bright : share of condensed nuclei, smaller and up to four times as bright.
    debris : specks a nucleus; they have no label.
    fade : share of the light that a nucleus lacks at its border: its edge then lies below half its brightness.
    cytoplasm : brightness of the tissue between the nuclei, nuclei at 1.
    reach : how far from a nucleus' centre that tissue goes, in its radii.
    autofluorescence : standard deviation of its smooth changes, in shares of a nucleus' brightness.
    """

    look: Look = field(default_factory=Look)
    spread: float = 0.2
    split: float = 0.0
    bright: float = 0.0
    debris: float = 0.0
    fade: float = 0.0
    cytoplasm: float = 0.1
    reach: float = 2.0
    autofluorescence: float = 0.0


@dataclass(frozen=True)
class Optics:
    """How the specimen is seen, lengths in voxels.

    Parameters
    ----------
    lateral, axial : σ of the point spread function.
    haze : share of the light that comes out of focus; ``haze_width`` is its σ.
    attenuation : path along z over which light falls to 1/e.
    z_step : planes are so many voxels apart.
    photons : that a typical nucleus sends into a voxel.
    read : standard deviation of the read noise, in shares of a nucleus' brightness.
    grain : σ over which the camera's noise is smeared, as when pixels are coarser than voxels.
    gamma : exponent of the detector's answer.
    stripes : depth of shadows along x.
    """

    lateral: float = 0.7
    axial: float = 1.5
    haze: float = 0.0
    haze_width: float = 8.0
    attenuation: float = np.inf
    z_step: float = 1.0
    photons: float = 200.0
    read: float = 0.02
    grain: float = 0.0
    gamma: float = 1.0
    stripes: float = 0.0


@dataclass(frozen=True)
class Recipe:
    """One specimen; ``difficulty`` from 0 to 1 is what its optics were drawn with."""

    bodies: Bodies = Bodies()
    stain: Stain = Stain()
    optics: Optics = Optics()
    difficulty: float = 0.0


def random_recipe(rng: np.random.Generator, hardest: float = 1.0, real: float = 0.0) -> Recipe:
    """Draw a specimen's numbers; its difficulty is ``hardest · u^1.5``, so that easy ones prevail.

    Parameters
    ----------
    rng : all randomness.
    hardest : greatest difficulty, 0 to 1.
    real : share of the specimens whose nuclei take given shapes.

    Raises
    ------
    ConfigError : a share outside [0, 1].
    """
    for name, share in (("hardest", hardest), ("real", real)):
        if not 0 <= share <= 1:
            raise ConfigError("must lie within 0 and 1", field=name, value=share)
    difficulty = hardest * rng.random() ** 1.5
    return Recipe(_bodies(rng, real), _stain(rng, difficulty), _optics(rng, difficulty), difficulty)


def _bodies(rng: np.random.Generator, real: float) -> Bodies:
    arrangement = ARRANGEMENTS[int(rng.choice(len(ARRANGEMENTS), p=SHARES))]
    usual = rng.random() < 0.7
    diameter = rng.uniform(10, 19) if usual else np.exp(rng.uniform(np.log(6), np.log(32)))
    return Bodies(
        diameter=float(diameter),
        spacing=rng.uniform(0.6, 1.1) if rng.random() < 0.65 else rng.uniform(1.1, 1.8),
        arrangement=arrangement,
        size_spread=rng.uniform(0, 0.25),
        elongation=rng.uniform(0, 0.45),
        bumps=rng.uniform(0, 1),
        flatness=rng.uniform(0.35, 0.8) if rng.random() < (0.6 if arrangement == "sheet" else 0.22) else 1.0,
        gap=rng.uniform(0, 0.25) if rng.random() < 0.5 else 0.0,
        real=rng.uniform(0.5, 1) if rng.random() < real else 0.0,
    )


def _stain(rng: np.random.Generator, h: float) -> Stain:
    contrast = rng.uniform(0, 0.5) if rng.random() < 0.75 else rng.uniform(0.5, 0.95)
    look = Look(contrast, rng.uniform(0.25, 1.2), 0.45, 0.15 if rng.random() < 0.8 else 0.9, 0.15)
    return Stain(
        look=look,
        spread=0.05 + 0.85 * rng.random() ** 1.5,
        split=rng.uniform(0, 0.25) if rng.random() < 0.3 else 0.0,
        bright=rng.uniform(0, 0.15) if rng.random() < 0.4 else 0.0,
        debris=rng.uniform(0, 0.6) if rng.random() < 0.3 else 0.0,
        fade=rng.uniform(0.1, 0.85) if rng.random() < 0.4 else 0.0,
        cytoplasm=rng.uniform(0, 0.15 + 0.45 * h),
        reach=rng.uniform(1.4, 2.9),
        autofluorescence=rng.uniform(0, 0.4 * h),
    )


def _optics(rng: np.random.Generator, h: float) -> Optics:
    lateral = 0.2 + h * rng.uniform(0.3, 1.3)
    return Optics(
        lateral=lateral,
        axial=lateral * (1 + h * rng.uniform(0.5, 2.5)),
        haze=rng.uniform(0, 0.7) * h if rng.random() < 0.7 else 0.0,
        haze_width=rng.uniform(4, 14),
        attenuation=np.exp(rng.uniform(np.log(30), np.log(300))) if rng.random() < 0.5 else np.inf,
        z_step=rng.uniform(1, 1 + 3 * min(1.0, h + 0.3)) if rng.random() < 0.6 else 1.0,
        photons=400 * (8 / 400) ** (h * rng.uniform(0.6, 1)),
        read=0.005 * (0.2 / 0.005) ** (h * rng.uniform(0.6, 1)),
        grain=rng.uniform(0.3, 0.9) if rng.random() < 0.4 else 0.0,
        gamma=rng.uniform(0.7, 1.4) if rng.random() < 0.5 else 1.0,
        stripes=rng.uniform(0, 0.4) * h if rng.random() < 0.15 else 0.0,
    )
