"""The default network: a residual U-Net whose result at a voxel depends on its neighbourhood alone.

Nothing is normalised over the volume (no batch, instance or group statistics): features are normalised over the
channels of each voxel, so that a block gives what the whole volume would. 2³ voxels become the eight channels of one
before the first convolution and one becomes 2³ behind the last (space to depth), so that all convolutions run on an
eighth of the voxels. Coarse features are repeated and convolved: transposed convolutions leave a checkerboard.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from tracking3d.segment.network.architecture import UNetConfig
from tracking3d.segment.network.heads import HEADS

PATCH = 2
SHORTEST = 3
"""Voxels of the coarsest level along each axis, at least."""


class UNet(nn.Module):
    """(batch, 1, z, y, x) of any size → (batch, heads, z, y, x)."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        widths = config.widths
        self.unit = PATCH * 2 ** (len(widths) - 1)
        self.enter = nn.Conv3d(PATCH**3, widths[0], 3, padding=1)
        self.down = nn.ModuleList(nn.Conv3d(a, b, 3, stride=2, padding=1) for a, b in pairwise(widths))
        self.up = nn.ModuleList(nn.Conv3d(b, a, 1) for a, b in pairwise(widths))
        # The finest level is the dearest: on the way down it has its first convolution alone.
        self.encoder = nn.ModuleList([nn.SiLU(), *(_blocks(width, config.blocks) for width in widths[1:])])
        self.decoder = nn.ModuleList(_blocks(width, config.blocks) for width in widths[:-1])
        self.leave = nn.Conv3d(widths[0], HEADS * PATCH**3, 1)
        for weight in self.parameters():
            if weight.ndim == 5:
                weight.data = weight.data.to(memory_format=torch.channels_last_3d)

    @property
    def encoder_parts(self) -> tuple[nn.Module, ...]:
        """The modules that lead to the coarsest features."""
        return self.enter, self.down, self.encoder

    def forward(self, x: Tensor, heads: int = HEADS) -> Tensor:
        """The first ``heads`` of :mod:`tracking3d.segment.network.heads`."""
        shape = x.shape[2:]
        # Where an axis is shorter than the kernel, torch's bfloat16 convolutions are wrong on a CPU.
        spare = [max(SHORTEST * self.unit - n, -n % self.unit) for n in shape]
        padded = functional.pad(x, (0, spare[2], 0, spare[1], 0, spare[0]))
        features = self.enter(_folded(padded))
        skips: list[Tensor] = []
        for level, block in enumerate(self.encoder):
            features = block(features if level == 0 else self.down[level - 1](features))
            skips.append(features)
        for level in reversed(range(len(self.decoder))):
            # 1³ kernels and repetition commute; the fewer voxels go first.
            features = self.decoder[level](skips[level] + _doubled(self.up[level](features)))
        last, bias = heads * PATCH**3, self.leave.bias
        shown = functional.conv3d(calmed(features), self.leave.weight[:last], None if bias is None else bias[:last])
        out = _unfolded(shown)
        return out[:, :, : shape[0], : shape[1], : shape[2]]


class ResidualBlock(nn.Module):
    """x + conv(silu(conv(norm x))); the second convolution starts small."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv3d(width, width, 3, padding=1) for _ in range(2))
        with torch.no_grad():
            self.second.weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as ``x``."""
        added: Tensor = self.second(functional.silu(self.first(calmed(x))))
        return x + added


def calmed(x: Tensor) -> Tensor:
    """Zero mean and unit variance over the channels of every voxel: layer normalisation.

    Without a gain and a shift, which the next convolution has anyway: in bfloat16 their gradients, sums over all
    voxels, come out wrong.
    """
    return functional.layer_norm(x.movedim(1, -1), x.shape[1:2]).movedim(-1, 1)


def _blocks(width: int, number: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(width) for _ in range(number)))


def _folded(x: Tensor) -> Tensor:
    """Space to depth: (b, 1, z, y, x) → (b, 8, z/2, y/2, x/2), channels last in memory."""
    b, _, z, y, w = x.shape
    parts = x.reshape(b, z // PATCH, PATCH, y // PATCH, PATCH, w // PATCH, PATCH)
    return parts.permute(0, 1, 3, 5, 2, 4, 6).reshape(b, z // PATCH, y // PATCH, w // PATCH, PATCH**3).movedim(-1, 1)


def _unfolded(x: Tensor) -> Tensor:
    """Depth to space: (b, heads · 8, z, y, x) → (b, heads, 2z, 2y, 2x)."""
    b, _, z, y, w = x.shape
    parts = x.reshape(b, -1, PATCH, PATCH, PATCH, z, y, w).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return parts.reshape(b, -1, z * PATCH, y * PATCH, w * PATCH)


def _doubled(x: Tensor) -> Tensor:
    """Every voxel repeated along each axis."""
    return functional.interpolate(x, scale_factor=2, mode="nearest")
