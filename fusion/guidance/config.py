"""How far a fused picture is led, and by what; free of torch, so that configs load at once."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

PICTURE_STEPS = 20
"""Of a single plane, unless told otherwise: nine tenths of what ten times as many would gain."""


class GuidanceConfig(BaseModel):
    """How many steps, and how much each aim counts; see :mod:`fusion.guidance.aims`.

    Parameters
    ----------
    steps : up the gradient, of every plane by itself; 0 for none. None takes 20 for a single plane of clean sources,
        and none for a volume, whose planes would grow restless against each other, or where noise is to be taken off.
    differences, fidelity, transfer, similarity : of the gains of SCD, VIF, Q and SSIM over the pixelwise maximum's.
    own_fidelity : of what any one source's VIF falls short of 0.95 of the maximum's.
    edges : of what is missing of each source's strong edges.
    white : of the grey levels by which what is white in a source comes darker. With 6 the edges of other sources inside
        saturated bone are drawn as well, as faint patterns, at the cost of SSIM and VIF.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int | None = Field(None, ge=0, le=1000)
    differences: float = Field(31.0, ge=0, allow_inf_nan=False)
    fidelity: float = Field(34.0, ge=0, allow_inf_nan=False)
    transfer: float = Field(18.0, ge=0, allow_inf_nan=False)
    similarity: float = Field(60.0, ge=0, allow_inf_nan=False)
    own_fidelity: float = Field(10.0, ge=0, allow_inf_nan=False)
    edges: float = Field(40.0, ge=0, allow_inf_nan=False)
    white: float = Field(60.0, ge=0, allow_inf_nan=False)

    def steps_of(self, planes: int, clean: bool) -> int:
        """How many steps a volume of so many planes is led, of sources that are clean or not."""
        if self.steps is not None:
            return self.steps
        return PICTURE_STEPS if planes == 1 and clean else 0
