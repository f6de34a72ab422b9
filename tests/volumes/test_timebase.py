"""A movie at other moments: which frames are lent, what lies between two, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volumes.errors import ConfigError, ContentError, HeaderError
from volumes.grid import Grid
from volumes.timebase import apart_s, at_times, lent
from volumes.timelapse import TimeLapse
from volumes.volume import Channel, from_array

TIMES = (0.0, 10.0, 20.0, 50.0)
GRID = Grid((2, 3, 4), (2.0, 1.0, 1.0))


def recorded(times=TIMES, modality="fluorescence", dtype=np.float32, valid=None):
    """A movie whose frame at t shows t everywhere, and the numbers of the frames loaded so far."""
    loaded = []

    def load(number):
        loaded.append(number)
        data = np.full(GRID.shape, times[number], dtype)
        return from_array(data, GRID.spacing_um, modality=modality, valid=None if valid is None else valid[number])

    return TimeLapse(GRID, (Channel("a", modality),), times, load), loaded


def shown(movie):
    return [float(volume.array.max()) for volume in movie]


def test_the_nearest_frame_is_lent_and_the_earlier_of_two_as_near():
    movie, _ = recorded()
    other = at_times(movie, (0.0, 4.0, 5.0, 6.0, 34.9, 35.1))
    assert shown(other) == [0, 0, 0, 10, 20, 50]
    assert [volume.time_s for volume in other] == [0.0, 4.0, 5.0, 6.0, 34.9, 35.1]


@given(st.floats(0, 50))
def test_a_field_that_grows_with_time_is_met_at_every_moment(moment):
    movie, _ = recorded(dtype=np.float64)
    assert at_times(movie, (moment,), "linear")[0].array == pytest.approx(moment, abs=1e-7)


def test_at_its_own_moments_a_movie_is_what_it_was():
    movie, _ = recorded(dtype=np.uint16)
    for how in ("nearest", "linear"):
        for old, new in zip(movie, at_times(movie, TIMES, how), strict=True):
            assert new.array.dtype == np.uint16
            np.testing.assert_array_equal(old.array, new.array)


def test_between_frames_integers_become_real():
    movie, _ = recorded(dtype=np.uint8)
    between = at_times(movie, (5.0, 12.5), "linear")
    assert between[0].array.dtype == np.float32
    assert shown(between) == [5.0, 12.5]


def test_nothing_is_loaded_before_it_is_asked_for_and_neighbours_share_frames():
    movie, loaded = recorded()
    other = at_times(movie, (11.0, 13.0, 15.0, 17.0), "linear")
    assert loaded == []
    assert shown(other) == pytest.approx([11, 13, 15, 17])
    assert loaded == [1, 2]


def test_between_frames_there_is_data_where_both_have_it():
    valid = np.ones((4, *GRID.shape), bool)
    valid[0, 0, 0, 0] = valid[1, 1, 2, 3] = False
    movie, _ = recorded(valid=valid)
    middle = at_times(movie, (4.0,), "linear")[0]
    np.testing.assert_array_equal(middle.mask(), valid[0] & valid[1])
    assert set(np.unique(middle.array)) == {0.0, 4.0}
    np.testing.assert_array_equal(at_times(movie, (10.0,), "linear")[0].mask(), valid[1])


def test_labels_are_never_interpolated():
    movie, _ = recorded(modality="labels", dtype=np.uint16)
    assert shown(at_times(movie, (7.0,))) == [10]
    with pytest.raises(ContentError, match="nearest"):
        at_times(movie, (7.0,), "linear")


@pytest.mark.parametrize("how", ["nearest", "linear"])
@pytest.mark.parametrize("moment", [-0.1, 50.1])
def test_outside_its_span_a_movie_is_refused_or_held(how, moment):
    movie, _ = recorded()
    with pytest.raises(ConfigError, match="spans 0 to 50") as caught:
        at_times(movie, (moment,), how)
    assert caught.value.value == moment
    assert shown(at_times(movie, (moment,), how, beyond="hold")) == [min(max(moment, 0), 50)]


def test_a_gap_too_long_is_refused():
    movie, _ = recorded()
    assert shown(at_times(movie, (9.0, 20.0, 45.0), within_s=5.0)) == [10, 20, 50]
    with pytest.raises(ConfigError, match="within 5 s"):
        at_times(movie, (30.0,), within_s=5.0)
    with pytest.raises(ConfigError, match="within 10 s"):
        at_times(movie, (25.0,), "linear", within_s=10.0)
    with pytest.raises(ConfigError, match="within 1 s"):
        at_times(movie, (70.0,), beyond="hold", within_s=1.0)
    assert shown(at_times(movie, (12.0, 50.0), "linear", within_s=8.0)) == pytest.approx([12, 50])


def test_one_frame_is_lent_for_every_moment_where_it_is_held():
    movie, _ = recorded(times=(30.0,))
    assert shown(at_times(movie, (0.0, 30.0, 90.0), "linear", beyond="hold")) == [30, 30, 30]


@pytest.mark.parametrize("times", [(), (3.0, 3.0), (5.0, 1.0), (0.0, np.nan)])
def test_moments_must_grow(times):
    with pytest.raises(HeaderError):
        at_times(recorded()[0], times, beyond="hold")


@given(st.floats(-20, 80), st.sampled_from(["nearest", "linear"]))
def test_what_is_lent_is_a_mean_of_neighbours(moment, how):
    one = lent(TIMES, moment, how)
    assert one.second - one.first in (0, 1)
    assert 0 <= one.share <= 1
    if one.first == one.second:
        assert abs(TIMES[one.first] - moment) == min(abs(t - moment) for t in TIMES)
    else:
        assert TIMES[one.first] < moment < TIMES[one.second]


def test_how_far_the_lent_frames_lie():
    assert apart_s(TIMES, (0.0, 4.0, 60.0)) == 10
    assert apart_s(TIMES, (4.0, 24.0)) == 4
    assert apart_s(TIMES, (4.0, 24.0), "linear") == 26
    assert apart_s(TIMES, (10.0,), "linear") == 0
