"""A fresh network of a configured kind; torch's seed decides its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracking3d.segment.network.architecture import ArchitectureConfig, SegResNetConfig, UNetConfig
from volumes.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn


def build_network(config: ArchitectureConfig) -> nn.Module:
    """(batch, 1, z, y, x) normalised intensities of any size → (batch, heads, z, y, x).

    The default needs torch alone; the others import MONAI, which takes seconds.

    Raises
    ------
    ConfigError : sizes that do not fit each other.
    """
    if isinstance(config, UNetConfig):
        from tracking3d.segment.network.unet import UNet

        return UNet(config)
    if isinstance(config, SegResNetConfig) and len(config.up) != len(config.down) - 1:
        remedy = f"Give {len(config.down) - 1} numbers, one for each level but the coarsest"
        raise ConfigError("does not fit the way down", field="up", value=config.up, remedy=remedy)
    from tracking3d.segment.network.monai_nets import monai_network

    return monai_network(config)


def encoder_of(network: nn.Module) -> tuple[nn.Module, ...]:
    """The modules of a network of ours that lead to its coarsest features: what a fine-tuning may leave as it is.

    Raises
    ------
    ConfigError : a network that does not say.
    """
    encoder = getattr(network, "encoder_parts", None)
    if encoder is None:
        raise ConfigError("has no encoder to freeze", field="freeze", value=type(network).__name__)
    parts: tuple[nn.Module, ...] = encoder
    return parts
