"""A movie loads the frame that is asked for, and no other."""

import numpy as np
import pytest

from volumes.errors import GridError, HeaderError
from volumes.grid import Grid
from volumes.timelapse import TimeLapse
from volumes.volume import Channel, from_array

SPACING = (2.0, 0.5, 0.5)
GRID = Grid((3, 4, 5), SPACING)
CHANNEL = (Channel("nuclei", "fluorescence"),)


def frame(value, spacing=SPACING, shape=(3, 4, 5), **more):
    return from_array(np.full(shape, float(value)), spacing, modality="fluorescence", **more)


def recorded(n):
    """A movie of n frames, 10 s apart, and the list of the frames loaded so far."""
    loaded = []

    def load(number):
        loaded.append(number)
        return frame(number)

    return TimeLapse(GRID, CHANNEL, tuple(10.0 * i for i in range(n)), load), loaded


def test_only_the_frame_asked_for_is_loaded():
    movie, loaded = recorded(5)
    assert (len(movie), movie.dt_s, loaded) == (5, 10.0, [])
    assert movie[3].array.max() == 3
    assert loaded == [3]
    next(iter(movie))
    assert loaded == [3, 0]


def test_a_frame_carries_the_movies_time():
    movie, _ = recorded(4)
    assert [volume.time_s for volume in movie] == [0, 10, 20, 30]


def test_negative_numbers_count_from_the_end():
    movie, loaded = recorded(5)
    assert movie[-1].time_s == 40
    assert loaded == [4]


@pytest.mark.parametrize("number", [5, -6])
def test_a_frame_past_the_end_is_refused(number):
    movie, loaded = recorded(5)
    with pytest.raises(IndexError, match="of 5"):
        movie[number]
    assert loaded == []


@pytest.mark.parametrize("times", [(), (0.0, 0.0), (0.0, 2.0, 1.0), (0.0, np.nan), (0.0, np.inf)])
def test_times_must_be_finite_and_grow(times):
    with pytest.raises(HeaderError):
        TimeLapse(GRID, CHANNEL, times, frame)


def test_one_frame_has_no_interval():
    assert TimeLapse.of([frame(0)]).dt_s is None


def test_a_gap_does_not_change_the_interval():
    assert TimeLapse(GRID, CHANNEL, (0.0, 10.0, 20.0, 200.0), frame).dt_s == 10.0


@pytest.mark.parametrize(
    "odd",
    [
        frame(0, shape=(3, 4, 6)),
        frame(0, spacing=(2.0, 0.5, 0.6)),
        frame(0, origin_um=(0, 0, 1)),
        frame(0, shape=(2, 3, 4, 5)),
    ],
)
def test_a_loaded_frame_unlike_the_movie_is_refused(odd):
    movie = TimeLapse(GRID, CHANNEL, (0.0, 1.0), lambda number: odd if number else frame(0))
    assert movie[0].grid == GRID
    with pytest.raises(GridError, match="frame 1"):
        movie[1]


def test_of_refuses_other_grids_and_nothing_at_all():
    with pytest.raises(GridError, match="frame 1"):
        TimeLapse.of([frame(0), frame(1, origin_um=(0, 0, 1), time_s=1.0)])
    with pytest.raises(GridError, match="frame 1"):
        TimeLapse.of([frame(0), frame(1, shape=(2, 3, 4, 5), time_s=1.0)])
    with pytest.raises(HeaderError, match="at least one"):
        TimeLapse.of([])


def test_of_refuses_volumes_of_equal_time():
    with pytest.raises(HeaderError, match="grow"):
        TimeLapse.of([frame(0), frame(1)])


@pytest.mark.parametrize("shape", [(6, 3, 4, 5), (6, 2, 3, 4, 5)])
def test_from_array_takes_frames_with_and_without_channels(shape, rng):
    data = rng.random(shape)
    movie = TimeLapse.from_array(data, SPACING, dt_s=30.0, modality="fluorescence")
    assert movie.times_s == tuple(30.0 * i for i in range(6))
    assert movie.grid == GRID
    for i, volume in enumerate(movie):
        np.testing.assert_array_equal(volume.array, data[i].reshape(volume.array.shape))


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 2, 3, 4, 5, 6)])
def test_from_array_refuses_other_ranks(shape):
    with pytest.raises(GridError, match="T, Z, Y, X"):
        TimeLapse.from_array(np.zeros(shape), SPACING, dt_s=1.0, modality="CT")


@pytest.mark.parametrize("dt", [0.0, -1.0, np.nan])
def test_from_array_refuses_an_interval_that_cannot_be(dt):
    with pytest.raises(HeaderError, match="dt_s"):
        TimeLapse.from_array(np.zeros((2, 3, 4, 5)), SPACING, dt_s=dt, modality="CT")
