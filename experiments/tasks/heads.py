"""Slices of heads to train fusion from: which maps of tissues they are drawn from, and what is seen of each."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from experiments.entries import Closed
from experiments.tasks.data_folder import data_file
from phantom.patchwork.heads import TissueMaps, head_pictures, random_head
from phantom.patchwork.looks import Look
from volumes.errors import GridError
from volumes.io import read
from volumes.shapes import ChannelVoxels

PARTNERS: tuple[tuple[Look, ...], ...] = (
    ("dense",),
    ("functional",),
    ("contrast",),
    ("dense", "functional"),
)
"""What stands beside the magnetic contrast of a head."""
OFTEN = (0.32, 0.38, 0.1, 0.2)
"""How often each of them does."""
NAMES = {"contrast": ("MRI",), "dense": ("CT",), "functional": ("PET", "SPECT")}


class HeadsConfig(Closed):
    """Maps of one head's tissues on one grid, in the folder of FUSETRACK_DATA; of them shapes alone are taken."""

    density: str = Field("registration/clinical_scct.nii.gz", description="CT, on the scale of Rorden et al. 2012")
    grey: str = Field("registration/clinical_scgrey.nii.gz", description="probability of grey matter")
    white: str = Field("registration/clinical_scwhite.nii.gz", description="of white matter")
    fluid: str = Field("registration/clinical_sccsf.nii.gz", description="of cerebrospinal fluid")
    pieces: int = Field(400, gt=0, description="slices that are drawn")
    steady: float = Field(0.5, ge=0, le=1, description="share of the pieces that keep their levels, white bone white")
    size: int = Field(208, ge=64, description="pixels along each side, of about a millimetre")

    def maps(self) -> TissueMaps:
        """The maps, read.

        Raises
        ------
        ConfigError : no folder is named.
        GridError : they lie on different grids.
        """
        volumes = [
            read(data_file(name, f"heads.{field}"), modality="CT" if field == "density" else "MRI")
            for field, name in self._files().items()
        ]
        if any(volume.grid != volumes[0].grid for volume in volumes):
            raise GridError("lie on different grids", field="heads", value=[*self._files().values()])
        return TissueMaps(*(volume.channel() for volume in volumes))

    def picture(self, maps: TissueMaps, rng: np.random.Generator) -> tuple[ChannelVoxels, tuple[str, ...]]:
        """A slice (sources, 1, y, x) as two or three modalities show it, and which."""
        looks: list[Look] = ["contrast", *PARTNERS[int(rng.choice(len(PARTNERS), p=OFTEN))]]
        pictures = head_pictures(random_head(maps, self.size, rng), looks, rng)
        return pictures, tuple(NAMES[look][int(rng.integers(len(NAMES[look])))] for look in looks)

    def _files(self) -> dict[str, str]:
        return {"density": self.density, "grey": self.grey, "white": self.white, "fluid": self.fluid}
