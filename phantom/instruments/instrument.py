"""What all instruments share: a grid of their own, a pose, a time base; and the one question they are asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from phantom.scene import Scene
from volumes.shapes import Voxels
from volumes.volume import Channel

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Axis: TypeAlias = Literal["z", "y", "x", "-z", "-y", "-x"]


@dataclass(frozen=True, eq=False)
class Picture:
    """What an instrument gives for the core planes of a scene.

    Parameters
    ----------
    image : what it writes, (z, y, x), in the type that it writes.
    clean : its expectation without any noise, float32, in the same unit.
    """

    image: Voxels
    clean: Voxels


class Instrument(Protocol):
    """A camera, a scanner: built from its config, told how difficult the world is, without state."""

    @property
    def channel(self) -> Channel:
        """What its voxels are."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the voxels that it writes."""
        ...

    @property
    def projects(self) -> bool:
        """Whether it sums the whole depth into one plane, as a camera without sectioning does."""
        ...

    @property
    def halo_um(self) -> float:
        """How far before and behind a slab (along z) light or signal still matters for it."""
        ...

    def take(self, scene: Scene, noise: Sequence[np.random.Generator]) -> Picture:
        """The picture of a scene's core planes.

        Parameters
        ----------
        scene : slab and halo; of instruments that project, the whole depth.
        noise : one generator for each core plane (of instruments that project, one in all), so that a plane's noise
            does not depend on the slab in which it is drawn.
        """
        ...


class InstrumentConfig(BaseModel):
    """Where an instrument looks, how it is posed, and when; each kind adds its own physics.

    The pose takes a point ``x`` of the specimen (µm) to ``R S (D(x) − D(c)) + m`` in the instrument's own world, ``m``
    being the middle of its field: ``D`` is a smooth volume-preserving deformation, ``S`` a scale along the specimen's
    axes, ``R`` a rotation, ``c`` what it looks at.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    shape: tuple[Count, Count, Count] = Field(
        description="voxels along the index axes (z, y, x); z is the optical axis"
    )
    spacing_um: tuple[Positive, Positive, Positive]
    axes: tuple[Axis, Axis, Axis] = Field(("z", "y", "x"), description="which world axis each index axis runs along")
    origin_um: tuple[Finite, Finite, Finite] = Field((0.0, 0.0, 0.0), description="world position of voxel (0, 0, 0)")
    looks_at_um: tuple[Finite, Finite, Finite] | None = Field(
        None, description="the specimen's point in the middle of the field; left out: the specimen's centre"
    )
    rotation_deg: tuple[Finite, Finite, Finite] = Field((0.0, 0.0, 0.0), description="rotation vector, degrees")
    scale: tuple[Positive, Positive, Positive] = Field((1.0, 1.0, 1.0), description="swelling or shrinking on the way")
    deformation_um: NotNegative = Field(0.0, description="root mean square of the smooth deformation")
    deformation_scale_um: Positive | None = Field(
        None, description="its shortest wavelength; left out: half the specimen's largest side"
    )
    drift_um: NotNegative = Field(0.0, description="deviation of the stage's random walk a frame, along each axis")
    frames: Count = 1
    start_s: NotNegative = 0.0
    dt_s: Positive | None = Field(None, description="seconds between frames; left out: that of the cells")
    format: Literal["ome.zarr", "ome.tif", "nii.gz", "nrrd"] | None = Field(
        None, description="of the file; left out: nii.gz for CT and MRI, else ome.zarr"
    )
