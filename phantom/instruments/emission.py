"""What fluorescence instruments share: light that a specimen sends, and what the tissue above leaves of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phantom.anatomy import tissues
from phantom.physics.attenuation import haze_sigma_um, parted, scattering_per_mm, transmission
from phantom.physics.bleaching import unbleached
from phantom.physics.blur import axial_reach_um, depth_blurred
from phantom.physics.psf import Spread, aberrated
from phantom.scene import Scene
from volumes.errors import GridError
from volumes.shapes import Voxels


@dataclass(frozen=True, eq=False)
class Source:
    """What shines.

    Parameters
    ----------
    dye : the cells' dye, one of :data:`~phantom.cells.cells.DYES`.
    photons : that a voxel of the median nucleus sends to the detector from the specimen's surface, under full light.
    tissue : light of each tissue without any dyed cell, (K,), relative to the median nucleus.
    bleaching_s : lifetime of the cells' dye under this instrument's light.
    resistant : share of the cells' dye that does not fade.
    """

    dye: str
    photons: float
    tissue: NDArray[np.float64]
    bleaching_s: float
    resistant: float

    def light(self, scene: Scene) -> Voxels:
        """Photons from each voxel of slab and halo, float32: ``photons (dye · unbleached + tissue)``."""
        left = unbleached(scene.time_s, self.bleaching_s, self.resistant)
        out = scene.dye(self.dye) * np.float32(self.photons * left)
        out += scene.tissue(self.photons * self.tissue, textured=True)
        return out


@dataclass(frozen=True, eq=False)
class Turbidity:
    """What tissue does to light of one wavelength: coefficients of each tissue, (K,) 1/mm.

    Parameters
    ----------
    scattering_per_mm : of all scattering.
    absorption_per_mm : of absorption.
    reduced_per_mm : reduced scattering of the tissue that cells live in.
    """

    scattering_per_mm: NDArray[np.float64]
    absorption_per_mm: NDArray[np.float64]
    reduced_per_mm: float

    @classmethod
    def at(cls, wavelength_nm: float, multiple: float) -> Turbidity:
        """That of :mod:`~phantom.anatomy.tissues`, the scattering taken so many times."""
        reduced = multiple * tissues.reduced_scattering_per_mm(wavelength_nm)
        living = float(reduced[tissues.living()].mean())
        return cls(scattering_per_mm(reduced), tissues.absorption_per_mm(wavelength_nm), living)


@dataclass(frozen=True, eq=False)
class Detection:
    """The way from the specimen to the detector.

    Parameters
    ----------
    spread : the point spread function at the specimen's surface.
    aberration_um : depth at which its variance has doubled.
    turbidity : of the tissue for the light that is detected.
    collected : share of the scattered light that is detected, as haze.
    depth_um : of the field, beyond which the point spread function grows no more.
    """

    spread: Spread
    aberration_um: float
    turbidity: Turbidity
    collected: float
    depth_um: float

    def depths_um(self, scene: Scene) -> NDArray[np.float64]:
        """Depth of each plane of slab and halo below plane 0, kept within the field, (z,)."""
        planes = scene.first + np.arange(scene.shape[0])
        return np.clip(planes * scene.spacing_um[0], 0, self.depth_um)

    def halo_um(self, spacing_um: float) -> float:
        """How far light is carried along z at the most, for planes that are so far apart."""
        return axial_reach_um(float(aberrated(self.spread.axial_um, self.depth_um, self.aberration_um)), spacing_um)

    def leaving(self, scene: Scene, light: Voxels) -> tuple[Voxels, Voxels]:
        """What comes out of the tissue, unblurred: ballistic light and haze."""
        light = light * transmission(scene.path(self.turbidity.absorption_per_mm))
        return parted(light, scene.path(self.turbidity.scattering_per_mm), self.collected)

    def lateral_um(self, depths_um: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """σ across the optical axis of ballistic light and of haze from each depth."""
        sharp = aberrated(self.spread.lateral_um, depths_um, self.aberration_um)
        return sharp, np.hypot(sharp, haze_sigma_um(depths_um, self.turbidity.reduced_per_mm))

    def photons(self, scene: Scene, light: Voxels) -> Voxels:
        """Photons at the detector for each voxel of the core planes, float32.

        Raises
        ------
        GridError : a halo that is thinner than the blur reaches.
        """
        self.require_halo(scene)
        depths = self.depths_um(scene)
        axial = aberrated(self.spread.axial_um, depths, self.aberration_um)
        return depth_blurred(
            self.leaving(scene, light), self.lateral_um(depths), axial, scene.spacing_um, core=scene.core
        )

    def require_halo(self, scene: Scene) -> None:
        """Raise GridError when light from beyond the scene would be missed in its core planes."""
        halo = self.halo_um(scene.spacing_um[0])
        thinnest = min(scene.core.start, scene.shape[0] - scene.core.stop) * scene.spacing_um[0]
        if thinnest < halo * (1 - 1e-6):
            raise GridError(
                "is thinner than the blur reaches",
                field="halo",
                value=thinnest,
                remedy=f"Add {halo:g} µm of planes on both sides of the core",
            )
