"""MONAI's networks with the heads that cells need; all but the sizes is theirs.

They normalise over the whole window (instance or group statistics), so that blocks do not quite give what the whole
volume would, and some convolve transposed, which leaves a checkerboard: they are here to compare with.
"""

from __future__ import annotations

from monai.networks.nets.dynunet import DynUNet
from monai.networks.nets.mednext import MedNeXt
from monai.networks.nets.segresnet import SegResNet
from monai.networks.nets.swin_unetr import SwinUNETR
from torch import Tensor, nn
from torch.nn import functional

from tracking3d.segment.network.architecture import (
    ArchitectureConfig,
    DynUNetConfig,
    MedNeXtConfig,
    SegResNetConfig,
    SwinUNETRConfig,
)
from tracking3d.segment.network.heads import HEADS

ENCODERS = {
    "segresnet": ("convInit", "down_layers"),
    "dynunet": ("input_block", "downsamples", "bottleneck"),
    "swinunetr": ("swinViT",),
    "mednext": ("stem", "enc_stages", "down_blocks", "bottleneck"),
}
"""The parts of each that lead to its coarsest features."""


class Padded(nn.Module):
    """A network that halves each axis several times, for windows of any size: zeros follow at the end of an axis.

    Parameters
    ----------
    net : (batch, 1, z, y, x), each a multiple of ``unit`` → (batch, heads, z, y, x).
    kind : of the architecture.
    unit : voxels of the window to one of the coarsest features.
    """

    def __init__(self, net: nn.Module, kind: str, unit: int) -> None:
        super().__init__()
        self.net, self.kind, self.unit = net, kind, unit

    def forward(self, x: Tensor, heads: int = HEADS) -> Tensor:
        """The first ``heads`` of :mod:`tracking3d.segment.network.heads`."""
        z, y, w = x.shape[2:]
        # Statistics of a single coarse voxel would be none; torch's bfloat16 needs no fewer than the kernel has.
        spare = [max(3 * self.unit - n, -n % self.unit) for n in (w, y, z)]
        out: Tensor = self.net(functional.pad(x, (0, spare[0], 0, spare[1], 0, spare[2])))
        return out[:, :heads, :z, :y, :w]

    @property
    def encoder_parts(self) -> tuple[nn.Module, ...]:
        """The modules that lead to the coarsest features."""
        return tuple(self.net.get_submodule(name) for name in ENCODERS[self.kind])


def monai_network(config: ArchitectureConfig) -> Padded:
    """A fresh network; torch's seed decides its weights."""
    if isinstance(config, SegResNetConfig):
        return Padded(_segresnet(config), config.kind, 2 ** (len(config.down) - 1))
    if isinstance(config, DynUNetConfig):
        return Padded(_dynunet(config), config.kind, 2 ** (len(config.widths) - 1))
    if isinstance(config, SwinUNETRConfig):
        net = SwinUNETR(in_channels=1, out_channels=HEADS, feature_size=config.width, depths=config.depths)
        return Padded(net, config.kind, 32)
    if isinstance(config, MedNeXtConfig):
        return Padded(_mednext(config), config.kind, 16)
    raise TypeError(f"{type(config).__name__} is no network of MONAI's")


def _segresnet(config: SegResNetConfig) -> nn.Module:
    return SegResNet(
        init_filters=config.width, in_channels=1, out_channels=HEADS, blocks_down=config.down, blocks_up=config.up
    )


def _dynunet(config: DynUNetConfig) -> nn.Module:
    levels = len(config.widths)
    return DynUNet(
        spatial_dims=3,
        in_channels=1,
        out_channels=HEADS,
        kernel_size=[3] * levels,
        strides=[1] + [2] * (levels - 1),
        upsample_kernel_size=[2] * (levels - 1),
        filters=config.widths,
        res_block=config.residual,
    )


def _mednext(config: MedNeXtConfig) -> nn.Module:
    return MedNeXt(
        init_filters=config.width,
        in_channels=1,
        out_channels=HEADS,
        encoder_expansion_ratio=config.expansion,
        decoder_expansion_ratio=config.expansion,
        bottleneck_expansion_ratio=config.expansion,
        kernel_size=3,
        use_residual_connection=True,
        blocks_down=(config.blocks,) * 4,
        blocks_bottleneck=config.blocks,
        blocks_up=(config.blocks,) * 4,
    )
