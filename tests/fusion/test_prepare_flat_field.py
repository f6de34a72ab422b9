"""Shading is divided out exactly where it is given, and found where it is a polynomial."""

from __future__ import annotations

import numpy as np
import pytest

from fusion.prepare import flat_fielded, smooth_flat
from volumes import Volume, from_array
from volumes.errors import ConfigError, ContentError, GridError


def stack(data: np.ndarray, **more: object) -> Volume:
    return from_array(data, (2.0, 0.5, 0.5), modality="fluorescence", **more)


@pytest.fixture
def vignette() -> np.ndarray:
    y, x = np.mgrid[:40, :52]
    return 1.3 - 0.6 * ((y - 22) / 40) ** 2 - 0.5 * ((x - 20) / 52) ** 2 + 0.1 * (x / 52)


def test_a_given_flat_is_undone_exactly(vignette: np.ndarray, rng: np.random.Generator) -> None:
    truth = rng.uniform(0, 900, (2, 3, 40, 52))
    dark = 100 + rng.uniform(0, 5, (40, 52))
    seen, flat = truth * vignette + dark, 2000 * vignette + dark
    described = stack(seen)
    out = flat_fielded(described, flat, dark).array
    assert np.allclose(out, truth * vignette.mean(), rtol=1e-5, atol=1e-2)
    planes = np.stack([flat] * 3)
    assert np.allclose(flat_fielded(described, planes, dark).array, out, rtol=1e-6)
    assert np.allclose(flat_fielded(described, flat[None], dark[None]).array, out)


def test_an_even_field_changes_nothing(rng: np.random.Generator) -> None:
    data = rng.uniform(0, 900, (3, 8, 8))
    assert np.allclose(flat_fielded(stack(data), np.full((8, 8), 37.0)).channel(), data, rtol=1e-6)


def test_the_shading_of_even_planes_is_found_exactly(vignette: np.ndarray, rng: np.random.Generator) -> None:
    planes = rng.uniform(100, 900, (5, 1, 1)) * vignette + 98
    found = smooth_flat([stack(planes[:2]), stack(planes[2:])], dark=98.0)
    assert found.shape == (1, 40, 52)
    assert np.allclose(found, vignette / vignette.mean(), atol=1e-6)


def test_specimens_in_many_places_leave_the_shading(vignette: np.ndarray, rng: np.random.Generator) -> None:
    texture = 50 + rng.gamma(0.3, 300, (400, 40, 52))
    found = smooth_flat([stack(rng.poisson(texture * vignette).astype(float))])[0]
    assert np.abs(found / (vignette / vignette.mean()) - 1).max() < 0.05
    even = flat_fielded(stack(texture * vignette), found).channel().mean(0)
    before, after = (np.ptp(np.add.reduceat(m, range(0, 40, 10)).sum(1)) / m.sum() for m in (vignette, even))
    assert after < 0.15 * before


def test_only_valid_voxels_count(vignette: np.ndarray) -> None:
    planes = np.stack([300 * vignette, np.full(vignette.shape, np.nan), 500 * vignette])
    valid = np.ones(planes.shape, bool)
    valid[1] = False
    assert np.allclose(smooth_flat([stack(planes, valid=valid)])[0], vignette / vignette.mean(), atol=1e-6)


def test_impossible_fields_are_refused(vignette: np.ndarray) -> None:
    volume = stack(np.ones((3, 40, 52)))
    with pytest.raises(ContentError, match="above the dark everywhere"):
        flat_fielded(volume, vignette, 2.0)
    with pytest.raises(GridError, match=r"needs the shape \(3, 40, 52\) or \(40, 52\)"):
        flat_fielded(volume, vignette.T)
    with pytest.raises(GridError, match="needs the shape"):
        flat_fielded(volume, 3.0)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="below 0"):
        smooth_flat([volume], degree=-1)
    with pytest.raises(ContentError, match="at least one"):
        smooth_flat([])
    with pytest.raises(ContentError, match="no light"):
        smooth_flat([volume], dark=1.0)
    with pytest.raises(ContentError, match="not above 0"):
        smooth_flat([stack(np.arange(3 * 40 * 52).reshape(3, 40, 52) * 1.0)], dark=3000.0)
    with pytest.raises(GridError, match=r"volumes\[1\]"):
        smooth_flat([volume, stack(np.ones((3, 40, 50)))])
