"""What an experiment reads: acquisitions, tables of cells, a phantom to be drawn; typed, closed to unknown keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from phantom.config import PhantomConfig
from registration.config import RegistrarConfig
from volumes.io.layout import Layout

Name = Annotated[str, Field(pattern=r"^[\w][\w. -]{0,63}$")]
"""A name that can be a file's: letters, digits, space, dot, dash and underscore."""
Share = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Triple = tuple[Finite, Finite, Finite]
Drawing = Annotated[
    PhantomConfig, WithJsonSchema({"anyOf": [{"type": "string", "format": "path"}, {"type": "object"}]})
]
"""In a file the path of a phantom's own YAML, read in its place when the experiment is loaded."""


class Closed(BaseModel):
    """Base of all parts of a config: immutable and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Displaced(Closed):
    """A known rigid motion, applied to a real volume so that its registration can be scored against the truth."""

    rotation_deg: Triple = Field(description="rotation vector over (z, y, x), degrees")
    shift_um: Triple
    noise: Share = 0.02
    seed: int = 0


class Source(Closed):
    """One acquisition: a file and what it does not say itself."""

    file: Path
    modality: str
    unit: str | None = Field(None, description="unit of length, where the file states none")
    affine: Literal["sform", "qform", "pixdim"] | None = Field(None, description="which NIfTI affine to trust")
    nonfinite: Literal["error", "mask"] = "error"
    layout: Layout | None = Field(None, description="axes, sizes and spacing of a stack without metadata")
    movie: bool = Field(False, description="the file holds several time points")
    time_s: Finite | None = Field(
        None,
        description="the moment of the first frame on the clock that all sources share; left out: what the file says",
    )
    displaced: Displaced | None = None
    simulated: bool = Field(False, description="the voxels themselves come from a simulation")
    note: str = ""
    attribution: str = ""

    @property
    def is_movie(self) -> bool:
        """Whether the source is a TimeLapse."""
        return self.movie or (self.layout is not None and "T" in self.layout.axes)


class Pair(Closed):
    """Two sources that are registered to each other, and what is known of how they lie."""

    fixed: Name
    moving: Name
    register_: RegistrarConfig | None = Field(
        None, alias="register", description="how; left out: as the experiment's register says"
    )
    start: Path | None = Field(None, description="ITK transform, fixed to moving points, to begin from")
    fixed_mask: Path | None = Field(
        None, description="volume on the fixed one's grid, above 0 where it may be looked at"
    )
    moving_mask: Path | None = Field(None, description="the same on the moving one's grid")


class Observed(Closed):
    """How a true lineage is turned into detections: drop-outs, false positives, jitter."""

    drop: Share = 0.05
    spurious: Share = 0.02
    jitter_um: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.5
    seed: int = 0


class Cells(Closed):
    """Detections from a table instead of a segmentation; with ``observed``, a true lineage to be degraded first."""

    file: Path
    unit: str = "um"
    dt_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    observed: Observed | None = None
    note: str = ""
    attribution: str = ""


class Simulated(Closed):
    """A phantom that is drawn first; its instruments then are the sources, and its truth is what all is scored with."""

    config: Drawing = Field(description="the phantom's own YAML")
    sources: tuple[Name, ...] | None = Field(
        None, min_length=1, description="which of its instruments; left out: all that record volumes"
    )

    @property
    def names(self) -> tuple[str, ...]:
        """The instruments that may become sources."""
        return self.sources or tuple(self.config.instruments)
