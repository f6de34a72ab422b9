"""How well a network finds the cells of specimens that it has not met."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from experiments.task import Validation
from tracking3d.match import score
from tracking3d.segment.network.decode import decode
from tracking3d.segment.network.normalise import levels, normalised
from volumes.shapes import AnyArray, Voxels
from volumes.volume import Volume, from_array

if TYPE_CHECKING:
    from torch import nn

PICTURED = 3
"""Specimens of which there are pictures."""
LEAST = 1e-9


@dataclass(frozen=True, eq=False)
class HeldOut:
    """A specimen on the network's grid, and its truth."""

    name: str
    image: Voxels
    labels: Voxels


def judged(model: nn.Module, specimens: Sequence[HeldOut]) -> Validation:
    """AP at an IoU of 0.5, F1, and SEG of each; where there is no cell, SEG is not known."""
    scores: dict[str, dict[str, float]] = {"AP": {}, "F1": {}, "SEG": {}}
    images: dict[str, AnyArray] = {}
    for number, one in enumerate(specimens):
        found = cells_found(model, one.image)
        made = score(_volume(one.labels), _volume(found))
        for metric, value in (("AP", made.ap), ("F1", made.f1), ("SEG", made.seg)):
            scores[metric][one.name] = value
        if number < PICTURED:
            images[one.name] = side_by_side(one.image, one.labels, found)
    return Validation(scores, images, criterion="AP")


def cells_found(model: nn.Module, image: Voxels) -> Voxels:
    """Labels of a volume on the network's grid, in one go."""
    import torch

    device = next(model.parameters()).device
    scaled = torch.from_numpy(normalised(image, levels(image)))[None, None].to(device)
    with torch.no_grad():
        outputs = model(scaled)[0].float().cpu().numpy()
    return decode(outputs)[0]


def side_by_side(image: Voxels, labels: Voxels, found: Voxels) -> AnyArray:
    """The middle planes of the image, of the true and of the found cells, (y, 3x, 3) in [0, 1]."""
    middle = len(image) // 2
    low, high = np.quantile(image, (0.01, 0.999))
    grey = np.clip((image[middle] - low) / max(high - low, LEAST), 0, 1)
    return np.concatenate([np.stack([grey] * 3, -1), _coloured(labels[middle]), _coloured(found[middle])], 1)


def _coloured(labels: AnyArray) -> AnyArray:
    colours = np.random.default_rng(0).uniform(0.2, 1, (256, 3))
    return np.where(labels[..., None] > 0, colours[labels % 256], 0)


def _volume(labels: Voxels) -> Volume:
    return from_array(labels.astype(np.uint32), spacing_um=(1.0, 1.0, 1.0), modality="labels")
