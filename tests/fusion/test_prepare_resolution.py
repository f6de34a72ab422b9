"""A Gaussian of one width becomes one of another: closed forms, and scipy's filter where voxels are fine."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from fusion.prepare import blurred_to, matched_resolution
from volumes import Volume, from_array
from volumes.errors import ConfigError

FWHM = 2 * np.sqrt(2 * np.log(2))
SPACING = (2.0, 0.5, 0.8)
SHAPE = (31, 81, 63)


def bead(fwhm_um: tuple[float, float, float]) -> np.ndarray:
    """A Gaussian of given widths in the middle, of peak 1000 for any width of 1 µm."""
    out = np.full(SHAPE, 1e3)
    for axis, (n, step, width) in enumerate(zip(SHAPE, SPACING, fwhm_um, strict=True)):
        away = (np.arange(n) - n // 2) * step / (width / FWHM)
        profile = np.exp(-(away**2) / 2) / width
        out *= profile.reshape([-1 if a == axis else 1 for a in range(3)])
    return out


def volume(data: np.ndarray, spacing: tuple[float, float, float] = SPACING, **more: object) -> Volume:
    return from_array(data, spacing, modality="fluorescence", **more)


def test_a_sharp_bead_becomes_the_coarse_one() -> None:
    own, target = (6.0, 2.0, 3.0), (9.0, 4.0, 3.0)
    out = blurred_to(volume(bead(own)), own, target).channel()
    assert np.abs(out - bead(target)).max() < 0.01 * bead(target).max()
    assert out.sum() == pytest.approx(bead(own).sum(), rel=1e-5)


def test_sources_meet_at_the_coarsest_of_each_axis() -> None:
    widths = [(8.0, 2.0, 3.0), (6.0, 5.0, 3.0), (6.0, 2.0, 4.0)]
    out = matched_resolution([volume(bead(w)) for w in widths], widths)
    for one in out:
        assert np.abs(one.channel() - bead((8.0, 5.0, 4.0))).max() < 0.01 * bead((8.0, 5.0, 4.0)).max()


def test_variances_add_exactly_even_far_below_a_voxel() -> None:
    """A blur of 0.2 voxels, where the sampled kernel of most filters is a single voxel and blurs nothing."""
    own = np.array([6.0, 1.5, 2.4])
    target = np.sqrt(own**2 + (0.2 * FWHM * np.array(SPACING)) ** 2)
    out = blurred_to(volume(bead(tuple(own))), tuple(own), tuple(target)).channel().astype(float)
    assert np.abs(out - bead(tuple(target))).max() < 1e-3 * out.max()
    for axis, (step, width) in enumerate(zip(SPACING, target, strict=True)):
        away = (np.arange(SHAPE[axis]) - SHAPE[axis] // 2) * step
        profile = out.sum(tuple(a for a in range(3) if a != axis))
        assert (profile * away**2).sum() / profile.sum() == pytest.approx((width / FWHM) ** 2, rel=2e-3)


def test_it_is_scipy_s_filter_where_voxels_are_fine(rng: np.random.Generator) -> None:
    data = rng.random((9, 40, 50))
    out = blurred_to(volume(data, (1.0, 1.0, 1.0)), (0, 0, 0), (0.0, 4 * FWHM, 5 * FWHM)).channel()
    expected = ndimage.gaussian_filter(data, (0, 4, 5), mode="reflect", truncate=8)
    assert np.abs(out - expected).max() < 2e-3


def test_nothing_wider_leaves_the_volume_as_it_is(rng: np.random.Generator) -> None:
    same = volume(rng.random(SHAPE).astype(np.float32))
    assert blurred_to(same, (3, 1, 1), (3, 1, 1)) is same
    assert matched_resolution([same], [(3, 1, 1)])[0] is same


def test_voxels_without_data_have_no_say() -> None:
    valid = np.ones(SHAPE, bool)
    valid[:, :, 40:] = False
    even = np.where(valid, 7.0, np.nan)
    out = blurred_to(volume(even, valid=valid), (0, 0, 0), (8, 4, 4))
    assert np.allclose(out.channel()[valid], 7, rtol=1e-5)
    assert (out.channel()[~valid] == 0).all()


def test_a_picture_of_one_plane_is_blurred_within_it(rng: np.random.Generator) -> None:
    data = rng.random((1, 30, 30))
    out = blurred_to(volume(data, (1, 1, 1)), (0, 0, 0), (50.0, 3.0, 3.0)).channel()
    assert np.allclose(out, blurred_to(volume(data, (1, 1, 1)), (0, 0, 0), (0.0, 3.0, 3.0)).channel(), atol=1e-6)


def test_nothing_is_made_sharper() -> None:
    sharp = volume(np.ones(SHAPE))
    with pytest.raises(ConfigError, match="sharper than the volume's own"):
        blurred_to(sharp, (3, 2, 2), (4, 1, 2))
    with pytest.raises(ConfigError, match="three widths"):
        blurred_to(sharp, (3, 2, np.nan), (4, 4, 4))
    with pytest.raises(ConfigError, match="1 widths for 2"):
        matched_resolution([sharp, sharp], [(1, 1, 1)])
