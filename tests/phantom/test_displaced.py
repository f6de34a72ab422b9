"""A moved volume is where its truth says it is."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from phantom.displaced import displaced
from volumes import Affine, Channel, from_array, read, resample
from volumes.errors import ConfigError, ContentError

SPACING = (2.0, 1.0, 1.5)
MOVE = {"rotation_deg": (8.0, -5.0, 4.0), "shift_um": (1.5, -2.2, 3.1)}


def smooth(rng, shape=(24, 40, 32), **more):
    """A texture of about four voxels, on an oblique grid."""
    data = ndimage.gaussian_filter(rng.standard_normal(shape), 2.0)
    turn = Rotation.from_rotvec([0.2, -0.1, 0.3]).as_matrix() @ np.diag([1, 1, -1])
    more = {"modality": "MRI", "origin_um": (10.0, -20.0, 5.0), "direction": turn.tolist(), **more}
    return from_array(1000 * data / data.std(), SPACING, **more)


def test_resampling_through_the_truth_brings_the_volume_back(rng):
    volume = smooth(rng)
    moved, truth = displaced(volume, **MOVE)
    back = resample(moved, like=volume, transform=truth)
    assert 0.5 < back.valid.mean() < 1
    off = (back.channel() - volume.channel())[back.valid]
    assert off.std() < 0.1 * volume.channel().std()
    wrong = resample(moved, like=volume, transform=truth.inverse())
    assert (wrong.channel() - volume.channel())[wrong.valid].std() > volume.channel().std()


def test_the_truth_is_the_turn_about_the_centre_and_the_shift(rng):
    volume = smooth(rng)
    moved, truth = displaced(volume, **MOVE)
    centre = volume.grid.centre_um
    np.testing.assert_allclose(truth(centre), centre + MOVE["shift_um"])
    assert truth == Affine.rigid(np.radians(MOVE["rotation_deg"]), MOVE["shift_um"], centre[0])
    assert (moved.grid, moved.channels, moved.time_s) == (volume.grid, volume.channels, volume.time_s)


def test_a_shift_by_whole_voxels_is_a_slice(rng):
    volume = from_array(rng.random((8, 9, 10)), SPACING, modality="CT")
    moved, _ = displaced(volume, shift_um=(2 * 2.0, -3 * 1.0, 0.0))
    np.testing.assert_allclose(moved.channel()[2:, :-3], volume.channel()[:-2, 3:], atol=1e-10)
    expected = np.zeros((8, 9, 10), bool)
    expected[2:, :-3] = True
    np.testing.assert_array_equal(moved.valid, expected)


def test_no_move_changes_nothing_but_rounding(rng):
    volume = smooth(rng)
    moved, truth = displaced(volume)
    np.testing.assert_allclose(moved.channel(), volume.channel(), atol=1e-8)
    assert moved.valid.all()
    assert truth == Affine.identity()


def test_outside_the_old_field_lies_the_plain_background(rng):
    channels = (Channel("a", "fluorescence"), Channel("b", "fluorescence"))
    data = np.stack([5 + rng.random((10, 20, 20)), 9 + rng.random((10, 20, 20))])
    volume = from_array(data, SPACING, modality="fluorescence", channels=channels)
    moved, _ = displaced(volume, **MOVE, noise=0.1)
    assert 0.05 < (~moved.valid).mean() < 0.6
    for before, after in zip(volume.array, moved.array, strict=True):
        np.testing.assert_allclose(after[~moved.valid], np.percentile(before, 1))


def test_invalid_voxels_move_along(rng):
    hole = np.ones((24, 40, 32), bool)
    hole[8:12, 10:20, 10:20] = False
    volume = smooth(rng, valid=hole)
    spoilt = volume.with_data(np.where(hole, volume.channel(), 1e7))
    moved, truth = displaced(spoilt, **MOVE)
    lost = resample(volume, like=volume, transform=truth.inverse()).valid
    np.testing.assert_array_equal(moved.valid, lost)
    clean = volume.channel()[hole]
    assert moved.channel()[moved.valid].max() < clean.max() * 1.5


def test_noise_is_a_share_of_the_bright_range(rng):
    volume = smooth(rng)
    clean, _ = displaced(volume, **MOVE)
    noisy, _ = displaced(volume, **MOVE, noise=0.05, seed=3)
    low, high = np.percentile(volume.channel(), [1, 99.8])
    off = (noisy.channel() - clean.channel())[clean.valid]
    assert off.std() == pytest.approx(0.05 * (high - low), rel=0.03)
    assert abs(off.mean()) < 4 * off.std() / np.sqrt(off.size)


def test_a_seed_gives_the_same_noise_again(rng):
    volume = smooth(rng)
    one, again, other = (displaced(volume, noise=0.1, seed=s)[0].array for s in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


@pytest.mark.parametrize(("kind", "expected"), [("u1", "f4"), ("f4", "f4"), ("f8", "f8"), (">i2", "f4")])
def test_the_type_is_a_float(kind, expected, rng):
    volume = from_array((rng.random((6, 7, 8)) * 100).astype(kind), SPACING, modality="CT")
    assert displaced(volume, **MOVE)[0].data.dtype == expected


def test_a_picture_of_one_plane_turns_in_its_plane(rng):
    volume = from_array(ndimage.gaussian_filter(rng.standard_normal((40, 50)), 3), SPACING, modality="optical")
    moved, truth = displaced(volume, rotation_deg=(20, 0, 0))
    back = resample(moved, like=volume, transform=truth)
    assert back.valid.mean() > 0.6
    assert (back.channel() - volume.channel())[back.valid].std() < 0.1 * volume.channel().std()


def test_a_real_volume_comes_back(data):
    volume = read(data / "registration" / "clinical_scct.nii.gz", modality="CT")
    moved, truth = displaced(volume, rotation_deg=(10, 5, -7), shift_um=(4000, -6000, 3000))
    back = resample(moved, like=volume, transform=truth)
    both = np.corrcoef(back.channel()[back.valid], volume.channel()[back.valid])[0, 1]
    unmoved = np.corrcoef(moved.channel()[back.valid], volume.channel()[back.valid])[0, 1]
    assert both > 0.99 > 0.9 > unmoved


@pytest.mark.parametrize("noise", [-0.1, np.nan, np.inf])
def test_a_noise_that_cannot_be_is_refused(noise, rng):
    with pytest.raises(ConfigError, match="noise"):
        displaced(smooth(rng), noise=noise)


def test_labels_and_nan_are_refused(rng):
    with pytest.raises(ConfigError, match="labels"):
        displaced(from_array(np.ones((4, 5, 6), int), SPACING, modality="labels"))
    with pytest.raises(ContentError, match="NaN"):
        displaced(from_array(np.full((4, 5, 6), np.nan), SPACING, modality="CT"))


def test_half_a_voxel_costs_a_cubic_spline_little():
    """Of a wave of 8 voxels a trilinear half step would lose 1 − cos(π/8) = 7.6 %; the spline keeps it to 0.5 %."""
    wave = np.broadcast_to(np.sin(np.arange(64) * np.pi / 4), (3, 3, 64))
    moved, _ = displaced(from_array(wave, SPACING, modality="CT"), shift_um=(0, 0, 0.5 * SPACING[2]))
    expected = np.sin((np.arange(64) - 0.5) * np.pi / 4)
    np.testing.assert_allclose(moved.channel()[1, 1, 12:-12], expected[12:-12], atol=5e-3)
