"""Where cells end by the light: against what is known of a blurred ball, whatever the network's foreground is like."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from tracking3d.segment.network.edges import MOST, edged, excess, ground, noise_of, pooled, sharpened
from tracking3d.segment.network.heads import DISTANCE, FOREGROUND, HEADS
from tracking3d.segment.network.resampling import resampled

SIDE, RADIUS = 48, 9.0
AWAY = np.linalg.norm(np.indices((SIDE,) * 3) - (SIDE - 1) / 2, axis=0)


def heads_of(radius: float) -> np.ndarray:
    """What a network would say that takes the ball's radius for another."""
    heads = np.zeros((HEADS, SIDE, SIDE, SIDE), np.float32)
    heads[FOREGROUND] = np.clip(1.5 * (radius - AWAY), -5, 5)
    heads[DISTANCE] = np.clip(1 - AWAY / radius, 0, 1)
    return heads


@pytest.fixture
def ball(rng: np.random.Generator) -> np.ndarray:
    seen = ndimage.gaussian_filter((AWAY < RADIUS).astype(float), 1.2)
    return np.asarray(0.1 + 0.6 * seen + rng.normal(0, 0.03, seen.shape), np.float32)


def radius_of(mask: np.ndarray) -> float:
    return float(np.cbrt(3 * mask.sum() / (4 * np.pi)))


@pytest.mark.parametrize("said", [7.5, 9.0, 11.0])
def test_the_light_pulls_a_wrong_edge_to_where_it_falls(ball: np.ndarray, said: float) -> None:
    heads = heads_of(said)
    alone = radius_of(edged(heads, ball, 0.0) > 0)
    pulled = radius_of(edged(heads, ball, 0.5) > 0)
    assert alone == pytest.approx(said, abs=0.2)
    assert abs(pulled - RADIUS) <= max(0.4, 0.6 * abs(said - RADIUS))


def test_the_light_runs_from_the_background_to_the_inside(ball: np.ndarray) -> None:
    above = excess(heads_of(RADIUS)[FOREGROUND], ball)
    middle = SIDE // 2
    assert above[middle, middle, middle] > 0.4
    assert above[2, 2, 2] < -0.2
    assert np.abs(above).max() <= 1
    edge = np.abs(AWAY - RADIUS) < 0.5
    assert above[edge].mean() == pytest.approx(0, abs=0.1)


def test_a_bright_cell_beside_dim_ones_reaches_further(rng: np.random.Generator) -> None:
    """One level for all lies below half of the bright cell, and so its blurred edge further out."""
    place = np.indices((32, 32, 96)) - np.array([15.5, 15.5, 0]).reshape(3, 1, 1, 1)
    away = [np.sqrt(place[0] ** 2 + place[1] ** 2 + (place[2] - x) ** 2) for x in (16, 48, 80)]
    nearest = np.minimum.reduce(away)
    heads = np.zeros((HEADS, 32, 32, 96), np.float32)
    heads[FOREGROUND] = np.clip(1.5 * (7 - nearest), -5, 5)
    sizes = {}
    for name, light in (("alike", (0.4, 0.4, 0.4)), ("one bright", (0.4, 1.6, 0.4))):
        sharp = sum(b * (a < 7) for a, b in zip(away, light, strict=True))
        shown = ndimage.gaussian_filter(sharp, 2.0) + rng.normal(0, 0.01, sharp.shape)
        sizes[name] = [((edged(heads, shown.astype(np.float32), 0.5) > 0) & (a < 15)).sum() for a in away]
    assert sizes["one bright"][1] > 1.05 * sizes["alike"][1]
    assert sizes["one bright"][0] == pytest.approx(sizes["alike"][0], rel=0.2)  # no dim cell is lost


def test_gain_and_offset_do_not_matter(ball: np.ndarray) -> None:
    heads = heads_of(RADIUS)
    one, other = (excess(heads[FOREGROUND], v) for v in (ball, 3 * ball - 0.2))
    near = AWAY < RADIUS + 2
    assert np.allclose(one[near], other[near], atol=1e-3)


def test_where_the_network_sees_nothing_the_light_makes_no_cell(rng: np.random.Generator) -> None:
    heads = np.zeros((HEADS, 20, 21, 22), np.float32)
    heads[FOREGROUND] = -5
    shown = rng.random((20, 21, 22)).astype(np.float32)
    assert (edged(heads, shown, 0.5) < 0).all()
    assert np.array_equal(edged(heads, shown, 0.0), heads[FOREGROUND])


def test_pooling_takes_means_and_repeats_the_last_plane() -> None:
    voxels = np.arange(3 * 4 * 2, dtype=np.float32).reshape(3, 4, 2)
    found = pooled(voxels)
    assert found.shape == (2, 2, 1)
    assert found[0, 0, 0] == pytest.approx(voxels[:2, :2].mean())
    assert found[1, 1, 0] == pytest.approx(voxels[2:, 2:].mean())


def spread(voxels: np.ndarray, times: int) -> np.ndarray:
    """Brought to a grid so many times as fine."""
    fine = [(0, n * times) for n in voxels.shape]
    return resampled(voxels, [(0, n) for n in voxels.shape], fine, (1 / times,) * 3)


@pytest.mark.parametrize(("noise", "right"), [(0.0, 0.99), (0.3, 0.94)])
def test_a_finer_grid_draws_what_the_coarse_one_blurs(rng: np.random.Generator, noise: float, right: float) -> None:
    """A ball with sharp bumps on voxels half as wide, as the network sees it on its own."""
    away = np.linalg.norm(np.indices((64,) * 3) - 31.5, axis=0)
    angle = np.arctan2(*(np.indices((64,) * 3)[1:] - 31.5))
    true = away < 15 + 2 * np.cos(6 * angle)
    light = (true + rng.normal(0, noise, true.shape)).astype(np.float32)
    shown = pooled(light)
    logit = np.clip(1.5 * (7.5 - pooled(away)), -5, 5).astype(np.float32)
    beside = np.stack([spread(part, 4) for part in ground(logit, shown)])
    near = np.abs(away - 15) < 4

    def share(above: np.ndarray) -> float:
        return float(((above > 0) == true)[near].mean())

    blurred = spread(excess(logit, shown), 2)
    drawn = sharpened(light, beside, noise_of(light))
    assert share(drawn) >= share(blurred)
    assert share(drawn) > right
    assert np.abs(drawn).max() <= MOST


def test_light_that_is_all_noise_counts_as_its_mean(rng: np.random.Generator) -> None:
    light = rng.random((6, 7, 8), dtype=np.float32)
    beside = np.stack([np.full(light.shape, v, np.float32) for v in (0.7, 0.5, 0.6)])
    assert np.allclose(sharpened(light, beside, 1e4), 0.2 / 0.6, atol=1e-3)
    assert np.allclose(sharpened(light, beside, 0.0), ((light - 0.5) / 0.6).clip(-MOST, MOST))


@pytest.mark.parametrize("deviation", [0.02, 0.5])
def test_the_noise_is_told_from_what_is_seen(rng: np.random.Generator, ball: np.ndarray, deviation: float) -> None:
    smooth = ndimage.gaussian_filter(ball, 3.0)
    assert noise_of(smooth + rng.normal(0, deviation, ball.shape)) == pytest.approx(deviation, rel=0.1)
    assert noise_of(ball[..., :1]) == 0
