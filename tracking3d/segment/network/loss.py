"""What the network is trained to make small."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from tracking3d.segment.network.heads import DISTANCE, FOREGROUND, HEADS, OFFSET, SIZE, WEIGHT

CELL, OUTSIDE = 3.0, 1.0
"""Weights of distance errors in cells and outside them."""
OFFSETS, SIZES = 0.3, 0.3
"""Weights of the two heads that help: where the centre is, and how large the cell."""


def loss(outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """Terms whose sum is minimised; each a mean over the voxels that are known.

    Parameters
    ----------
    outputs : (batch, heads, z, y, x) as the network gives them.
    targets : (batch, heads + 1, z, y, x) of :func:`tracking3d.segment.network.targets.targets`.
    """
    if outputs.shape[1] != HEADS or targets.shape[1] != HEADS + 1:
        raise ValueError(f"{outputs.shape[1]} outputs and {targets.shape[1]} targets, not {HEADS} and {HEADS + 1}")
    outputs, known = outputs.float(), targets[:, WEIGHT]
    inside = targets[:, FOREGROUND] * known
    logit = outputs[:, FOREGROUND]
    entropy = functional.binary_cross_entropy_with_logits(logit, targets[:, FOREGROUND], reduction="none")
    error = functional.smooth_l1_loss(outputs[:, DISTANCE], targets[:, DISTANCE], reduction="none", beta=0.1)
    balance = OUTSIDE + (CELL - OUTSIDE) * targets[:, FOREGROUND]
    offset = functional.smooth_l1_loss(outputs[:, OFFSET], targets[:, OFFSET], reduction="none", beta=0.1).sum(1)
    size = functional.smooth_l1_loss(outputs[:, SIZE], targets[:, SIZE], reduction="none", beta=0.1)
    return {
        "foreground": _mean(entropy, known) + _dice(logit.sigmoid() * known, inside),
        "distance": _mean(error * balance, known),
        "offset": OFFSETS * _mean(offset, inside),
        "size": SIZES * _mean(size, inside),
    }


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp_min(1)


def _dice(certainty: Tensor, inside: Tensor) -> Tensor:
    """1 − 2 Σpq / (Σp² + Σq²) of each sample (Milletari et al. 2016), averaged; the 1 keeps empty samples finite."""
    axes = (1, 2, 3)
    overlap = 2 * (certainty * inside).sum(axes) + 1
    total: Tensor = 1 - overlap / (certainty.square().sum(axes) + inside.square().sum(axes) + 1)
    return total.mean()
