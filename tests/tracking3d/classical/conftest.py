"""Nuclei of known place and size, drawn in anisotropic voxels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from volumes.volume import Volume, from_array

SPACING = (1.0, 0.5, 0.5)
SHAPE = (16, 40, 44)
NUCLEI = [
    ((7, 5, 5.5), (3.5, 3, 3.5)),
    ((8, 14, 6), (3, 3.5, 3)),
    ((7, 6, 15.5), (3.5, 3.5, 3)),
    ((9, 14.5, 16), (3, 3, 4)),
]
"""Centres and radii (z, y, x), µm: none touches another."""


def drawn(
    nuclei=NUCLEI, shape=SHAPE, spacing=SPACING, bright=100.0, blur=0.5, noise=3.0, seed=3
) -> tuple[Volume, Volume]:
    """An image of ellipsoids over a level of 20, in whole numbers, and its labels."""
    axes = np.meshgrid(*(np.arange(n) * s for n, s in zip(shape, spacing, strict=True)), indexing="ij")
    labels = np.zeros(shape, np.uint16)
    for number, (centre, radii) in enumerate(nuclei, start=1):
        labels[sum(((a - c) / r) ** 2 for a, c, r in zip(axes, centre, radii, strict=True)) <= 1] = number
    image = ndimage.gaussian_filter(20 + bright * (labels > 0), [blur / s for s in spacing])
    image = np.rint(image + np.random.default_rng(seed).normal(0, noise, shape)).astype(np.float32)
    return from_array(image, spacing, modality="fluorescence"), from_array(labels, spacing, modality="labels")


@pytest.fixture(scope="session")
def draw():
    """The function that draws."""
    return drawn
