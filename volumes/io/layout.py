"""How a raw stack is laid out, where the file itself does not say."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

Length = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Layout(BaseModel):
    """Axes, sizes, voxel size and frame interval of a stack of pages without metadata.

    Parameters
    ----------
    axes : a permutation of some of T, C, Z, Y, X, slowest first; Y and X must be there.
    sizes : one for each axis.
    spacing_um : (z, y, x) in µm.
    dt_s : seconds between frames; needed where there is a T.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    axes: str = Field(pattern="^[TCZYX]+$")
    sizes: tuple[Annotated[int, Field(ge=1)], ...]
    spacing_um: tuple[Length, Length, Length]
    dt_s: Length | None = None

    @model_validator(mode="after")
    def _fits(self) -> Layout:
        if len(set(self.axes)) != len(self.axes) or not {"Y", "X"} <= set(self.axes):
            raise ValueError(f"axes {self.axes!r} must name Y and X, and none of TCZYX twice")
        if len(self.sizes) != len(self.axes):
            raise ValueError(f"{len(self.sizes)} sizes for the {len(self.axes)} axes {self.axes!r}")
        if "T" in self.axes and self.dt_s is None:
            raise ValueError("a stack with a T axis needs dt_s, the seconds between frames")
        return self
