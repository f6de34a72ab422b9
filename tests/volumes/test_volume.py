"""A volume keeps its parts together and does not change."""

import numpy as np
import pytest
import zarr

from volumes.errors import ConfigError, ContentError, GridError, HeaderError
from volumes.grid import Grid
from volumes.modality import KNOWN
from volumes.volume import Channel, Volume, from_array, require_finite

SPACING = (2.0, 0.5, 0.25)


@pytest.mark.parametrize(
    ("shape", "full"), [((6, 7), (1, 1, 6, 7)), ((5, 6, 7), (1, 5, 6, 7)), ((2, 5, 6, 7), (2, 5, 6, 7))]
)
def test_any_rank_becomes_channels_of_three_axes(shape, full, rng):
    data = rng.random(shape)
    volume = from_array(data, SPACING, modality="fluorescence", origin_um=(1, 2, 3), time_s=4.0)
    assert volume.data.shape == full
    assert volume.grid == Grid(full[1:], SPACING, (1, 2, 3))
    assert volume.time_s == 4.0
    np.testing.assert_array_equal(volume.array.reshape(shape), data)


@pytest.mark.parametrize("shape", [(3,), (1, 2, 3, 4, 5)])
def test_another_rank_is_refused(shape):
    with pytest.raises(GridError, match=r"\(Z, Y, X\)"):
        from_array(np.zeros(shape), SPACING, modality="CT")


def test_an_empty_axis_is_refused():
    with pytest.raises(HeaderError, match="shape"):
        from_array(np.zeros((0, 4, 4)), SPACING, modality="CT")


@pytest.mark.parametrize("data", [np.zeros((2, 3, 4), complex), np.array([[["a"]]]), np.array([[[None]]])])
def test_voxels_that_are_no_real_numbers_are_refused(data):
    with pytest.raises(ContentError, match="real numbers"):
        from_array(data, SPACING, modality="MRI")


def test_writing_into_a_volume_raises(rng):
    volume = from_array(rng.random((3, 4, 5)), SPACING, modality="CT", valid=np.ones((3, 4, 5), bool))
    for array in (volume.data, volume.array, volume.channel(), volume.valid):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    with pytest.raises(AttributeError):
        volume.time_s = 1.0


def test_the_callers_array_stays_writable_and_is_not_copied():
    data = np.zeros((3, 4, 5))
    volume = from_array(data, SPACING, modality="CT")
    assert data.flags.writeable
    assert np.shares_memory(volume.array, data)


def test_two_volumes_compare_by_identity(rng):
    one, other = (from_array(rng.random((3, 4, 5)), SPACING, modality="CT") for _ in range(2))
    assert one == one
    assert one != other
    assert len({one, other, one}) == 2


def test_channels_are_named_and_coloured_by_their_modality():
    volume = from_array(np.zeros((2, 3, 4, 5)), SPACING, modality="swir")
    assert [c.name for c in volume.channels] == ["swir-0", "swir-1"]
    assert {c.modality for c in volume.channels} == {"SWIR"} == {volume.modality}
    assert volume.channels[0].colour == KNOWN["swir"].colour
    assert Channel("a", "CT", colour="123456").colour == "123456"


def test_a_misspelt_modality_is_refused():
    with pytest.raises(ConfigError, match="MRI"):
        from_array(np.zeros((3, 4, 5)), SPACING, modality="MIR")


def test_a_channel_is_found_by_name_and_by_position(rng):
    data = rng.random((2, 3, 4, 5))
    named = [Channel("dapi", "fluorescence", 405.0), Channel("gfp", "fluorescence", 488.0)]
    volume = from_array(data, SPACING, modality="fluorescence", channels=named)
    np.testing.assert_array_equal(volume.channel("gfp"), data[1])
    np.testing.assert_array_equal(volume.channel(1), data[1])
    np.testing.assert_array_equal(volume.channel(), data[0])


@pytest.mark.parametrize("which", ["rfp", 2, -1])
def test_a_channel_that_is_not_there_is_refused(which):
    with pytest.raises(ContentError, match="no such channel"):
        from_array(np.zeros((2, 3, 4, 5)), SPACING, modality="CT").channel(which)


def test_an_ambiguous_name_is_refused():
    twins = [Channel("gfp", "fluorescence"), Channel("gfp", "fluorescence")]
    volume = from_array(np.zeros((2, 3, 4, 5)), SPACING, modality="fluorescence", channels=twins)
    with pytest.raises(ContentError, match="2 channels"):
        volume.channel("gfp")


def test_parts_that_do_not_fit_are_refused():
    grid, one = Grid((3, 4, 5), SPACING), (Channel("a", "CT"),)
    with pytest.raises(GridError, match="data"):
        Volume(np.zeros((1, 3, 4, 6)), grid, one)
    with pytest.raises(GridError, match="data"):
        Volume(np.zeros((3, 4, 5)), grid, one)
    with pytest.raises(GridError, match="channels"):
        Volume(np.zeros((2, 3, 4, 5)), grid, one)
    with pytest.raises(GridError, match="valid"):
        Volume(np.zeros((1, 3, 4, 5)), grid, one, valid=np.ones((3, 4, 4), bool))
    with pytest.raises(GridError, match="valid"):
        Volume(np.zeros((1, 3, 4, 5)), grid, one, valid=np.full((3, 4, 5), 0.5))


def test_the_mask_is_all_true_until_one_is_given():
    volume = from_array(np.zeros((3, 4, 5)), SPACING, modality="CT")
    assert volume.mask().all()
    assert volume.mask().shape == (3, 4, 5)
    hole = np.ones((3, 4, 5), bool)
    hole[0] = False
    np.testing.assert_array_equal(from_array(np.zeros((3, 4, 5)), SPACING, modality="CT", valid=hole).mask(), hole)


def test_other_voxels_keep_grid_time_and_mask(rng):
    hole = rng.random((3, 4, 5)) > 0.5
    volume = from_array(np.zeros((3, 4, 5)), SPACING, modality="CT", time_s=7.0, valid=hole)
    other = volume.with_data(rng.random((3, 4, 5)))
    assert (other.grid, other.time_s, other.channels) == (volume.grid, 7.0, volume.channels)
    np.testing.assert_array_equal(other.mask(), hole)
    two = volume.with_data(np.zeros((2, 3, 4, 5)), [Channel("a", "CT"), Channel("b", "PET")])
    assert [c.modality for c in two.channels] == ["CT", "PET"]
    with pytest.raises(GridError, match="data"):
        volume.with_data(np.zeros((3, 4, 6)))


class CountingArray:
    """A zarr array that remembers what was asked of it."""

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.asked = array, array.shape, array.dtype, []

    def __getitem__(self, key):
        self.asked.append(key)
        return self.array[key]


def test_lazy_voxels_are_read_by_channel_when_asked_for(rng):
    data = rng.random((2, 3, 4, 5))
    lazy = CountingArray(zarr.array(data, chunks=(1, 3, 4, 5)))
    volume = Volume(lazy, Grid((3, 4, 5), SPACING), (Channel("a", "CT"), Channel("b", "CT")))
    assert lazy.asked == []
    np.testing.assert_array_equal(volume.channel("b"), data[1])
    assert lazy.asked == [1]
    np.testing.assert_array_equal(volume.array, data)
    assert not volume.array.flags.writeable


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_voxel_that_is_not_finite_is_refused_unless_masked(bad):
    data = np.zeros((2, 3, 4, 5), np.float32)
    data[1, 2, 3, 4] = bad
    with pytest.raises(ContentError, match="1 voxels") as caught:
        require_finite(from_array(data, SPACING, modality="CT"), "fixed")
    assert caught.value.field == "fixed"
    valid = np.ones((3, 4, 5), bool)
    valid[2, 3, 4] = False
    require_finite(from_array(data, SPACING, modality="CT", valid=valid), "fixed")


def test_integers_are_always_finite():
    require_finite(from_array(np.zeros((3, 4, 5), np.uint16), SPACING, modality="CT"), "fixed")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_values_whose_sum_is_past_all_numbers_are_finite(dtype):
    most = np.full((3, 4, 5), np.finfo(dtype).max)
    require_finite(from_array(most, SPACING, modality="CT"), "fixed")
    most[0, 0, 0], most[0, 0, 1] = np.inf, -np.inf
    with pytest.raises(ContentError, match="fixed: 2 voxels are NaN or infinite"):
        require_finite(from_array(most, SPACING, modality="CT"), "fixed")
