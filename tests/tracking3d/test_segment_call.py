"""tracking3d.segment.segment: volumes, time-lapses, plugged-in segmenters, and what it refuses."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from tracking3d.match import score
from tracking3d.segment import Segmenter, WatershedConfig, segment
from volumes.errors import ConfigError, ContentError, GridError
from volumes.timelapse import TimeLapse
from volumes.volume import Channel, Volume, from_array

SPACING = (2.0, 1.0, 1.0)


@pytest.fixture
def movie() -> TimeLapse:
    """Three frames of two bright boxes that move by a voxel along x, 30 s apart."""
    frames = np.full((3, 8, 24, 30), 10, np.uint16)
    for t in range(3):
        frames[t, 2:6, 4:12, 3 + t : 11 + t] = 200
        frames[t, 2:6, 14:22, 15 + t : 23 + t] = 150
    return TimeLapse.from_array(frames, SPACING, dt_s=30.0, modality="fluorescence")


class Above:
    """A segmenter of a user: one label for all that is above a level."""

    def __init__(self, level, kind=np.uint8, spacing=None):
        self.level, self.kind, self.spacing = level, kind, spacing

    def segment(self, volume: Volume) -> Volume:
        labels = (volume.channel() > self.level).astype(self.kind)
        return from_array(labels, self.spacing or volume.grid.spacing_um, modality="labels")


def test_a_movie_gives_labels_frame_by_frame(movie):
    labels = segment(movie)
    assert isinstance(labels, TimeLapse)
    assert labels.times_s == movie.times_s
    for t in range(3):
        assert labels[t].array.dtype == np.uint16
        assert labels[t].modality == "labels"
        truth = from_array(np.array(movie[t].channel() > 100, np.uint8), SPACING, modality="labels")
        assert np.count_nonzero(labels[t].array) == pytest.approx(np.count_nonzero(truth.array), rel=0.1)
        np.testing.assert_array_equal(labels[t].array, segment(movie[t]).array)
        assert labels[t].array.max() == 2


def test_frames_are_loaded_one_at_a_time_and_once(movie):
    loaded = []
    watched = TimeLapse(movie.grid, movie.channels, movie.times_s, lambda i: loaded.append(i) or movie.load(i))
    labels = segment(watched)
    assert [labels[i].array.max() for i in (0, 1, 2, 0)] == [2, 2, 2, 2]
    assert loaded == [0, 1, 2]


def test_a_kind_is_a_name_a_config_or_an_object(movie):
    named, configured = segment(movie[0], "watershed"), segment(movie[0], WatershedConfig())
    np.testing.assert_array_equal(named.array, configured.array)
    plugged = segment(movie[0], Above(100))
    assert plugged.array.dtype == np.uint16
    np.testing.assert_array_equal(plugged.channel(), movie[0].channel() > 100)
    assert isinstance(Above(1), Segmenter)


@pytest.mark.parametrize("kind", ["watreshed", 3, object()])
def test_an_unknown_kind_is_refused(movie, kind):
    with pytest.raises(ConfigError, match="segmenter"):
        segment(movie[0], kind)


@pytest.mark.parametrize("channel", [1, "nuclei"])
def test_a_channel_is_chosen_by_place_or_name(movie, channel):
    voxels = np.stack([np.random.default_rng(0).normal(size=movie.grid.shape), movie[0].channel()])
    names = (Channel("membrane", "fluorescence"), Channel("nuclei", "fluorescence"))
    image = from_array(voxels, SPACING, modality="fluorescence", channels=names)
    np.testing.assert_array_equal(segment(image, channel=channel).array, segment(movie[0]).array)


@pytest.mark.parametrize("channel", [2, -1, "nucleus"])
def test_a_channel_that_is_not_there_is_refused(movie, channel):
    with pytest.raises(ContentError, match="no such channel"):
        segment(movie[0], channel=channel)


def test_an_error_names_its_frame(movie):
    broken = movie[1].array.astype(float)
    broken[0, 0, 0, 0] = np.nan
    frames = [movie[0], movie[1].with_data(broken), movie[2]]
    with pytest.raises(ContentError, match="frame 1: image: 1 voxels are NaN"):
        segment(TimeLapse.of(frames))


def test_a_movie_may_hold_frames_without_cells(rng, caplog):
    noise = rng.normal(100, 10, (2, 8, 30, 30)).astype(np.float32)
    with caplog.at_level(logging.WARNING):
        labels = segment(TimeLapse.from_array(noise, SPACING, dt_s=1.0, modality="fluorescence"))
    assert [labels[t].array.any() for t in range(2)] == [False, False]
    assert caplog.text.count("no cell found") == 2


def test_a_segmenter_that_gives_floats_is_refused(movie):
    with pytest.raises(ContentError, match="whole numbers"):
        segment(movie[0], Above(100, np.float32))


def test_a_segmenter_that_answers_elsewhere_is_refused(movie):
    with pytest.raises(GridError, match="another grid"):
        segment(movie[0], Above(100, spacing=(1.0, 1.0, 1.0)))


def test_labels_past_16_bits_keep_their_numbers(movie):
    class Far:
        def segment(self, volume):
            labels = np.zeros(volume.grid.shape, np.int64)
            labels[0, 0, :2] = 70_000, 65_535
            return from_array(labels, SPACING, modality="labels")

    labels = segment(movie[0], Far())
    assert labels.array.dtype == np.uint32
    assert labels.channel()[0, 0, :3].tolist() == [70_000, 65_535, 0]


def read_tiff(path, shape):
    tifffile = pytest.importorskip("tifffile")
    return tifffile.imread(path).reshape(shape)


def test_a_real_movie_is_found_better_than_the_classical_peers(data):
    """Fluo-N3DH-CHO_02 against its silver labels; Otsu, EDT and watershed at one scale reach AP .00 here."""
    folder = data / "tracking" / "movies"
    image = read_tiff(folder / "Fluo-N3DH-CHO_02_img.tif", (20, 5, 443, 512))[7]
    truth = read_tiff(folder / "Fluo-N3DH-CHO_02_ERR_SEG.tif", (20, 5, 443, 512))[7]
    spacing = (1.0, 0.202, 0.202)
    found = segment(from_array(image, spacing, modality="fluorescence"))
    scores = score(from_array(truth, spacing, modality="labels"), found)
    assert scores.ap > 0.7
    assert scores.det > 0.9


def test_a_real_embryo_is_counted_right(data):
    """The eight cells of a mouse embryo, and its bright polar bodies; the best peer's AP is .78, its SEG .65."""
    folder = data / "segmentation" / "qcanet"
    shape = (51, 120, 122)
    image = read_tiff(folder / "example_datasets_images_raw_8_cell_stage.tif", shape)
    mask = read_tiff(folder / "example_datasets_images_nsn_8_cell_stage.tif", shape)
    from scipy import ndimage

    truth = ndimage.label(mask > 0, np.ones((3, 3, 3)))[0]
    spacing = (1.75, 0.8, 0.8)
    found = segment(from_array(image, spacing, modality="fluorescence"))
    scores = score(from_array(truth, spacing, modality="labels"), found)
    assert (scores.n_found, scores.matched) == (8, 8)
    assert scores.seg > 0.65
