"""The networks that a segmenter can have, and their sizes; free of torch, so that configs load at once.

All take one channel on an isotropic grid and give the channels of :mod:`tracking3d.segment.network.heads`.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field


class _Sizes(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class UNetConfig(_Sizes):
    """A U-Net of this package: it sees 2³ voxels as one of eight channels, and normalises each voxel by itself."""

    kind: Literal["unet"] = "unet"
    widths: tuple[int, ...] = Field(
        (32, 64, 96),
        min_length=2,
        description="channels on each level, finest first; the first on every second voxel",
    )
    blocks: int = Field(1, ge=1, description="residual blocks of two convolutions, on each level and way")


class SegResNetConfig(_Sizes):
    """MONAI's SegResNet (Myronenko 2018, arXiv:1810.11654), without its autoencoder."""

    kind: Literal["segresnet"] = "segresnet"
    width: int = Field(16, ge=8, multiple_of=8, description="channels of the finest level, doubled on each further one")
    down: tuple[int, ...] = Field((1, 2, 2), min_length=2, description="blocks on each level, on the way down")
    up: tuple[int, ...] = Field(
        (1, 1), min_length=1, description="blocks on each but the coarsest level, on the way up"
    )


class DynUNetConfig(_Sizes):
    """MONAI's DynUNet, the network of nnU-Net (Isensee et al. 2021)."""

    kind: Literal["dynunet"] = "dynunet"
    widths: tuple[int, ...] = Field((16, 32, 64, 128), min_length=3, description="channels on each level, finest first")
    residual: bool = Field(True, description="residual blocks instead of plain ones")


class SwinUNETRConfig(_Sizes):
    """MONAI's SwinUNETR (Hatamizadeh et al. 2022, arXiv:2201.01266)."""

    kind: Literal["swinunetr"] = "swinunetr"
    width: int = Field(12, ge=12, multiple_of=12, description="features of the first level")
    depths: tuple[int, int, int, int] = Field((2, 2, 2, 2), description="transformer blocks on each level")


class MedNeXtConfig(_Sizes):
    """MONAI's MedNeXt (Roy et al. 2023, arXiv:2303.09975)."""

    kind: Literal["mednext"] = "mednext"
    width: int = Field(16, ge=4, description="channels of the finest level, doubled on each of four further ones")
    blocks: int = Field(2, ge=1, description="on each level and way")
    expansion: int = Field(2, ge=1, description="channels inside a block, in those outside it")


ArchitectureConfig: TypeAlias = Annotated[
    UNetConfig | SegResNetConfig | DynUNetConfig | SwinUNETRConfig | MedNeXtConfig, Field(discriminator="kind")
]
"""Told apart by ``kind``."""


def architecture_of(config: ArchitectureConfig) -> dict[str, object]:
    """What weights must say of the network that they are for."""
    return {"task": "cells", "version": 1, **config.model_dump(mode="json")}
