"""Micro-CT: attenuation of a stained specimen, projected, counted photon by photon and reconstructed slice by slice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from phantom.anatomy.tissues import TISSUES, xray_per_mm
from phantom.anatomy.xray import HIGHEST_KEV, LOWEST_KEV, mass_attenuation_cm2_per_g
from phantom.instruments.instrument import Count, InstrumentConfig, NotNegative, Picture, Positive, Share
from phantom.physics.backprojection import Window, noise_per_mm, reconstructed
from phantom.physics.projection_noise import counted, line_integrals
from phantom.physics.radon import ParallelBeam, projected
from phantom.physics.rings import gains
from phantom.physics.xrays import hardened, hounsfield, iodine_per_mm
from phantom.scene import Scene
from volumes.errors import ConfigError
from volumes.shapes import Voxels
from volumes.volume import Channel

UPTAKE = {
    "medium": 0.0,
    "yolk": 0.5,
    "neural": 1.0,
    "neuropil": 0.8,
    "soft": 1.2,
    "notochord": 0.4,
    "bone": 0.1,
    "pigment": 0.8,
    "vessel": 1.1,
    "skin": 1.0,
    "lumen": 0.0,
}
"""Iodine in each tissue, relative to neural tissue: muscle and blood take up most, mineral and clear fluid hardly any.

The order follows Metscher 2009, "MicroCT for comparative morphology", BMC Physiology 9; the numbers are assumed."""
SAME_SIDE = 1e-6
"""Relative difference of two spacings that still make a square pixel."""


@dataclass(frozen=True, eq=False)
class CT:
    """A parallel-beam scanner that turns about the index axis z; every slice z is a scan of its own.

    A specimen of micrometres hardly weakens X-rays (p ≈ 0.01), so it is stained, as specimens are: iodine adds to µ in
    proportion to its concentration, most of all in nuclei. What is scanned is the excess over the medium, I₀ being
    counted behind the medium alone; so nothing is truncated when medium or specimen go on beyond the field of view:
    what lies outside of a slice counts as medium.

    Parameters
    ----------
    water_per_mm : µ of water, 0 on the scale that it writes.
    tissue_per_mm : µ of each tissue without stain, (K,); the first is the medium.
    stain_per_mm : what the stain adds to it, (K,); it follows the tissue's fine structure.
    nuclei_per_mm : what it adds in nuclei on top.
    views : projections over half a turn.
    photons : I₀, for each view and column.
    electronic_sd : noise of the electronics, in photons.
    ring_sd : deviation of ln(gain) of the detector's columns.
    hardening : half the relative spread of µ over the beam's energies.
    window : taper of the reconstruction's ramp.
    """

    water_per_mm: float
    tissue_per_mm: NDArray[np.float64]
    stain_per_mm: NDArray[np.float64]
    nuclei_per_mm: float
    views: int
    photons: float
    electronic_sd: float
    ring_sd: float
    hardening: float
    window: Window

    channel: ClassVar[Channel] = Channel("CT", "CT")
    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.int16)
    projects: ClassVar[bool] = False
    halo_um: ClassVar[float] = 0.0

    def take(self, scene: Scene, noise: Sequence[np.random.Generator]) -> Picture:
        """The core slices in Hounsfield units; ``clean`` has no noise and no rings, but all else that the scanner does.

        Gains belong to the detector: they follow from the scene's seed and the plane, and stay over time.

        Raises
        ------
        ConfigError : pixels that are not square, or not one generator for each core plane.
        """
        excess = self.excess_per_mm(scene)
        if len(noise) != len(excess):
            raise ConfigError(f"needs one generator for each of {len(excess)} planes", field="noise", value=len(noise))
        beam = _beam(excess.shape[1:], scene.spacing_um, self.views)
        paths = projected(excess, beam)
        for path in paths:
            path[:] = hardened(path, self.hardening)
        clean = self._in_hounsfield(reconstructed(paths, beam, self.window))
        first = scene.first + scene.core.start
        for z, rng in enumerate(noise):
            gain = gains(beam.detectors, self.ring_sd, np.random.default_rng((scene.seed, first + z)))
            counts = counted(paths[z], self.photons, gain, self.electronic_sd, rng)
            paths[z] = line_integrals(counts, self.photons)
        noisy = self._in_hounsfield(reconstructed(paths, beam, self.window))
        limits = np.iinfo(np.int16)
        return Picture(np.rint(noisy).clip(limits.min, limits.max).astype(np.int16), clean)

    def excess_per_mm(self, scene: Scene) -> Voxels:
        """µ of the core planes less that of the medium, 1/mm, float32."""
        excess = scene.tissue(self.tissue_per_mm - self.tissue_per_mm[0])[scene.core]
        if self.stain_per_mm.any():
            excess = excess + scene.tissue(self.stain_per_mm, textured=True)[scene.core]
        return excess + np.float32(self.nuclei_per_mm) * scene.nuclei()[scene.core]

    def _in_hounsfield(self, excess_per_mm: Voxels) -> Voxels:
        return hounsfield(excess_per_mm + np.float32(self.tissue_per_mm[0]), self.water_per_mm)


class CTConfig(InstrumentConfig):
    """A micro-CT of a specimen stained with iodine."""

    kind: Literal["ct"] = "ct"
    kev: float = Field(
        30.0, ge=LOWEST_KEV, le=HIGHEST_KEV, description="energy of the beam; iodine's K edge is at 33.17"
    )
    stain_mg_per_ml: NotNegative = Field(25.0, description="iodine in neural tissue; that of others follows")
    nuclear_uptake: NotNegative = Field(0.5, description="iodine in nuclei on top, relative to neural tissue")
    views: Count = Field(240, description="projections over half a turn")
    noise_hu: Positive | None = Field(
        None, description="noise of a slice, to which the exposure is chosen; left out: 40 × 16^difficulty"
    )
    photons: Positive | None = Field(None, description="for each view and column, in place of noise_hu")
    electronic_sd: NotNegative = Field(10.0, description="noise of the electronics, in photons")
    ring_sd: NotNegative | None = Field(
        None, description="relative error of the columns' gains; left out: 8^difficulty / √(photons × views)"
    )
    hardening: Share | None = Field(
        None, lt=1, description="half the relative spread of µ over the beam; left out: 0.3 × difficulty"
    )
    window: Window = "hann"

    @model_validator(mode="after")
    def _fits(self) -> CTConfig:
        if abs(self.spacing_um[1] / self.spacing_um[2] - 1) > SAME_SIDE:
            raise ValueError(f"spacing_um: CT slices need square pixels, y = x (found {self.spacing_um[1:]})")
        if self.photons is not None and self.noise_hu is not None:
            raise ValueError("noise_hu and photons both set the exposure: state one of them")
        return self

    def build(self, difficulty: float) -> CT:
        """The scanner; what is left out follows from the difficulty, 0 to 1.

        Raises
        ------
        ConfigError : a difficulty outside of [0, 1], or no light on the detector.
        """
        if not 0 <= difficulty <= 1:
            raise ConfigError("must be in [0, 1]", field="difficulty", value=difficulty)
        stain = self.stain_mg_per_ml * iodine_per_mm(self.kev)
        photons = self.photons or self._exposure(self.noise_hu or 40 * 16**difficulty)
        ring_sd = 8**difficulty / np.sqrt(photons * self.views) if self.ring_sd is None else self.ring_sd
        if not (photons >= 1 and ring_sd <= 1):
            raise ConfigError(
                f"leave {photons:.3g} photons and columns whose gains differ by {ring_sd:.3g}: no picture",
                field="photons, noise_hu, ring_sd",
                value=(self.photons, self.noise_hu, self.ring_sd),
                remedy="Ask for 1 photon or more, and for gains that differ by 1 or less",
            )
        return CT(
            water_per_mm=self._water_per_mm(),
            tissue_per_mm=xray_per_mm(self.kev),
            stain_per_mm=stain * np.array([UPTAKE[tissue.name] for tissue in TISSUES]),
            nuclei_per_mm=stain * self.nuclear_uptake,
            views=self.views,
            photons=photons,
            electronic_sd=self.electronic_sd,
            ring_sd=float(ring_sd),
            hardening=0.3 * difficulty if self.hardening is None else self.hardening,
            window=self.window,
        )

    def _water_per_mm(self) -> float:
        return mass_attenuation_cm2_per_g("water", self.kev) / 10

    def _exposure(self, noise_hu: float) -> float:
        """Photons that leave this noise where the specimen itself weakens little: ``σ_p² = 1 / I₀``."""
        beam = _beam(self.shape[1:], self.spacing_um, self.views)
        wanted_per_mm = noise_hu / 1000 * self._water_per_mm()
        return (noise_per_mm(beam, self.window) / wanted_per_mm) ** 2


def _beam(shape: Sequence[int], spacing_um: Sequence[float], views: int) -> ParallelBeam:
    """Rays for slices (y, x) of square pixels."""
    if abs(spacing_um[1] / spacing_um[2] - 1) > SAME_SIDE:
        raise ConfigError("CT slices need square pixels, y = x", field="spacing_um", value=tuple(spacing_um))
    return ParallelBeam(shape[0], shape[1], spacing_um[1] / 1000, views)
