"""MRI microscopy: a multi-slice spin echo with an uneven coil, a finite matrix and the noise of magnitude pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from phantom.anatomy import tissues
from phantom.instruments.instrument import Finite, InstrumentConfig, NotNegative, Picture, Positive
from phantom.physics.bias import bias
from phantom.physics.kspace import acquired, kept, thermal
from phantom.physics.rician import magnitude
from phantom.scene import Scene
from volumes.errors import ConfigError
from volumes.shapes import Voxels
from volumes.volume import Channel

GAIN = 4000.0
"""Number that is written for the signal of fully relaxed water (1)."""
FAINTEST = 16.0
"""Where the brightest tissue is written as less than this, rounding leaves nothing of it."""


@dataclass(frozen=True, eq=False)
class MRI:
    """A scanner that takes slice after slice (index axis z), each with a 2-D k-space of its own.

    The voxels of the scene already hold partial volumes (the slice profile is a rectangle as thick as the spacing); in
    the plane, the finite matrix adds its point spread function.

    Parameters
    ----------
    signals : of each tissue, (K,); 1 for fully relaxed water.
    nuclear_contrast : relative change of the signal in nuclei.
    matrix : share of k-space that is acquired along y and x.
    sd : of the noise in each of the two channels, as a signal.
    bias : largest deviation of the logarithm of the coil's sensitivity.
    bias_seed : of the coil; left out, the scene's.
    """

    signals: NDArray[np.float64]
    nuclear_contrast: float
    matrix: float
    sd: float
    bias: float
    bias_seed: int | None

    channel: ClassVar[Channel] = Channel("MRI", "MRI")
    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.uint16)
    projects: ClassVar[bool] = False
    halo_um: ClassVar[float] = 0.0

    def take(self, scene: Scene, noise: Sequence[np.random.Generator]) -> Picture:
        """The core slices, uint16 with :data:`GAIN` numbers for a signal of 1.

        ``clean`` is the magnitude without noise, in the same numbers. It is not the mean of noisy pictures: Rician
        noise lifts dark voxels, up to ``σ √(π/2)`` where there is no signal.

        Raises
        ------
        ConfigError : not one generator for each core plane.
        """
        signal = self.signal(scene)
        planes, *shape = signal.shape
        if len(noise) != planes:
            raise ConfigError(f"needs one generator for each of {planes} planes", field="noise", value=len(noise))
        window = kept((shape[0], shape[1]), self.matrix)
        seed = scene.seed if self.bias_seed is None else self.bias_seed
        coil = bias(self.bias, (scene.planes, shape[0], shape[1]), np.random.default_rng(seed))
        image, clean = np.empty(signal.shape, np.uint16), np.empty(signal.shape, np.float32)
        first = scene.first + scene.core.start
        for z, rng in enumerate(noise):
            echo = acquired(signal[z] * coil.plane(first + z), window)
            channels = [thermal(echo.shape, window, self.sd, rng) for _ in range(2)]
            clean[z] = np.abs(echo) * np.float32(GAIN)
            seen = magnitude(echo, *channels) * np.float32(GAIN)
            image[z] = np.rint(seen).clip(0, np.iinfo(np.uint16).max).astype(np.uint16)
        return Picture(image, clean)

    def signal(self, scene: Scene) -> Voxels:
        """What the spins of the core planes send, float32, 1 for fully relaxed water."""
        sent = scene.tissue(self.signals, textured=True)[scene.core]
        return sent * (1 + np.float32(self.nuclear_contrast) * scene.nuclei()[scene.core])


class MRIConfig(InstrumentConfig):
    """A spin-echo MRI; the defaults weight it by T2."""

    kind: Literal["mri"] = "mri"
    tr_ms: Positive = Field(2500.0, description="repetition time")
    te_ms: NotNegative = Field(40.0, description="echo time")
    nuclear_contrast: Finite = Field(
        0.25, ge=-1, description="relative change of the signal in nuclei: positive for free water, negative for iron"
    )
    snr: Positive | None = Field(
        None, description="mean signal of tissue with living cells over the noise; left out: 40 / 8^difficulty"
    )
    matrix: Positive | None = Field(
        None, le=1, description="acquired share of k-space along y and x; left out: 1 − 0.4 × difficulty"
    )
    bias: NotNegative | None = Field(
        None,
        le=3,
        description="largest deviation of the coil's sensitivity (of its logarithm); left out: 0.5 × difficulty",
    )
    bias_seed: int | None = Field(None, ge=0, description="of the coil; left out: that of the specimen")

    @model_validator(mode="after")
    def _fits(self) -> MRIConfig:
        if self.te_ms >= self.tr_ms:
            raise ValueError(f"te_ms must be below tr_ms (found {self.te_ms} and {self.tr_ms})")
        return self

    def build(self, difficulty: float) -> MRI:
        """The scanner; what is left out follows from the difficulty, 0 to 1.

        Raises
        ------
        ConfigError : a difficulty outside of [0, 1], or times that leave no signal.
        """
        if not 0 <= difficulty <= 1:
            raise ConfigError("must be in [0, 1]", field="difficulty", value=difficulty)
        signals = tissues.spin_echo(self.tr_ms, self.te_ms)
        if signals.max() * GAIN < FAINTEST:
            raise ConfigError(
                "leaves no signal",
                field="tr_ms, te_ms",
                value=(self.tr_ms, self.te_ms),
                remedy="Take a longer tr_ms or a shorter te_ms",
            )
        return MRI(
            signals=signals,
            nuclear_contrast=self.nuclear_contrast,
            matrix=1 - 0.4 * difficulty if self.matrix is None else self.matrix,
            sd=float(signals[tissues.living()].mean()) / (self.snr or 40 / 8**difficulty),
            bias=0.5 * difficulty if self.bias is None else self.bias,
            bias_seed=self.bias_seed,
        )
