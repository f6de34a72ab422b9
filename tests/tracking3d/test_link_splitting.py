"""Merged detections that are split: two balls that touch in one frame, at voxels that are no cubes."""

from __future__ import annotations

import numpy as np
import pytest

import tracking3d
import volumes
from tracking3d.detections import Detections
from tracking3d.labels import label_volume
from tracking3d.link.splitting import split_merged
from volumes.errors import TableError
from volumes.timelapse import TimeLapse

SPACING = (2.0, 1.0, 1.0)
RADII = (6.0, 5.0)


def _movie(radii: tuple[float, float] = RADII, frames: int = 5) -> TimeLapse:
    """Two balls on y, 20 µm apart but in frame 2, where they touch and have one label; and still ones around."""
    z, y, x = np.meshgrid(*(np.arange(n) * s for n, s in zip((16, 64, 64), SPACING, strict=True)), indexing="ij")
    still = [(14, 8, 8), (14, 8, 56), (14, 56, 8), (14, 56, 56)]
    made = []
    for t in range(frames):
        half = 0.45 * sum(radii) if t == 2 else 7.0
        centres = [(14, 32 - half, 32), (14, 32 + half, 32), *still]
        labels = np.zeros(z.shape, np.int32)
        for number, (centre, radius) in enumerate(zip(centres, (*radii, 5, 5, 5, 5), strict=True), 1):
            inside = (z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 < radius**2
            labels[inside] = 1 if t == 2 and number == 2 else number
        made.append(label_volume(labels, volumes.from_array(labels, SPACING, modality="labels")))
    return TimeLapse(made[0].grid, made[0].channels, tuple(60.0 * t for t in range(frames)), lambda t: made[t])


def test_two_cells_in_one_label_become_two_rows_at_their_places():
    labels = _movie()
    cells = tracking3d.detect(labels)
    tracks = tracking3d.link(cells)
    assert (tracks.merged_into >= 0).sum() == 1
    merged = int(tracks.merged_into.max())
    apart = split_merged(tracks, labels)
    assert len(apart) == len(cells) + 1
    assert apart.features["split_of"].tolist() == [-1] * len(cells) + [cells.id[merged]]
    half = 0.45 * sum(RADII)
    both = apart.zyx_um[[merged, len(cells)]]
    assert both[np.argsort(both[:, 1]), 1] == pytest.approx([32 - half, 32 + half], abs=0.6)
    assert apart.volume_um3[[merged, -1]].sum() == pytest.approx(cells.volume_um3[merged])
    assert apart.volume_um3[merged] / apart.volume_um3[-1] == pytest.approx((6 / 5) ** 3, rel=0.12)
    assert np.array_equal(np.delete(apart.zyx_um[:-1], merged, 0), np.delete(cells.zyx_um, merged, 0))


def test_with_labels_the_linker_splits_and_follows_both():
    labels = _movie()
    cells = tracking3d.detect(labels)
    tracks = tracking3d.link(cells, labels=labels)
    assert len(tracks) == len(cells) + 1
    assert tracks.merged_into is None
    assert np.bincount(tracks.track_id)[1:].tolist() == [5] * 6
    assert len(tracks.divisions) == 0


def test_without_merges_labels_change_nothing():
    labels = _movie()
    cells = tracking3d.detect(labels)
    early = cells.take(cells.t < 2)
    assert len(tracking3d.link(early, labels=labels)) == len(early)


def test_a_table_without_labels_or_of_another_movie_is_refused():
    labels = _movie()
    tracks = tracking3d.link(tracking3d.detect(labels))
    cells = tracks.detections
    bare = type(tracks)(
        Detections.of(cells.t, cells.zyx_um, cells.volume_um3), tracks.parent, merged_into=tracks.merged_into
    )
    with pytest.raises(TableError, match="label"):
        split_merged(bare, labels)
    with pytest.raises(TableError, match="frames"):
        split_merged(tracks, TimeLapse(labels.grid, labels.channels, (0.0,), labels.load))
