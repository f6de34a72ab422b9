"""Which source gives a coefficient, against brute force."""

from __future__ import annotations

import numpy as np
import pytest

from fusion.details import chosen_details


def brute(bands: np.ndarray, barred: np.ndarray | None, radius: int) -> np.ndarray:
    out = np.empty(bands.shape[1:])
    for z, y, x in np.ndindex(*out.shape):
        window = tuple(slice(max(c - radius, 0), c + radius + 1) for c in (z, y, x))
        energy = [float((band[window].astype(float) ** 2).sum()) for band in bands]
        if barred is not None:
            energy = [-1.0 if barred[m, z, y, x] else e for m, e in enumerate(energy)]
        tied = [m for m, e in enumerate(energy) if e == max(energy)]
        out[z, y, x] = np.mean([bands[m, z, y, x] for m in tied])
    return out


@pytest.mark.parametrize("radius", [0, 1, 2])
@pytest.mark.parametrize("sources", [1, 2, 4])
def test_brute_force_agrees_with_ties_and_bars(rng: np.random.Generator, radius: int, sources: int) -> None:
    # Small whole numbers: sums of squares are exact and often equal.
    bands = rng.integers(-2, 3, (sources, 4, 6, 9)).astype(np.float32)
    barred = rng.random(bands.shape) < 0.4
    barred[rng.integers(0, sources)] = False
    assert np.allclose(chosen_details(bands, None, radius), brute(bands, None, radius), atol=1e-6)
    assert np.allclose(chosen_details(bands, barred, radius), brute(bands, barred, radius), atol=1e-6)


def test_a_tie_is_the_mean() -> None:
    bands = np.array([3.0, -3.0], np.float32).reshape(2, 1, 1, 1)
    assert chosen_details(bands, None, 0).item() == 0


def test_a_barred_source_is_never_chosen() -> None:
    bands = np.array([9.0, 1.0], np.float32).reshape(2, 1, 1, 1)
    assert chosen_details(bands, np.array([True, False]).reshape(2, 1, 1, 1), 0).item() == 1
