"""What a registration looks at: the index of refraction behind a focal stack, and dim tissue told from the dark."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

import volumes
from registration.contrast import contrast, faint, phase
from volumes.errors import ConfigError, ContentError

SPACING = (2.0, 1.0, 1.0)


def volume(voxels, modality="brightfield", **more):
    return volumes.from_array(voxels, SPACING, modality=modality, **more)


def focal_stack(index, cone=0.15, sigma=0.6):
    """``1 − Σ_d (d/n) G(d) ∗ ∇²p(z + d)`` by brute force: each plane onto each focus."""
    curved = np.stack([ndimage.laplace(plane, mode="nearest") for plane in index]) * SPACING[0]
    out = np.ones_like(index)
    for focus in range(len(index)):
        for plane in range(len(index)):
            away = (plane - focus) * SPACING[0]
            blur = np.hypot(sigma, cone * away) / SPACING[1]
            out[focus] -= away / 1.33 * ndimage.gaussian_filter(curved[plane], blur, mode="nearest")
    return out


def blob(centre, shape=(32, 40, 44), size=2.0):
    z, y, x = np.meshgrid(*map(np.arange, shape), indexing="ij")
    square = sum(((c - m) * s) ** 2 for c, m, s in zip((z, y, x), centre, SPACING, strict=True))
    return 0.004 * np.exp(-square / (2 * size**2))


@pytest.mark.parametrize("centre", [(16, 20, 22), (12, 15, 28)])
def test_phase_puts_a_blob_where_it_is_though_nothing_is_seen_in_focus(centre):
    light = focal_stack(blob(centre))
    assert abs(light[centre] - 1) < 0.02 * np.abs(light - 1).max()
    found = phase(1000 * light, SPACING, 1.5)
    peak = np.unravel_index(np.argmax(np.abs(found)), found.shape)
    assert np.abs(np.subtract(peak, centre)).max() <= 1


def test_phase_tells_more_index_from_less():
    more, less = ((phase(focal_stack(sign * blob((16, 20, 22))), SPACING, 1.5)) for sign in (1, -1))
    assert np.sign(more[16, 20, 22]) == -np.sign(less[16, 20, 22])
    np.testing.assert_allclose(more, -less, atol=0.03 * np.abs(more).max())


def test_phase_of_light_from_the_other_side_is_turned_over():
    light = focal_stack(blob((16, 20, 22)))
    there, back = phase(light, SPACING, 1.5), phase(light[::-1], SPACING, 1.5)
    np.testing.assert_allclose(there, -back[::-1], atol=1e-4 * np.abs(there).max())


@given(st.floats(0.1, 50.0))
@settings(max_examples=10, deadline=None)
def test_phase_does_not_ask_how_bright_the_lamp_is(gain):
    light = focal_stack(blob((8, 10, 12), shape=(16, 20, 24)))
    once, again = phase(light, SPACING, 1.5), phase(gain * light, SPACING, 1.5)
    np.testing.assert_allclose(again, once, atol=2e-3 * np.abs(once).max())


@given(st.floats(0.05, 20.0), st.floats(-500.0, 500.0))
@settings(max_examples=20, deadline=None)
def test_faint_does_not_ask_for_the_cameras_gain_and_offset(gain, offset):
    voxels = np.random.default_rng(0).normal(100, 10, (8, 12, 14))
    voxels[2:6, 3:9, 3:9] += 200
    once, again = faint(voxels, SPACING, 2.0), faint(gain * voxels + offset, SPACING, 2.0)
    np.testing.assert_allclose(again, once, atol=5e-3 * once.max())


def test_faint_brings_dim_tissue_out_beside_bright_cells():
    """Between dark 100, tissue 110 and cells 1100, the tissue's share of the range grows from 1 % to a quarter."""
    voxels = np.full((24, 40, 40), 100.0)
    voxels[6:18, 10:30, 10:30] = 110
    voxels[10:14, 16:24, 16:24] = 1100
    noisy = voxels + np.random.default_rng(1).normal(0, 4, voxels.shape)
    seen = faint(noisy, SPACING, 1.5)
    dark, tissue, cells = np.median(seen[:3]), np.median(seen[8:9, 12:14, 12:28]), np.median(seen[11:13, 18:22, 18:22])
    assert (tissue - dark) / (cells - dark) > 0.25
    spread = seen[:3].std()
    assert tissue - dark > 3 * spread


@pytest.mark.parametrize("kind", ["raw", "faint", "phase"])
def test_the_grid_the_time_the_mask_and_the_channel_stay(kind):
    voxels = np.random.default_rng(2).uniform(50, 100, (2, 6, 8, 10)).astype(np.float32)
    valid = np.ones((6, 8, 10), bool)
    valid[:, :2] = False
    channels = [volumes.Channel(name, "fluorescence") for name in ("a", "b")]
    given_ = volumes.from_array(voxels, SPACING, modality="fluorescence", channels=channels, time_s=7.0, valid=valid)
    out = contrast(given_, kind, "b")
    assert out.grid == given_.grid
    assert out.time_s == 7.0
    assert [c.name for c in out.channels] == ["b"]
    assert np.array_equal(out.mask(), valid)
    assert np.array_equal(out.array, contrast(given_, kind, 1).array)


@pytest.mark.parametrize("kind", ["faint", "phase"])
def test_what_is_not_valid_decides_nothing(kind):
    voxels = np.random.default_rng(3).uniform(50, 100, (6, 12, 14)).astype(np.float32)
    valid = np.ones(voxels.shape, bool)
    valid[:, :3] = False
    foreign = np.where(valid, voxels, np.float32(1e6))
    seen = (contrast(volume(v, valid=valid), kind).channel() for v in (voxels, foreign))
    assert np.array_equal(*seen)


def test_what_cannot_be_seen_is_refused():
    flat = volume(np.full((6, 8, 10), 3.0, np.float32))
    for kind in ("faint", "phase"):
        with pytest.raises(ContentError, match="constant"):
            contrast(flat, kind)
    with pytest.raises(ConfigError, match="smoothing_um"):
        contrast(flat, "faint", smoothing_um=0.0)
    with pytest.raises(ConfigError, match="no such contrast"):
        contrast(flat, "sharp")
    with pytest.raises(ContentError, match="NaN"):
        contrast(volume(np.full((6, 8, 10), np.nan, np.float32)), "phase")
    with pytest.raises(ContentError, match="no valid voxel"):
        contrast(volume(np.ones((6, 8, 10)), valid=np.zeros((6, 8, 10), bool)), "faint")
