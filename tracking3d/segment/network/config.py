"""How the network finds cells: what a config file can say; free of torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from pydantic import Field

from tracking3d.segment.network.decoder_config import DecoderConfig
from volumes.device import DeviceName

if TYPE_CHECKING:
    from tracking3d.segment.network.segmenter import Network

Arithmetic: TypeAlias = Literal["auto", "float32", "bfloat16"]


class CellNetworkConfig(DecoderConfig):
    """Cells from a trained network; without weights of your own, from those that come with the package.

    Parameters
    ----------
    weights : a file that ``fusetrack train`` wrote; it says of which network it is.
    diameter_um : of a typical cell, as a ball of its volume; left out, it is estimated from the image.
    foreground, light, confidence, depth : how cells are read from the network's maps.
    min_volume_um3 : smaller cells are dropped; left out, 0.05 of a ball of the diameter.
    block : side of what is labelled at once, in voxels of the image; cells are the same whatever it is.
    device : where the network runs.
    precision : of its convolutions; auto is bfloat16 where the device computes in it, else float32.
    """

    kind: Literal["network"] = "network"
    weights: Path | None = None
    diameter_um: float | None = Field(None, gt=0, allow_inf_nan=False)
    min_volume_um3: float | None = Field(None, gt=0, allow_inf_nan=False)
    block: int = Field(128, ge=16)
    device: DeviceName = "cpu"
    precision: Arithmetic = "auto"

    def build(self) -> Network:
        """The segmenter."""
        from tracking3d.segment.network.segmenter import Network

        return Network(self)
