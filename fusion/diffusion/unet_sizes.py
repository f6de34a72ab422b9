"""How large a patched U-Net is: what a configuration says of it, and a file of weights must agree with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from fusion.diffusion.patched_unet import PatchedUNet


class UNetSizes(BaseModel):
    """Sizes of a :class:`fusion.diffusion.patched_unet.PatchedUNet`.

    Parameters
    ----------
    widths : channels of each level, from fine to coarse; each level after the first halves every axis.
    blocks : residual blocks a level.
    patch : side of the square of voxels in a plane that becomes the channels of one.
    groups : of the normalisation; it divides every width.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    widths: tuple[int, ...] = Field(default=(32, 64, 96), min_length=1)
    blocks: int = Field(default=1, ge=1)
    patch: int = Field(default=4, ge=1)
    groups: int = Field(default=8, ge=1)

    @model_validator(mode="after")
    def _groups_divide(self) -> UNetSizes:
        if any(width < 1 or width % self.groups for width in self.widths):
            raise ValueError(f"widths: each must be a multiple of groups, which is {self.groups}")
        return self

    def network(self, inputs: int) -> PatchedUNet:
        """A fresh network of that many input channels and one output channel; torch's seed decides its weights."""
        from fusion.diffusion.patched_unet import PatchedUNet

        return PatchedUNet(self, inputs)
