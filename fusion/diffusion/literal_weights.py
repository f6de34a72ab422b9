"""How much each term of the letter's loss counts; free of torch, so that configs load at once."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class LiteralWeights(BaseModel):
    """How much each term of the loss counts.

    Parameters
    ----------
    intensity, structure, entropy, gradient : λ₁ … λ₄; 0 leaves a term out, uncomputed.
    temperature : τ of the sources' local entropies, bits.
    bins : B of the entropy.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    intensity: float = Field(default=1.0, ge=0)
    structure: float = Field(default=1.0, ge=0)
    entropy: float = Field(default=1.0, ge=0)
    gradient: float = Field(default=1.0, ge=0)
    temperature: float = Field(default=1.0, gt=0)
    bins: int = Field(default=64, ge=2)
