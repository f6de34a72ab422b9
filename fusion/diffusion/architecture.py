"""The size of the network of ``dmf-lp``, and which modalities it knows; free of torch, so that configs load at once."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

MODALITIES = ("unknown", "optical", "fluorescence", "brightfield", "phase", "SWIR", "CT", "MRI", "PET", "SPECT")
"""Those with an embedding of their own; any other is unknown."""


class NetworkConfig(BaseModel):
    """The size of the network.

    Parameters
    ----------
    widths : features on each level, finest first; one halving between two levels, so as many bands as halvings.
    residual : ρ, how far the result may lie beyond the sources, in shares of their spread.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    widths: tuple[int, ...] = Field((16, 32, 48, 64, 64), min_length=2)
    residual: float = Field(0.5, ge=0, le=1)

    @property
    def halvings(self) -> int:
        """Levels of the pyramid, at most."""
        return len(self.widths) - 1


def architecture_of(config: NetworkConfig) -> dict[str, object]:
    """What weights must say of the network that they are for."""
    return {"kind": "dmf-lp", **config.model_dump(mode="json"), "modalities": list(MODALITIES)}


def number_of(modality: str) -> int:
    """The place of a modality in the embedding; 0 for one that is not known."""
    return MODALITIES.index(modality) if modality in MODALITIES else 0
