"""Volumes of blurred balls, and a network that needs no training to see them: a Gaussian."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage

from tracking3d.segment.network import prepare
from tracking3d.segment.network.heads import DISTANCE, FOREGROUND, HEADS, SIZE


class Blurred:
    """Says of bright smooth balls what a trained network would; the size head says nothing."""

    def maps(self, voxels: np.ndarray, heads: int = HEADS) -> np.ndarray:
        out = np.zeros((HEADS, *voxels.shape), np.float32)
        smooth = ndimage.gaussian_filter(voxels, 2.0, truncate=3)
        out[FOREGROUND], out[DISTANCE] = 20 * (smooth - 0.4), smooth
        out[SIZE] = 0
        return out[:heads]


@pytest.fixture
def blurred(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every network is the Gaussian, whatever its weights."""
    monkeypatch.setattr(prepare, "predictor", lambda *_: Blurred())


@pytest.fixture
def balls() -> Callable[..., np.ndarray]:
    """(side or shape, number, seed) → blurred balls about 14 voxels across that keep their distance, in noise."""

    def drawn(side: int | tuple[int, int, int], number: int, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        shape = (side,) * 3 if isinstance(side, int) else side
        out, kept = np.zeros(shape, np.float32), np.zeros((0, 3))
        for place in rng.uniform(4, np.array(shape) - 4, (number, 3)):
            if (np.linalg.norm(kept - place, axis=1) < 15).any():
                continue
            kept = np.vstack([kept, place])
            box = tuple(slice(max(0, int(c) - 14), min(n, int(c) + 15)) for c, n in zip(place, shape, strict=True))
            axes = np.ogrid[box]
            away = sum((axis - c) ** 2 for axis, c in zip(axes, place, strict=True))
            out[box] = np.maximum(out[box], np.exp(-away / 2 / 5**2))
        return out + rng.normal(0, 0.03, out.shape).astype(np.float32)

    return drawn
