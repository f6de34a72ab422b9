"""How well a picture was recovered, against the true one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from volumes.shapes import AnyArray

if TYPE_CHECKING:
    from torch import Tensor


def recovery(found: Tensor, true: Tensor) -> dict[str, float]:
    """PSNR in dB and SSIM, both for the true picture's own range; (1, 1, z, y, x) each."""
    from fusion.losses.ssim import ssim

    span = max(float(true.amax() - true.amin()), 1e-6)
    error = max(float((found - true).square().mean()), 1e-12)
    return {"PSNR": 10 * float(np.log10(span**2 / error)), "SSIM": float(ssim(found, true, span))}


def middle_plane(volume: Tensor) -> AnyArray:
    """The plane in the middle of (1, 1, z, y, x), cut to [0, 1], to look at."""
    return np.asarray(volume[0, 0, volume.shape[2] // 2].clamp(0, 1).float().cpu().numpy())
