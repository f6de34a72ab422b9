"""Merged cells are split at the maxima of their distance map or image, and both go on."""

from __future__ import annotations

import numpy as np
import pytest

import tracking3d
import volumes
from tracking3d.detections import Detections
from tracking3d.link.literal import LiteralLinkerConfig
from tracking3d.link.literal.splitting import parts_of, split
from volumes.errors import ConfigError, TableError
from volumes.timelapse import TimeLapse
from volumes.volume import Volume

SPACING = (2.0, 1.0, 1.0)
SHAPE = (16, 40, 48)


def ball(centre: tuple[float, float, float], radius: float) -> np.ndarray:
    axes = np.meshgrid(*(step * np.arange(n) for step, n in zip(SPACING, SHAPE, strict=True)), indexing="ij")
    return sum((axis - c) ** 2 for axis, c in zip(axes, centre, strict=True)) <= radius**2


def volume(voxels: np.ndarray, modality: str = "labels") -> Volume:
    return volumes.from_array(voxels, SPACING, modality=modality)


def movie(*frames: np.ndarray, modality: str = "labels") -> TimeLapse:
    made = [volume(frame, modality) for frame in frames]
    return TimeLapse(made[0].grid, made[0].channels, tuple(60.0 * i for i in range(len(made))), lambda i: made[i])


def meeting() -> TimeLapse:
    """Two cells of radius 5 µm that touch in the middle frame, where one label holds both; three others stand by."""
    frames = []
    for gap in (6.5, 4.5, 6.5):
        left, right = ball((16, 12, 22 - gap), 5), ball((16, 12, 22 + gap), 5)
        frame = np.where(left, 1, 0) + np.where(right & ~left, 1 if gap < 5 else 2, 0)
        for number, x in ((3, 6), (4, 22), (5, 38)):
            frame[ball((16, 32, x), 5)] = number
        frames.append(frame.astype(np.uint16))
    return movie(*frames)


CONFIG = LiteralLinkerConfig(turning_deg=None)


def test_cells_that_meet_are_split_and_followed_through() -> None:
    labels = meeting()
    cells = tracking3d.detect(labels)
    plain, counted = CONFIG.build().trace(cells)
    assert (counted.abnormal, counted.splits) == (1, 0)
    assert len(set(plain.track_id.tolist())) > 5
    tracks, report = CONFIG.build().trace(cells, labels)
    assert (report.abnormal, report.splits) == (1, 1)
    assert len(tracks) == len(cells) + 1
    assert len(set(tracks.track_id.tolist())) == 5
    assert np.bincount(tracks.track_id)[1:].tolist() == [3] * 5
    assert tracking3d.link(cells, CONFIG, labels=labels).parent.tolist() == tracks.parent.tolist()


def test_a_part_knows_what_it_was_split_from_and_the_volume_stays() -> None:
    labels = meeting()
    cells = tracking3d.detect(labels)
    (row,) = np.flatnonzero(cells.volume_um3 > 1.5 * np.median(cells.volume_um3))
    apart = split(cells, np.array([row]), labels)
    assert np.array_equal(apart.id[: len(cells)], cells.id)
    assert apart.features["split_of"].tolist() == [-1] * len(cells) + [cells.id[row]]
    assert len(set(apart.id.tolist())) == len(apart)
    both = [row, len(cells)]
    assert apart.volume_um3[both].sum() == pytest.approx(cells.volume_um3[row])
    assert sorted(apart.zyx_um[both, 2]) == pytest.approx([17.5, 26.5], abs=0.7)
    assert np.allclose(apart.zyx_um[both, :2], [16, 12], atol=0.2)
    rest = np.setdiff1d(np.arange(len(cells)), row)
    assert np.array_equal(apart.zyx_um[rest], cells.zyx_um[rest])
    assert split(cells, np.zeros(0, np.int64), labels).zyx_um.tolist() == cells.zyx_um.tolist()


def test_a_large_ball_is_one_cell() -> None:
    mask = ball((16, 20, 24), 9)
    parts = parts_of(volume(mask.astype(np.uint8)), mask, None)
    assert parts.share.tolist() == [1.0]
    assert parts.zyx_um[0] == pytest.approx([16, 20, 24], abs=0.1)


def test_the_image_tells_apart_what_the_shape_does_not() -> None:
    """One box, in which two spots are bright."""
    mask = np.zeros(SHAPE, bool)
    mask[4:12, 14:26, 8:40] = True
    z, y, x = np.meshgrid(*(step * np.arange(n) for step, n in zip(SPACING, SHAPE, strict=True)), indexing="ij")
    spots = sum(np.exp(-((z - 15) ** 2 + (y - 20) ** 2 + (x - at) ** 2) / 32) for at in (15, 33)).astype(np.float32)
    cell = volume(mask.astype(np.uint8))
    assert len(parts_of(cell, mask, None).share) == 1
    parts = parts_of(cell, mask, spots)
    assert parts.share == pytest.approx([0.5, 0.5], abs=0.05)
    assert sorted(parts.zyx_um[:, 2]) == pytest.approx([15.5, 31.5], abs=1.5)


def test_intensities_split_a_movie_too() -> None:
    labels = meeting()
    image = movie(*(np.where(labels[i].channel() > 0, 100.0, 0).astype(np.float32) for i in range(3)), modality="MRI")
    cells = tracking3d.detect(labels)
    config = CONFIG.model_copy(update={"extrema": "intensity"})
    with pytest.raises(ConfigError, match="extrema: the image is missing"):
        config.build().trace(cells, labels)
    # Two cells of even brightness have no maxima of their own: nothing is split, and nothing breaks.
    assert config.build().trace(cells, labels, image)[1].splits == 0


def test_labels_that_the_detections_are_not_of_are_refused() -> None:
    labels = meeting()
    cells = tracking3d.detect(labels)
    wrong = {
        "label: is missing": Detections.of(cells.t, cells.zyx_um, cells.volume_um3),
        "label: row 5: no voxel of frame 1": Detections.of(
            cells.t, cells.zyx_um, cells.volume_um3, {"label": cells.id + 90}
        ),
        "t: the labels have 3 frames": Detections.of(cells.t + 5, cells.zyx_um, cells.volume_um3, cells.features),
    }
    for message, table in wrong.items():
        with pytest.raises(TableError, match=message):
            CONFIG.build().trace(table, labels)
