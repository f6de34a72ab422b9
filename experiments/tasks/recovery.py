"""How well a picture was recovered, against the true one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from experiments.task import Validation
from volumes.shapes import AnyArray

if TYPE_CHECKING:
    from torch import Tensor


def recovery(found: Tensor, true: Tensor) -> dict[str, float]:
    """PSNR in dB and SSIM, both for the true picture's own range; (1, 1, z, y, x) each."""
    from fusion.losses.ssim import ssim

    span = max(float(true.amax() - true.amin()), 1e-6)
    error = max(float((found - true).square().mean()), 1e-12)
    return {"PSNR": 10 * float(np.log10(span**2 / error)), "SSIM": float(ssim(found, true, span))}


def judged(specimens: Iterable[tuple[Mapping[str, Tensor], Tensor]], criterion: str) -> Validation:
    """The :func:`recovery` of every row of every specimen, and the first specimen's middle planes.

    Parameters
    ----------
    specimens : of each, what was found by the row's name, and the true picture.
    criterion : ``PSNR, <row>`` or ``SSIM, <row>``, by which the best network is chosen.
    """
    scores: dict[str, dict[str, float]] = {}
    images: dict[str, AnyArray] = {}
    for number, (rows, true) in enumerate(specimens):
        for name, one in rows.items():
            for metric, value in recovery(one, true).items():
                scores.setdefault(f"{metric}, {name}", {})[f"specimen {number}"] = value
        if number == 0:
            images = {"target": middle_plane(true), **{name: middle_plane(one) for name, one in rows.items()}}
    return Validation(scores, images, criterion)


def middle_plane(volume: Tensor) -> AnyArray:
    """The plane in the middle of (1, 1, z, y, x), cut to [0, 1], to look at."""
    return np.asarray(volume[0, 0, volume.shape[2] // 2].clamp(0, 1).float().cpu().numpy())
