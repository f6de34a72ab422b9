"""Short-wave infrared: a dye in cells and vessels, seen through less scattering, blurred more, on a noisy sensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from phantom.anatomy import tissues
from phantom.instruments.difficulty import chosen, over, require_difficulty
from phantom.instruments.emission import Detection, Source, Turbidity
from phantom.instruments.instrument import InstrumentConfig, NotNegative, Picture, Positive, Share
from phantom.physics.blur import projected
from phantom.physics.camera import Camera
from phantom.physics.psf import widefield
from phantom.scene import Scene
from volumes.shapes import Voxels
from volumes.volume import Channel

VISIBLE_NM = 520.0
"""Aberrations are given for this wavelength; a wavefront's variance falls with the square of the wavelength."""


@dataclass(frozen=True, eq=False)
class SWIR:
    """A stack of widefield pictures, each focused on its plane.

    Parameters
    ----------
    channel : what it writes.
    source : what shines: the cells' dye "swir", and what the tissue took up.
    detection : from the specimen to the sensor.
    background : photons that every voxel gets without any specimen.
    camera : an InGaAs sensor.
    plane_um : distance of the planes.
    """

    channel: Channel
    source: Source
    detection: Detection
    background: float
    camera: Camera
    plane_um: float

    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.uint16)
    projects: ClassVar[bool] = False

    @property
    def halo_um(self) -> float:
        """How far light is carried along z."""
        return self.detection.halo_um(self.plane_um)

    def take(self, scene: Scene, noise: Sequence[np.random.Generator]) -> Picture:
        """The core planes, uint16; ``clean`` is their expectation before rounding and saturation, hot pixels apart."""
        photons = self.detection.photons(scene, self.source.light(scene))
        photons += np.float32(self.background)
        return Picture(self.camera.picture(photons, noise, scene.seed), self.camera.expected(photons))


@dataclass(frozen=True, eq=False)
class SWIRProjection:
    """One picture of the whole depth, focused on one plane of it.

    Parameters
    ----------
    channel, source, detection, background, camera : as in :class:`SWIR`; a picture has as many photons as its planes
        have on average, so that ``source.photons`` means the same for every depth.
    focus_um : depth of the plane in focus, below plane 0.
    cone : blur a µm of distance from it: ``NA / (2 n)``, since the rays to a lens fill a disc.
    """

    channel: Channel
    source: Source
    detection: Detection
    background: float
    camera: Camera
    focus_um: float
    cone: float

    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.uint16)
    projects: ClassVar[bool] = True
    halo_um: ClassVar[float] = 0.0

    def take(self, scene: Scene, noise: Sequence[np.random.Generator]) -> Picture:
        """One plane, uint16; ``clean`` as in :meth:`SWIR.take`."""
        photons = self.photons(scene)
        photons += np.float32(self.background)
        return Picture(self.camera.picture(photons, noise, scene.seed), self.camera.expected(photons))

    def photons(self, scene: Scene) -> Voxels:
        """Photons from the core planes at each pixel, (1, y, x) float32."""
        depths = self.detection.depths_um(scene)
        defocus = self.cone * (depths - self.focus_um)
        sigmas = [np.hypot(sigma, defocus)[scene.core] for sigma in self.detection.lateral_um(depths)]
        lights = [light[scene.core] for light in self.detection.leaving(scene, self.source.light(scene))]
        return projected(lights, sigmas, scene.spacing_um) / np.float32(len(lights[0]))


class _SWIRConfig(InstrumentConfig):
    """What both kinds are told."""

    wavelength_nm: Annotated[float, Field(ge=900, le=1700)] = 1300.0
    refractive_index: Annotated[float, Field(ge=1, le=2)] = 1.33
    numerical_aperture: Annotated[float, Field(ge=0.01, lt=1)] | None = Field(
        None, description="left out: 0.8 falling to 0.3 with difficulty"
    )
    photons: Positive | None = Field(
        None,
        description="from a voxel of the median nucleus at the surface; left out: 4000 falling to 200 with difficulty",
    )
    background: NotNegative | None = Field(
        None, description="photons without any specimen; left out: 0.3 × difficulty × photons"
    )
    uptake: NotNegative = Field(0.5, description="of the dye by blood, relative to the median nucleus")
    turbidity: NotNegative | None = Field(
        None, description="the tissue's scattering, as a multiple of the usual; left out: 4 × difficulty"
    )
    aberration_um: Positive | None = Field(
        None, description="depth at which the blur's variance has doubled at 520 nm; left out: 10 / difficulty"
    )
    collected: Share = Field(0.7, description="share of the scattered light that the sensor sees, as haze")
    dark: NotNegative | None = Field(None, description="electrons of dark current; left out: 1500 × difficulty")
    read_noise: NotNegative | None = Field(None, description="electrons; left out: 15 + 30 × difficulty")
    hot_pixels: Share | None = Field(None, description="their share; left out: 0.004 × difficulty")
    gain: Positive = Field(0.5, description="counts an electron")
    offset: NotNegative = Field(500.0, le=15000, description="counts without light")

    def aperture(self, difficulty: float) -> float:
        """The numerical aperture."""
        return self.numerical_aperture or 0.8 * 0.375**difficulty

    def brightness(self, difficulty: float) -> float:
        """Photons of the median nucleus."""
        return self.photons or 4000 * 0.05**difficulty

    def source(self, difficulty: float) -> Source:
        """What shines; such dyes hardly fade."""
        return Source("swir", self.brightness(difficulty), self.uptake * tissues.swir_uptake(), float("inf"), 1.0)

    def stray(self, difficulty: float) -> float:
        """Photons without any specimen."""
        return chosen(self.background, 0.3 * difficulty * self.brightness(difficulty))

    def detection(self, difficulty: float) -> Detection:
        """The way to the sensor; absorption, mostly by water, is in the tissue."""
        clear = (self.aberration_um or over(10, difficulty)) * (self.wavelength_nm / VISIBLE_NM) ** 2
        return Detection(
            spread=widefield(self.aperture(difficulty), self.wavelength_nm, self.refractive_index),
            aberration_um=clear,
            turbidity=Turbidity.at(self.wavelength_nm, chosen(self.turbidity, 4 * difficulty)),
            collected=self.collected,
            depth_um=self.shape[0] * self.spacing_um[0],
        )

    def camera(self, difficulty: float) -> Camera:
        """An InGaAs sensor of 14 bits."""
        return Camera(
            gain=self.gain,
            offset=self.offset,
            read_sd=chosen(self.read_noise, 15 + 30 * difficulty),
            dark=chosen(self.dark, 1500 * difficulty),
            hot_share=chosen(self.hot_pixels, 0.004 * difficulty),
            hot=1000.0,
            saturation=2**14 - 1,
        )

    def channel(self) -> Channel:
        """What it writes."""
        return Channel("SWIR", "SWIR", self.wavelength_nm)


class SWIRConfig(_SWIRConfig):
    """A stack of short-wave infrared pictures."""

    kind: Literal["swir"] = "swir"

    def build(self, difficulty: float) -> SWIR:
        """The instrument; what is left out follows from the difficulty, 0 to 1.

        Raises
        ------
        ConfigError : a difficulty outside of [0, 1].
        """
        require_difficulty(difficulty)
        return SWIR(
            channel=self.channel(),
            source=self.source(difficulty),
            detection=self.detection(difficulty),
            background=self.stray(difficulty),
            camera=self.camera(difficulty),
            plane_um=self.spacing_um[0],
        )


class SWIRProjectionConfig(_SWIRConfig):
    """A single short-wave infrared picture of the whole depth."""

    kind: Literal["swir_projection"] = "swir_projection"
    focus_um: NotNegative | None = Field(None, description="depth in focus; left out: a third of the field's depth")

    def build(self, difficulty: float) -> SWIRProjection:
        """The instrument; what is left out follows from the difficulty, 0 to 1.

        Raises
        ------
        ConfigError : a difficulty outside of [0, 1].
        """
        require_difficulty(difficulty)
        detection = self.detection(difficulty)
        return SWIRProjection(
            channel=self.channel(),
            source=self.source(difficulty),
            detection=detection,
            background=self.stray(difficulty),
            camera=self.camera(difficulty),
            focus_um=chosen(self.focus_um, detection.depth_um / 3),
            cone=self.aperture(difficulty) / (2 * self.refractive_index),
        )
