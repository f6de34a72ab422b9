"""N4 finds the coil's field that the phantom drew, in physical spacing, and leaves an even volume even."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from fusion.prepare import BiasConfig, bias_corrected, bias_field
from phantom.physics.bias import bias
from volumes import Volume, from_array
from volumes.errors import ContentError, GridError

SHAPE = (20, 40, 44)


def mri(data: np.ndarray, spacing: tuple[float, float, float] = (2000.0, 1000.0, 1000.0), **more: object) -> Volume:
    return from_array(np.asarray(data, np.float32), spacing, modality="MRI", **more)


@pytest.fixture(scope="module")
def head() -> np.ndarray:
    """Three tissues in blobs, inside an ellipsoid in air."""
    rng = np.random.default_rng(2)
    tissue = np.digitize(ndimage.gaussian_filter(rng.normal(size=SHAPE), 2.5), [-0.03, 0.03])
    away = sum(((i - (n - 1) / 2) / (0.48 * n)) ** 2 for i, n in zip(np.indices(SHAPE), SHAPE, strict=True))
    return np.where(away < 1, np.array([60.0, 100, 150])[tissue], 0)


@pytest.fixture(scope="module")
def coil() -> np.ndarray:
    field = bias(0.4, SHAPE, np.random.default_rng(5))
    return np.stack([field.plane(z) for z in range(SHAPE[0])])


def noisy(picture: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(7)
    return np.hypot(picture + rng.normal(0, 2, SHAPE), rng.normal(0, 2, SHAPE))


def unevenness(field: np.ndarray, head: np.ndarray) -> float:
    return float(np.std(np.log(field[head > 0])))


@pytest.mark.parametrize("mask", [False, True])
def test_the_coil_of_the_phantom_is_found(head: np.ndarray, coil: np.ndarray, mask: bool) -> None:
    found = bias_field(mri(noisy(head * coil)), head > 0 if mask else None)
    assert unevenness(coil / found, head) < 0.25 * unevenness(coil, head)
    inside = np.log(found[head > 0] if mask else found[head > 30])
    assert abs(inside.mean()) < 0.01


def test_an_even_volume_stays_even(head: np.ndarray) -> None:
    assert unevenness(bias_field(mri(noisy(head))), head) < 0.01


def test_the_field_does_not_depend_on_the_unit_of_intensity(head: np.ndarray, coil: np.ndarray) -> None:
    once, again = (bias_field(mri(gain * noisy(head * coil)), head > 0) for gain in (1, 40))
    assert np.allclose(once, again, rtol=0.01)


def test_knots_are_placed_in_micrometres(head: np.ndarray, coil: np.ndarray) -> None:
    """Voxels and knots twice as large give the same field; knots of another distance do not."""
    seen = noisy(head * coil)
    plain = bias_field(mri(seen), config=BiasConfig(knots_um=20_000))
    doubled = bias_field(mri(seen, (4000.0, 2000.0, 2000.0)), config=BiasConfig(knots_um=40_000))
    coarse = bias_field(mri(seen, (4000.0, 2000.0, 2000.0)), config=BiasConfig(knots_um=80_000))
    assert np.allclose(plain, doubled, rtol=1e-3)
    assert not np.allclose(plain, coarse, rtol=1e-3)


def test_each_channel_and_plane_is_divided_by_its_own_field(head: np.ndarray, coil: np.ndarray) -> None:
    seen = noisy(head * coil)
    both = mri(np.stack([seen, noisy(head)]))
    out = bias_corrected(both)
    fields = [bias_field(both, channel=i) for i in (0, 1)]
    assert np.allclose(out.array, both.array / np.stack(fields), rtol=1e-5)
    middle = bias_corrected(mri(seen[10]))
    assert middle.grid.shape == (1, 40, 44)


def test_hidden_voxels_have_no_say(head: np.ndarray, coil: np.ndarray) -> None:
    valid = np.ones(SHAPE, bool)
    valid[:, :, 30:] = False
    seen = noisy(head * coil)
    fields = [bias_field(mri(np.where(valid, seen, junk), valid=valid)) for junk in (np.nan, 9000.0)]
    assert np.array_equal(*fields)


def test_where_there_is_nothing_to_find_it_is_said(head: np.ndarray) -> None:
    for picture in (np.zeros(SHAPE), np.full(SHAPE, 5.0)):
        with pytest.raises(ContentError, match="nothing to find"):
            bias_field(mri(picture))
    with pytest.raises(ContentError, match="nothing to find"):
        bias_field(mri(head), np.zeros(SHAPE, bool))
    with pytest.raises(GridError, match="mask"):
        bias_field(mri(head), np.ones((2, 2, 2), bool))
