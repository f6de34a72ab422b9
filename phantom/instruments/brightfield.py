"""A lamp below, a camera above: pigment casts shadows, and what bends light shows where the focus misses it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from phantom.anatomy import tissues
from phantom.instruments.difficulty import chosen, require_difficulty
from phantom.instruments.emission import Turbidity
from phantom.instruments.instrument import Finite, InstrumentConfig, NotNegative, Picture, Positive, Share
from phantom.physics.attenuation import haze_sigma_um, parted
from phantom.physics.blur import plane_blurred
from phantom.physics.camera import Camera
from phantom.physics.psf import widefield
from phantom.physics.transmitted import focal_stack
from phantom.scene import Scene
from volumes.errors import GridError
from volumes.shapes import Voxels
from volumes.volume import Channel

DETAIL_UM = 5.0
"""Planes matter for a focus until their shadows are blurred by this σ."""
FAR = 1 << 20
"""A plane behind every specimen: the integral up to there is that of the whole column."""


@dataclass(frozen=True, eq=False)
class Brightfield:
    """A transmitted-light microscope that focuses on one plane after another.

    Parameters
    ----------
    channel : what it writes.
    photons : of the lamp in each voxel, without any specimen.
    turbidity : of the tissue for the lamp's light.
    index : excess of each tissue's refractive index over the medium's, (K,).
    nucleus_index : excess of the nuclei's over the tissue around them.
    medium_index : refractive index of the medium.
    sigma_um : of the point spread function in focus.
    cone : blur a µm of distance from the focus.
    camera : the detector.
    plane_um : distance of the planes.
    """

    channel: Channel
    photons: float
    turbidity: Turbidity
    index: NDArray[np.float64]
    nucleus_index: float
    medium_index: float
    sigma_um: float
    cone: float
    camera: Camera
    plane_um: float

    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.uint16)
    projects: ClassVar[bool] = False

    @property
    def halo_um(self) -> float:
        """How far from the focus detail still shows, whole planes."""
        return math.ceil(DETAIL_UM / self.cone / self.plane_um) * self.plane_um

    def take(self, scene: Scene, noise: Sequence[np.random.Generator]) -> Picture:
        """The core planes, uint16; ``clean`` is their expectation before rounding and saturation."""
        photons = self.seen(scene)
        photons *= np.float32(self.photons)
        return Picture(self.camera.picture(photons, noise, scene.seed), self.camera.expected(photons))

    def seen(self, scene: Scene) -> Voxels:
        """The share of the lamp's light in each voxel of the core planes, float32.

        Raises
        ------
        GridError : a halo that is thinner than detail reaches.
        """
        around = round(self.halo_um / self.plane_um)
        if min(scene.core.start, scene.shape[0] - scene.core.stop) < around:
            raise GridError("has too few planes", field="halo", value=scene.core, remedy=f"Add {around} on both sides")
        used = slice(scene.core.start - around, scene.core.stop + around)
        stack = focal_stack(
            self.absorbed(scene)[used],
            self.delayed_um(scene)[used],
            self.column(scene),
            self.sigma_um,
            self.cone,
            self.medium_index,
            scene.spacing_um,
            around,
        )
        return self.veiled(scene, stack)

    def absorbed(self, scene: Scene) -> Voxels:
        """Optical depth of each voxel, float32."""
        return scene.tissue(self.turbidity.absorption_per_mm * self.plane_um * 1e-3)

    def delayed_um(self, scene: Scene) -> Voxels:
        """Excess of the refractive index in each voxel times its thickness, float32."""
        out = scene.tissue(self.index * self.plane_um, textured=True)
        out += scene.nuclei() * np.float32(self.nucleus_index * self.plane_um)
        return out

    def column(self, scene: Scene) -> NDArray[np.float32]:
        """Optical depth of everything above each pixel, (y, x)."""
        _planes, y, x = scene.shape
        whole: NDArray[np.float32] = scene.paths.sampled(self.turbidity.absorption_per_mm, 0, FAR, (1, y, x))[0]
        return whole

    def veiled(self, scene: Scene, stack: Voxels) -> Voxels:
        """The stack of the core planes behind scattering tissue: what is no longer ballistic is spread."""
        path = scene.path(self.turbidity.scattering_per_mm)[scene.core]
        depths = (scene.first + np.arange(scene.shape[0])[scene.core]) * self.plane_um
        haze = haze_sigma_um(depths, self.turbidity.reduced_per_mm)
        return plane_blurred(parted(stack, path, 1.0), (np.zeros_like(haze), haze), scene.spacing_um)


class BrightfieldConfig(InstrumentConfig):
    """A transmitted-light microscope with a scientific CMOS camera."""

    kind: Literal["brightfield"] = "brightfield"
    wavelength_nm: Annotated[float, Field(ge=400, le=1700)] = 550.0
    refractive_index: Annotated[float, Field(ge=1, le=2)] = 1.33
    numerical_aperture: Annotated[float, Field(ge=0.01, lt=1)] | None = Field(
        None, description="left out: 0.8 falling to 0.3 with difficulty"
    )
    condenser: Annotated[float, Field(ge=0.05, lt=1)] = Field(0.4, description="numerical aperture of the lamp's cone")
    nucleus_index: Finite = Field(
        -0.008, ge=-0.1, le=0.1, description="excess of the nuclei's refractive index over that of the tissue"
    )
    turbidity: NotNegative | None = Field(
        None, description="the tissue's scattering, as a multiple of the usual; left out: 4 × difficulty"
    )
    photons: Positive | None = Field(None, description="of the lamp in a voxel; left out: 10000 falling to 200")
    read_noise: NotNegative | None = Field(None, description="electrons; left out: 1 + 2 × difficulty")
    hot_pixels: Share | None = Field(None, description="their share; left out: 0.0002 × difficulty")
    gain: Positive = Field(2.0, description="counts an electron")
    offset: NotNegative = Field(100.0, le=30000, description="counts without light")

    def build(self, difficulty: float) -> Brightfield:
        """The microscope; what is left out follows from the difficulty, 0 to 1.

        Raises
        ------
        ConfigError : a difficulty outside of [0, 1].
        """
        require_difficulty(difficulty)
        aperture = self.numerical_aperture or 0.8 * 0.375**difficulty
        indices = tissues.refractive_index()
        return Brightfield(
            channel=Channel("brightfield", "brightfield", self.wavelength_nm),
            photons=self.photons or 10000 * 0.02**difficulty,
            turbidity=Turbidity.at(self.wavelength_nm, chosen(self.turbidity, 4 * difficulty)),
            index=indices - indices[0],
            nucleus_index=self.nucleus_index,
            medium_index=self.refractive_index,
            sigma_um=widefield(aperture, self.wavelength_nm, self.refractive_index).lateral_um,
            cone=self.condenser / (2 * self.refractive_index),
            camera=Camera(
                gain=self.gain,
                offset=self.offset,
                read_sd=chosen(self.read_noise, 1 + 2 * difficulty),
                hot_share=chosen(self.hot_pixels, 0.0002 * difficulty),
            ),
            plane_um=self.spacing_um[0],
        )
