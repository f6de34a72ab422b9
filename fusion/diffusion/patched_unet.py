"""MONAI's diffusion U-Net in 3-D behind a front end that takes any size, a slice as well as a volume.

Each p × p square of a plane becomes the channels of one voxel (space to depth), so that the net works on p² times fewer
of them; planes stay planes. What does not divide is padded with its outermost voxels, and cut off again: a slice
becomes 2^(levels − 1) equal planes, below which MONAI's net fails, since its skips then differ in size from what meets
them. The self-attention in its middle is left out: it costs the square of the volume, and would be trained on patches.
"""

from __future__ import annotations

from monai.networks.nets.diffusion_model_unet import DiffusionModelUNet
from torch import Tensor, nn
from torch.nn import functional

from fusion.diffusion.unet_sizes import UNetSizes


class PatchedUNet(nn.Module):
    """Several channels and a time → one channel of the same size.

    Parameters
    ----------
    sizes : how large it is.
    inputs : channels that come in.
    """

    def __init__(self, sizes: UNetSizes, inputs: int) -> None:
        super().__init__()
        levels = len(sizes.widths)
        self.patch, self.coarsest = sizes.patch, 2 ** (levels - 1)
        self.net = DiffusionModelUNet(
            spatial_dims=3,
            in_channels=inputs * self.patch**2,
            out_channels=self.patch**2,
            num_res_blocks=sizes.blocks,
            channels=sizes.widths,
            attention_levels=(False,) * levels,
            norm_num_groups=sizes.groups,
            num_head_channels=sizes.groups,
        )
        self.net.middle_block.attention = nn.Identity()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """(batch, inputs, z, y, x) and a time 0–999 for each sample → (batch, 1, z, y, x)."""
        z, y, w = x.shape[2:]
        plane = self.patch * self.coarsest
        spare = (-w % plane, -y % plane, -z % self.coarsest)
        padded = functional.pad(x, (0, spare[0], 0, spare[1], 0, spare[2]), mode="replicate")
        planes = functional.pixel_unshuffle(padded.transpose(1, 2), self.patch).transpose(1, 2)
        out: Tensor = self.net(planes.contiguous(), time)
        whole = functional.pixel_shuffle(out.transpose(1, 2), self.patch).transpose(1, 2)
        return whole[:, :, :z, :y, :w]
