"""Fluorescence in sections: a light-sheet microscope with its camera, a confocal one with its photomultiplier."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from phantom.anatomy import tissues
from phantom.instruments.difficulty import chosen, over, require_difficulty
from phantom.instruments.emission import Detection, Source, Turbidity
from phantom.instruments.instrument import InstrumentConfig, NotNegative, Picture, Positive, Share
from phantom.physics.attenuation import transmission
from phantom.physics.camera import Camera
from phantom.physics.psf import Spread, confocal, sheet_sigma_um, widefield
from phantom.physics.stripes import stripes
from phantom.scene import Scene
from volumes.shapes import Voxels
from volumes.volume import Channel

Wavelength = Annotated[float, Field(ge=400, le=1700)]
EFFICIENCY = 0.8
"""Electrons a photon of a scientific CMOS camera."""
COUNTS = 350.0
"""What exposure and amplification are set for, offset apart."""
AIRY = 0.61
"""Radius of the Airy disc, ``0.61 λ / NA``: the usual pinhole."""


@dataclass(frozen=True, eq=False)
class LightSheet:
    """A sheet of light from before column 0 lights one plane at a time; a camera before plane 0 looks at it.

    Parameters
    ----------
    channel : what it writes.
    source : what shines.
    excitation_per_mm : what each tissue takes from the sheet, (K,).
    stripes : depth of the deepest shadows, as a share of the light.
    detection : from the specimen to the camera.
    background : photons that every voxel gets without any specimen.
    camera : the detector.
    plane_um : distance of the planes.
    """

    channel: Channel
    source: Source
    excitation_per_mm: NDArray[np.float64]
    stripes: float
    detection: Detection
    background: float
    camera: Camera
    plane_um: float

    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.uint16)
    projects: ClassVar[bool] = False

    @property
    def dye(self) -> str:
        """The dye that it looks at."""
        return self.source.dye

    @property
    def halo_um(self) -> float:
        """How far light is carried along z."""
        return self.detection.halo_um(self.plane_um)

    def take(self, scene: Scene, noise: Sequence[np.random.Generator]) -> Picture:
        """The core planes, uint16; ``clean`` is their expectation before rounding and saturation, hot pixels apart."""
        light = self.source.light(scene)
        light *= transmission(scene.path(self.excitation_per_mm, axis=2))
        if self.stripes:
            planes = range(scene.first, scene.first + scene.shape[0])
            light *= stripes(planes, scene.shape[1:], scene.spacing_um, self.stripes, scene.seed)
        return _recorded(self.detection, self.background, self.camera, scene, light, noise)


@dataclass(frozen=True, eq=False)
class Confocal:
    """A laser spot scans every plane; a photomultiplier behind a pinhole counts what comes back.

    Parameters
    ----------
    channel, source, excitation_per_mm, detection, background, camera, plane_um : as in :class:`LightSheet`; the laser
        comes from before plane 0, as the detected light goes.
    """

    channel: Channel
    source: Source
    excitation_per_mm: NDArray[np.float64]
    detection: Detection
    background: float
    camera: Camera
    plane_um: float

    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.uint16)
    projects: ClassVar[bool] = False

    @property
    def dye(self) -> str:
        """The dye that it looks at."""
        return self.source.dye

    @property
    def halo_um(self) -> float:
        """How far light is carried along z."""
        return self.detection.halo_um(self.plane_um)

    def take(self, scene: Scene, noise: Sequence[np.random.Generator]) -> Picture:
        """The core planes, uint16; ``clean`` is their expectation before rounding and saturation."""
        light = self.source.light(scene)
        light *= transmission(scene.path(self.excitation_per_mm))
        return _recorded(self.detection, self.background, self.camera, scene, light, noise)


def _recorded(
    detection: Detection,
    background: float,
    camera: Camera,
    scene: Scene,
    light: Voxels,
    noise: Sequence[np.random.Generator],
) -> Picture:
    photons = detection.photons(scene, light)
    photons += np.float32(background)
    return Picture(camera.picture(photons, noise, scene.seed), camera.expected(photons))


class FluorescenceConfig(InstrumentConfig):
    """What a light-sheet and a confocal microscope are both told."""

    easy_photons: ClassVar[float]

    dye: Literal["nuclear", "membrane"] = "nuclear"
    excitation_nm: Wavelength = 488.0
    emission_nm: Wavelength = 520.0
    refractive_index: Annotated[float, Field(ge=1, le=2)] = 1.33
    numerical_aperture: Positive | None = Field(None, description="left out: 1 falling to 0.3 with difficulty")
    photons: Positive | None = Field(
        None,
        description="from a voxel of the median nucleus at the surface; left out: 52 (light sheet) or 190 (confocal), "
        "divided by (1 + 5 × difficulty)²",
    )
    background: NotNegative | None = Field(
        None, description="photons a voxel without any specimen; left out: 0.3 × difficulty × photons"
    )
    autofluorescence: NotNegative | None = Field(
        None, description="the tissue's own light, as a multiple of the usual; left out: 2 × difficulty"
    )
    turbidity: NotNegative | None = Field(
        None, description="the tissue's scattering, as a multiple of the usual; left out: 4 × difficulty"
    )
    aberration_um: Positive | None = Field(
        None, description="depth at which the blur's variance has doubled; left out: 10 / difficulty"
    )
    bleaching_s: Positive | None = Field(None, description="lifetime of the dye; left out: 1800 / difficulty")
    resistant: Share = Field(0.2, description="share of the dye that does not fade")
    read_noise: NotNegative | None = Field(None, description="electrons; left out: 0.5 + difficulty")
    gain: Positive | None = Field(
        None, description=f"counts an electron; left out: the median nucleus at the surface gives {COUNTS:g} counts"
    )
    offset: NotNegative = Field(100.0, le=60000, description="counts without light")

    @model_validator(mode="after")
    def _focuses(self) -> FluorescenceConfig:
        if self.numerical_aperture is not None and self.numerical_aperture >= self.refractive_index:
            raise ValueError(f"numerical_aperture must be below the refractive index {self.refractive_index}")
        return self

    @property
    def depth_um(self) -> float:
        """Depth of the field."""
        return self.shape[0] * self.spacing_um[0]

    def aperture(self, difficulty: float) -> float:
        """The numerical aperture."""
        return self.numerical_aperture or 0.3**difficulty

    def brightness(self, difficulty: float) -> float:
        """Photons of the median nucleus."""
        return self.photons or self.easy_photons / (1 + 5 * difficulty) ** 2

    def stray(self, difficulty: float) -> float:
        """Photons without any specimen."""
        return chosen(self.background, 0.3 * difficulty * self.brightness(difficulty))

    def source(self, difficulty: float) -> Source:
        """What shines."""
        own = chosen(self.autofluorescence, 2 * difficulty) * tissues.autofluorescence()
        lifetime = self.bleaching_s or over(1800, difficulty)
        return Source(self.dye, self.brightness(difficulty), own, lifetime, self.resistant)

    def scattering(self, wavelength_nm: float, difficulty: float) -> Turbidity:
        """The tissue at a wavelength."""
        return Turbidity.at(wavelength_nm, chosen(self.turbidity, 4 * difficulty))

    def detection(self, spread: Spread, collected: float, difficulty: float) -> Detection:
        """The way to the detector."""
        clear = self.aberration_um or over(10, difficulty)
        return Detection(spread, clear, self.scattering(self.emission_nm, difficulty), collected, self.depth_um)

    def amplified(self, efficiency: float, difficulty: float) -> float:
        """Counts an electron."""
        return self.gain or COUNTS / (efficiency * self.brightness(difficulty))

    def electrons(self, difficulty: float) -> float:
        """Read noise."""
        return chosen(self.read_noise, 0.5 + difficulty)


class LightSheetConfig(FluorescenceConfig):
    """A light-sheet microscope with a scientific CMOS camera."""

    easy_photons = 52.0

    kind: Literal["light_sheet"] = "light_sheet"
    sheet_sigma_um: Positive | None = Field(
        None, description="of the sheet, along z; left out: as thin as stays so over the field"
    )
    stripes: Share | None = Field(None, lt=1, description="depth of the deepest shadows; left out: 0.8 × difficulty")
    collected: Share = Field(0.5, description="share of the scattered light that the camera sees, as haze")
    hot_pixels: Share | None = Field(None, description="their share; left out: 0.0002 × difficulty")

    def build(self, difficulty: float) -> LightSheet:
        """The microscope; what is left out follows from the difficulty, 0 to 1.

        Raises
        ------
        ConfigError : a difficulty outside of [0, 1].
        """
        require_difficulty(difficulty)
        lens = widefield(self.aperture(difficulty), self.emission_nm, self.refractive_index)
        field_um = self.shape[2] * self.spacing_um[2]
        sheet = self.sheet_sigma_um or sheet_sigma_um(self.excitation_nm, self.refractive_index, field_um)
        lit = self.scattering(self.excitation_nm, difficulty)
        reduced = chosen(self.turbidity, 4 * difficulty) * tissues.reduced_scattering_per_mm(self.excitation_nm)
        return LightSheet(
            channel=Channel(self.dye, "fluorescence", self.emission_nm),
            source=self.source(difficulty),
            # Light scattered by a few degrees stays in the sheet: only the reduced scattering takes it away.
            excitation_per_mm=lit.absorption_per_mm + reduced,
            stripes=chosen(self.stripes, 0.8 * difficulty),
            detection=self.detection(lens.narrowed(Spread(sheet, math.inf)), self.collected, difficulty),
            background=self.stray(difficulty),
            camera=Camera(
                gain=self.amplified(EFFICIENCY, difficulty),
                offset=self.offset,
                read_sd=self.electrons(difficulty),
                efficiency=EFFICIENCY,
                hot_share=chosen(self.hot_pixels, 0.0002 * difficulty),
            ),
            plane_um=self.spacing_um[0],
        )


class ConfocalConfig(FluorescenceConfig):
    """A point-scanning confocal microscope with a photomultiplier."""

    easy_photons = 190.0

    kind: Literal["confocal"] = "confocal"
    offset: NotNegative = Field(20.0, le=60000, description="counts without light")
    pinhole: Positive = Field(1.0, description="radius in Airy radii")
    collected: Share = Field(0.1, description="share of the scattered light that passes the pinhole, as haze")
    excess_noise: Annotated[float, Field(ge=1, le=4)] = Field(1.3, description="factor F² of the photomultiplier")
    efficiency: Annotated[float, Field(gt=0, le=1)] = Field(0.4, description="electrons a photon")

    def build(self, difficulty: float) -> Confocal:
        """The microscope; what is left out follows from the difficulty, 0 to 1.

        Raises
        ------
        ConfigError : a difficulty outside of [0, 1].
        """
        require_difficulty(difficulty)
        aperture = self.aperture(difficulty)
        pinhole_um = self.pinhole * AIRY * self.emission_nm * 1e-3 / aperture
        spread = confocal(aperture, self.excitation_nm, self.emission_nm, self.refractive_index, pinhole_um)
        lit = self.scattering(self.excitation_nm, difficulty)
        return Confocal(
            channel=Channel(self.dye, "fluorescence", self.emission_nm),
            source=self.source(difficulty),
            excitation_per_mm=lit.absorption_per_mm + lit.scattering_per_mm,
            detection=self.detection(spread, self.collected, difficulty),
            background=self.stray(difficulty),
            camera=Camera(
                gain=self.amplified(self.efficiency, difficulty),
                offset=self.offset,
                read_sd=self.electrons(difficulty),
                efficiency=self.efficiency,
                excess=self.excess_noise,
            ),
            plane_um=self.spacing_um[0],
        )
