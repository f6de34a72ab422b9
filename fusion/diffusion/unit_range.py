"""Matched sources in the range that networks of noise work in, [−1, 1], and what comes out back on the common scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fusion.ranges import robust_range
from volumes.shapes import Voxels


@dataclass(frozen=True)
class UnitRange:
    """``common = low + span · (net + 1) / 2``.

    Parameters
    ----------
    low : the common scale's value at −1.
    span : how much of the common scale lies between −1 and 1; above 0.
    """

    low: float
    span: float

    def to_net(self, sources: Sequence[Voxels], device: torch.device) -> Tensor:
        """(1, sources, z, y, x), float32; the few voxels outside the robust range lie outside [−1, 1]."""
        stacked = np.stack([(2 / self.span) * (source - self.low) - 1 for source in sources])
        return torch.from_numpy(stacked.astype(np.float32, copy=False))[None].to(device)

    def from_net(self, picture: Tensor) -> Voxels:
        """(1, 1, z, y, x) → (z, y, x), float32, on the common scale."""
        values = picture[0, 0].float().cpu().numpy()
        return np.asarray(self.low + self.span * (values + 1) / 2, np.float32)


def unit_range(sources: Sequence[Voxels]) -> UnitRange:
    """From the least 0.5 to the greatest 99.8 percentile of the sources; of constants, any range about them.

    Parameters
    ----------
    sources : (z, y, x) each, on the common scale, finite.
    """
    ends = [robust_range(source, f"volumes[{i}]") for i, source in enumerate(sources)]
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    return UnitRange(low, (high - low) or 1.0)
