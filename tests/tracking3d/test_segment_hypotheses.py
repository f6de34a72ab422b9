"""Several segmentations as competing detections: who competes, what is claimed, and what the choice is painted as."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import tracking3d
import volumes
from tracking3d.claims import claimed, painted, rivals
from tracking3d.segment.config import of_kind
from tracking3d.segment.hypotheses import SAME, competing, hypotheses, varied
from tracking3d.tracks import Tracks
from volumes.errors import ConfigError, ContentError, TableError
from volumes.volume import Volume


def _labels(voxels: np.ndarray) -> Volume:
    return volumes.from_array(voxels.astype(np.uint16), (1.0, 1.0, 2.0), modality="labels")


def _movie(frames: list[Volume]) -> volumes.TimeLapse:
    return volumes.TimeLapse.of([replace(frame, time_s=60.0 * t) for t, frame in enumerate(frames)])


def _row(*numbers: int) -> Volume:
    """Labels along x, of voxels 2 × 2 × 2 each."""
    return _labels(np.repeat(np.tile(np.repeat(np.array(numbers), 2), (2, 1))[None], 2, axis=0))


def test_a_whole_and_its_halves_exclude_each_other_and_the_halves_do_not():
    found = competing([_row(1, 1, 2, 2, 0, 3, 3), _row(1, 1, 1, 1, 0, 2, 2), _row(0, 0, 0, 0, 0, 1, 1)])
    cells = found.cells
    assert cells.features["confidence"].tolist() == pytest.approx([1 / 3, 1 / 3, 1, 1 / 3])
    assert rivals(cells).tolist() == [[0, 3], [1, 3]]
    assert cells.volume_um3.tolist() == [32.0, 32.0, 32.0, 64.0]
    assert cells.features["claims"].tolist() == ["1", "2", "3", "1 2"]
    assert "label" not in cells.features
    assert np.array_equal(found.pieces.channel(0), _row(1, 1, 2, 2, 0, 3, 3).channel(0))


def test_borders_that_differ_by_a_sliver_do_not_compete():
    voxels = np.zeros((2, 1, 1, 40), int)
    voxels[0, ..., :21], voxels[1, ..., 19:] = 1, 1
    cells = competing([_labels(voxels[0]), _labels(voxels[1])]).cells
    assert rivals(cells).tolist() == []
    assert len(cells) == 2
    voxels[1, ..., 12:] = 1
    assert rivals(competing([_labels(voxels[0]), _labels(voxels[1])]).cells).tolist() == [[0, 1]]


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=40)
def test_pieces_are_what_regions_are_made_of_and_rivals_share_voxels(seed: int):
    """Eight blocks of eight voxels in all, so that no piece is a sliver of any region."""
    rng = np.random.default_rng(seed)
    labels = [_labels(np.kron(rng.integers(0, 4, (2, 2, 2)), np.ones((2, 2, 2), int))) for _ in range(3)]
    for own in labels:
        centres = [np.argwhere(own.channel(0) == n).mean(axis=0).tolist() for n in np.unique(own.channel(0)) if n]
        assume(len(np.unique(centres, axis=0)) == len(centres))  # a table holds no two cells at one place
    found = competing(labels)
    regions = [own.channel(0) == n for own in labels for n in range(1, 4) if (own.channel(0) == n).any()]
    own, pieces = claimed(found.cells), found.pieces.channel(0)
    masks = [np.isin(pieces, own.number[own.row == row]) for row in range(len(found.cells))]
    for row, mask in enumerate(masks):
        assert any(np.array_equal(mask, region) for region in regions)
        assert found.cells.volume_um3[row] == 2.0 * mask.sum()
    pairs = [[i, j] for i in range(len(masks)) for j in range(i + 1, len(masks)) if (masks[i] & masks[j]).any()]
    assert rivals(found.cells).tolist() == pairs
    for region in regions:
        centre = [2.0 * x if axis == 2 else x for axis, x in enumerate(np.argwhere(region).mean(axis=0))]
        alike = max((region & mask).sum() / (region | mask).sum() for mask in masks)
        assert alike >= SAME or np.isclose(found.cells.zyx_um, centre).all(axis=1).any()


def test_what_was_chosen_is_painted():
    halves, whole = _row(1, 1, 2, 2, 0, 3, 3), _row(1, 1, 1, 1, 0, 2, 2)
    movie = [_movie([own] * 3) for own in (halves, whole)]
    found = competing(movie)
    chosen = np.tile([True, True, True, False], 3)
    tracks = Tracks(found.cells, np.full(12, -1), chosen=chosen)
    cells, labels = painted(tracks, found.pieces)
    assert len(cells) == 9
    for frame in range(3):
        assert np.array_equal(labels[frame].channel(0), halves.channel(0))
    again = tracking3d.detect(labels)
    assert np.array_equal(again.zyx_um, cells.detections.zyx_um)
    assert np.array_equal(again.features["label"], cells.detections.features["label"])
    single = competing([halves, whole])
    one = painted(Tracks(single.cells, np.full(4, -1), chosen=chosen[:4]), single.pieces)[1]
    assert np.array_equal(one[0].channel(0), halves.channel(0))
    with pytest.raises(TableError, match="claim one piece"):
        painted(Tracks(found.cells, np.full(12, -1)), found.pieces)
    with pytest.raises(TableError, match="past the 1 frames"):
        painted(tracks, _movie([halves]))


def _balls(apart: float, shape: tuple[int, int, int] = (16, 24, 48)) -> Volume:
    """Two bright balls of radius 6 in contact, and a third by itself."""
    z, y, x = np.indices(shape).astype(float)
    light = sum(np.exp(-((((z - 8) ** 2 + (y - 12) ** 2 + (x - at) ** 2) / 40) ** 2)) for at in (10, 10 + apart, 40))
    return volumes.from_array((100 * light).astype(np.float32), (1.0, 1.0, 1.0), modality="fluorescence")


def test_depths_vary_and_what_they_find_competes():
    how = of_kind("watershed")
    kinds = varied(how, 4)
    assert kinds[0] == how
    assert len({kind.seed_depth for kind in kinds}) == 4
    found = hypotheses(_movie([_balls(11), _balls(11.5)]), kinds)
    assert found.cells.t.max() == 1
    assert found.cells.features["confidence"].max() == 1
    assert "mean_intensity" in found.cells.features


@pytest.mark.parametrize(("kind", "count", "says"), [("watershed", 1, "two"), ("spots", 3, "no depth")])
def test_what_cannot_be_varied_is_refused(kind, count, says):
    with pytest.raises(ConfigError, match=says):
        varied(of_kind(kind), count)
    with pytest.raises(ConfigError, match="one segmentation"):
        competing([])


def test_volumes_and_movies_are_not_mixed():
    volume, movie = _row(1, 2), _movie([_row(1, 2)])
    with pytest.raises(ConfigError, match="all volumes or all movies"):
        competing([volume, movie])
    for labels, intensity in (([volume], movie), ([movie], volume)):
        with pytest.raises(ContentError, match="intensities are not"):
            competing(labels, intensity)


def test_no_cell_at_all_is_a_result():
    found = competing([_row(0, 0, 0), _row(0, 0, 0)])
    assert len(found.cells) == 0
    assert not found.pieces.channel(0).any()
