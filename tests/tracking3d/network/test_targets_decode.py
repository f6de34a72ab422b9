"""What the network is to say, against closed forms, and that cells come back from it."""

from __future__ import annotations

import numpy as np
import pytest

from tracking3d.match import score
from tracking3d.segment.network.decode import decode
from tracking3d.segment.network.decoder_config import DecoderConfig
from tracking3d.segment.network.heads import DIAMETER, DISTANCE, FOREGROUND, OFFSET, SIZE, WEIGHT
from tracking3d.segment.network.targets import targets
from volumes.volume import Volume, from_array


def labels_volume(labels: np.ndarray) -> Volume:
    return from_array(labels.astype(np.uint16), (1.0, 1.0, 1.0), modality="labels")


def ellipsoids(rng: np.random.Generator, side: int, number: int, radius: tuple[float, float]) -> np.ndarray:
    """Labels of ellipsoids that touch but do not hide each other; later ones take only what is free."""
    labels = np.zeros((side,) * 3, np.int32)
    for label in range(1, number + 1):
        axes, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        centre, radii = rng.uniform(0, side, 3), rng.uniform(*radius, 3)
        box = tuple(slice(max(0, int(c - radius[1])), int(c + radius[1]) + 2) for c in centre)
        places = np.stack(np.meshgrid(*(np.arange(side)[part] for part in box), indexing="ij"), -1)
        inside, view = (((places - centre) @ axes / radii) ** 2).sum(-1) < 1, labels[box]
        if inside.sum() > 100 and (view[inside] == 0).mean() > 0.95:
            view[inside & (view == 0)] = label
    return labels


@pytest.fixture
def ball() -> np.ndarray:
    """One ball of radius 7 about (12, 13, 14)."""
    z, y, x = np.indices((26, 28, 30))
    return np.where((z - 12) ** 2 + (y - 13) ** 2 + (x - 14) ** 2 <= 49, 5, 0)


def test_a_ball_has_the_heads_of_a_ball(ball: np.ndarray) -> None:
    said, inside = targets(ball), ball > 0
    assert np.array_equal(said[FOREGROUND] > 0, inside)
    assert said[DISTANCE].max() == said[DISTANCE, 12, 13, 14] == 1
    assert (said[DISTANCE][~inside] == 0).all()
    # The distance falls by about a voxel a voxel, from the radius and a half to the border.
    assert said[DISTANCE, 12, 13, 17] == pytest.approx(1 - 3 / 8, abs=0.05)
    centre = np.indices(ball.shape) + said[OFFSET] * DIAMETER
    assert np.abs(centre[:, inside] - np.array([[12], [13], [14]])).max() < 1e-4
    assert said[SIZE][inside] == pytest.approx(np.log(np.cbrt(6 / np.pi * inside.sum()) / DIAMETER), abs=1e-6)
    assert (said[WEIGHT] == 1).all()


def test_empty_and_full_volumes_are_finite() -> None:
    assert not targets(np.zeros((4, 5, 6), int))[:WEIGHT].any()
    full = targets(np.full((4, 5, 6), 3))
    assert np.isfinite(full).all()
    assert (full[DISTANCE] == 1).all()


def test_unknown_voxels_have_no_weight(ball: np.ndarray) -> None:
    known = np.indices(ball.shape)[0] < 10
    assert np.array_equal(targets(ball, known)[WEIGHT] > 0, known)


def test_numbers_of_labels_do_not_matter(ball: np.ndarray) -> None:
    two = np.concatenate([ball, ball], axis=2)
    two[..., 30:] *= 200
    assert np.array_equal(targets(two), targets(np.where(two == 5, 77, np.where(two > 5, 2, 0))))


@pytest.mark.parametrize("axes", [(0, 1), (1, 2), (0, 2)])
def test_a_turned_volume_has_turned_heads(rng: np.random.Generator, axes: tuple[int, int]) -> None:
    labels = ellipsoids(rng, 40, 12, (4, 8))
    straight, turned = targets(labels), targets(np.rot90(labels, 1, axes))
    scalar = [FOREGROUND, DISTANCE, SIZE]
    expected = np.rot90(straight, 1, (axes[0] + 1, axes[1] + 1))
    assert np.allclose(turned[scalar], expected[scalar], atol=1e-5)
    length = np.linalg.norm(expected[OFFSET], axis=0)
    assert np.allclose(np.linalg.norm(turned[OFFSET], axis=0), length, atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_cells_come_back_from_what_is_said_of_them(seed: int) -> None:
    labels = ellipsoids(np.random.default_rng(seed), 72, 60, (5, 9))
    said = targets(labels)
    said[FOREGROUND] = 8 * said[FOREGROUND] - 4
    found, confidence = decode(said)
    assert score(labels_volume(labels), labels_volume(found), 0.9).ap == 1
    assert len(confidence) == len(np.unique(labels)) - 1
    assert confidence.min() > 0.5


@pytest.mark.parametrize("axes", [(0, 1), (1, 2)])
def test_decoding_turns_with_its_maps(rng: np.random.Generator, axes: tuple[int, int]) -> None:
    labels = ellipsoids(rng, 48, 25, (4, 8))
    said = targets(labels) + rng.normal(0, 0.05, (7, 48, 48, 48)).astype(np.float32)
    said[FOREGROUND] -= 0.5
    straight = decode(said)[0]
    turned = decode(np.rot90(said, 1, (axes[0] + 1, axes[1] + 1)))[0]
    assert score(labels_volume(np.rot90(straight, 1, axes)), labels_volume(turned), 0.9).ap == 1


def test_uncertain_cells_are_less_certain() -> None:
    labels = np.zeros((24, 24, 48), int)
    labels[6:18, 6:18, 6:18], labels[6:18, 6:18, 30:42] = 1, 2
    said = targets(labels)
    said[FOREGROUND] = np.where(labels == 1, 4, np.where(labels == 2, 0.5, -4))
    said[DISTANCE] *= np.where(labels == 2, 0.6, 1)
    found, confidence = decode(said, DecoderConfig(confidence=0.0))
    assert confidence[found[12, 12, 12] - 1] > 1.5 * confidence[found[12, 12, 36] - 1]


def test_cells_that_are_not_certain_enough_are_dropped() -> None:
    labels = np.zeros((24, 24, 48), int)
    labels[6:18, 6:18, 6:18], labels[6:18, 6:18, 30:42] = 1, 2
    said = targets(labels)
    said[FOREGROUND] = np.where(labels == 1, 4, np.where(labels == 2, 0.5, -4))
    found, confidence = decode(said, DecoderConfig(confidence=0.7))
    assert np.array_equal(found > 0, labels == 1)
    assert confidence.shape == (1,)


def test_a_deeper_cut_keeps_fewer_cells_apart() -> None:
    x = np.arange(60)
    # Two peaks of 1 and 0.8 with 0.6 between them: the lower one falls by a quarter.
    profile = np.interp(x, [0, 15, 30, 45, 59], [0.3, 1, 0.6, 0.8, 0.3])
    said = np.zeros((6, 20, 20, 60), np.float32)
    said[FOREGROUND, 5:15, 5:15], said[DISTANCE, 5:15, 5:15] = 8, profile
    said[FOREGROUND] -= 4
    apart = decode(said, DecoderConfig(depth=0.1))[0].max()
    assert (apart, decode(said, DecoderConfig(depth=0.35))[0].max()) == (2, 1)


def test_specks_are_no_cells() -> None:
    said = np.zeros((6, 16, 16, 16), np.float32)
    said[FOREGROUND] = -4
    said[FOREGROUND, 4:6, 4:6, 4:6], said[DISTANCE, 4:6, 4:6, 4:6] = 4, 1
    found, confidence = decode(said)
    assert not found.any()
    assert confidence.shape == (0,)
