"""How much each term of the objective of ``dmf-lp`` weighs; free of torch, so that configs load at once."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ObjectiveConfig(BaseModel):
    """The weights λ of the terms; 0 leaves a term out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: float = Field(1.0, ge=0, description="mean |x̂₁ − x₁|, in shares of the scale, × 10")
    target_undegraded: float = Field(0.2, ge=0, description="share of it where gains are asked of clean sources")
    gains: float = Field(0.0, ge=0, description="SCD, VIF, Q and SSIM over those of the pixelwise maximum, relative")
    differences: float = Field(1.0, ge=0, description="how much SCD counts among the gains")
    fidelity: float = Field(2.0, ge=0, description="how much VIF does")
    transfer: float = Field(2.0, ge=0, description="how much Q does")
    similarity: float = Field(5.0, ge=0, description="how much SSIM does")
    own_fidelity: float = Field(0.0, ge=0, description="VIF of any one source that falls below 0.65 of the maximum's")
    white: float = Field(0.0, ge=0, description="grey levels of 255 by which what is white in a source comes darker")
    edges: float = Field(0.0, ge=0, description="strong edges of each source that are lost")
    entropy: float = Field(0.0, ge=0, description="entropy below that of the richest source")
    boundary_entropy: float = Field(0.0, ge=0, description="the same inside a ring around boundaries")
