"""Checks that need no opinion: flicker, invented gradients, colours, detectability, in cases with a known answer."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion.metrics import colour_difference, detectability, flicker, patches_around, unexplained_gradient
from fusion.metrics.detectability import laguerre_gauss
from volumes.errors import ConfigError, ContentError, GridError


@pytest.fixture
def pair(rng: np.random.Generator) -> list[np.ndarray]:
    return [rng.uniform(0, 255, (6, 20, 22)) for _ in range(2)]


@given(seed=st.integers(0, 10**6), axis=st.integers(0, 2), share=st.floats(0, 1))
@settings(max_examples=25, deadline=None)
def test_steady_rules_never_flicker_more_than_their_sources(seed: int, axis: int, share: float) -> None:
    a, b = np.random.default_rng(seed).normal(size=(2, 5, 6, 7))
    for fused in (share * a + (1 - share) * b, np.maximum(a, b), np.minimum(a, b)):
        assert flicker(fused, [a, b], axis) <= 1 + 1e-12


def test_flicker_of_a_copy_and_of_what_stands_still(pair: list[np.ndarray]) -> None:
    a, b = pair
    assert flicker(a, [a]) == 1
    assert flicker(a, [a, a]) == 1
    assert flicker(np.ones(a.shape), [a, b]) == 0
    assert flicker(3 * a + 5, [a]) == pytest.approx(3)


def test_choosing_now_this_source_and_now_that_flickers() -> None:
    """Sources that drift by 1 a frame and lie 10 apart, taken in turn: steps of 11 and 9, against 1."""
    frames = np.arange(11.0)[:, None, None] * np.ones((1, 4, 4))
    a, b = frames, frames + 10
    turns = np.where(np.arange(11)[:, None, None] % 2 == 0, a, b)
    assert flicker(turns, [a, b]) == pytest.approx(10)
    assert flicker(np.moveaxis(turns, 0, 2), [np.moveaxis(p, 0, 2) for p in (a, b)], axis=2) == pytest.approx(10)


def test_flicker_needs_something_to_compare_with(pair: list[np.ndarray]) -> None:
    with pytest.raises(ContentError, match="never change along the axis"):
        flicker(pair[0], [np.ones(pair[0].shape)])
    with pytest.raises(ContentError, match="two slices"):
        flicker(pair[0][:1], [pair[1][:1]])
    with pytest.raises(ContentError, match="axis"):
        flicker(pair[0], [pair[1]], axis=3)
    with pytest.raises(GridError, match=r"sources\[0\]: has shape"):
        flicker(pair[0], [pair[1][:-1]])


def test_mixtures_of_fixed_weights_are_explained(pair: list[np.ndarray]) -> None:
    a, b = pair
    for fused in (a, b, 0.5 * (a + b), 0.2 * a + 0.7 * b):
        assert unexplained_gradient(fused, [a, b], (3.0, 1.0, 1.0)) < 1e-6
    assert unexplained_gradient(np.full(a.shape, 9.0), [a, b]) == 0


def test_too_much_contrast_counts_by_its_excess(pair: list[np.ndarray]) -> None:
    a = pair[0] / 4
    for k in (1.5, 4.0):
        assert unexplained_gradient(k * a, [a]) == pytest.approx(((k - 1) / k) ** 2)
    assert unexplained_gradient(100 - a, [a]) == pytest.approx(1)


def test_noise_on_flat_ground_counts_in_full(rng: np.random.Generator) -> None:
    """Left half a shared texture, right half flat: noise there is all that is unexplained."""
    a = np.zeros((40, 60))
    a[:, :30] = rng.uniform(0, 200, (40, 30))
    noisy = a.copy()
    noisy[:, 33:] += rng.uniform(0, 50, (40, 27))
    squares = sum(g**2 for g in np.gradient(noisy))
    want = squares[:, 32:].sum() / squares.sum()
    assert unexplained_gradient(noisy, [a]) == pytest.approx(want)
    assert unexplained_gradient(noisy, [a, np.roll(a, 1, axis=0)]) == pytest.approx(want, rel=1e-3)


def test_two_sources_explain_more_than_the_better_one(pair: list[np.ndarray], rng: np.random.Generator) -> None:
    fused = np.clip(0.5 * np.maximum(*pair) + rng.uniform(0, 90, pair[0].shape), 0, 255)
    both = unexplained_gradient(fused, pair)
    assert 0 < both < min(unexplained_gradient(fused, [p]) for p in pair)


def test_the_best_weights_are_those_of_a_quadratic_programme(rng: np.random.Generator) -> None:
    """Voxel by voxel, against a fine grid of weights."""
    from fusion.metrics.unexplained import _rest

    target, one, other = rng.normal(size=(3, 3, 50))
    got = [_rest(target[:, [v]].T.copy(), np.stack([one[:, v], other[:, v]])[None]) for v in range(50)]
    grid = np.linspace(0, 1, 201)
    for v in range(50):
        tried = target[:, v] - grid[:, None, None] * one[:, v] - grid[None, :, None] * other[:, v]
        best = (tried**2).sum(axis=-1).min()
        assert got[v] <= best + 1e-6
        assert got[v] == pytest.approx(best, abs=0.01)


def test_delta_e_of_published_colours() -> None:
    """Black to white is 100 in ΔE 2000, a colour to itself 0, one level of red less than can be seen."""
    black, white = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)
    np.testing.assert_allclose(colour_difference(black, white), 100, atol=0.01)
    assert colour_difference(white, white.astype(float)).max() == 0
    assert colour_difference(black, white).shape == (2, 2)
    patch = np.array([[[200, 30, 60]]])
    assert 0 < colour_difference(patch, patch + np.array([1, 0, 0])).item() < 1
    assert colour_difference(patch, patch[..., ::-1]).item() > 20


def test_only_colours_of_one_shape_are_compared() -> None:
    with pytest.raises(GridError, match="shape"):
        colour_difference(np.zeros((2, 3)), np.zeros((3, 3)))
    with pytest.raises(ContentError, match="three colours"):
        colour_difference(np.zeros((2, 4)), np.zeros((2, 4)))
    with pytest.raises(ContentError, match="leaves 0–255"):
        colour_difference(np.zeros((2, 3)), np.full((2, 3), 256))


@pytest.mark.parametrize(("shape", "spacing"), [((31, 31), None), ((11, 31, 31), (3.0, 1.0, 1.0))])
def test_the_channels_are_of_length_one_and_nearly_apart(shape: tuple[int, ...], spacing) -> None:
    """Laguerre–Gauss functions are orthogonal over the plane; over space they only differ."""
    seen = laguerre_gauss(shape, 10.0, 4, spacing)
    np.testing.assert_allclose(np.linalg.norm(seen, axis=1), 1)
    if len(shape) == 2:
        np.testing.assert_allclose(seen @ seen.T, np.eye(4), atol=0.01)
    assert np.linalg.matrix_rank(seen) == 4


@pytest.mark.parametrize(("shape", "spacing"), [((25, 25), None), ((9, 25, 25), (3.0, 1.0, 1.0))])
def test_in_white_noise_d_prime_is_the_signal_over_the_noise(
    rng: np.random.Generator, shape: tuple[int, ...], spacing
) -> None:
    """The first channel is the signal itself: no observer does better than √(Σ s²) / σ, and this one does as well."""
    signal = laguerre_gauss(shape, 10.0, 1, spacing).reshape(shape)
    for strength in (1.0, 3.0):
        absent = rng.normal(40, 2.0, (1500, *shape))
        present = rng.normal(40, 2.0, (1500, *shape)) + 2.0 * strength * signal
        got = detectability(present, absent, width=10.0, channels=4, spacing=spacing)
        assert got == pytest.approx(strength, abs=4 * math.sqrt((2 / 1500) * (1 + strength**2 / 4)))


def test_without_a_signal_nothing_is_detected_however_few_the_patches(rng: np.random.Generator) -> None:
    """The estimate of d′² is unbiased: over many small sets of pure noise half fall below 0, which counts 0."""
    got = [detectability(*rng.normal(size=(2, 12, 15, 15)), width=8.0, channels=4) for _ in range(200)]
    assert 0.3 < np.mean(np.array(got) == 0) < 0.7


def test_detectability_is_of_the_object_not_of_the_unit(rng: np.random.Generator) -> None:
    absent = rng.normal(size=(60, 17, 17))
    present = rng.normal(size=(60, 17, 17)) + 3 * laguerre_gauss((17, 17), 8.0, 1).reshape(17, 17)
    once = detectability(present, absent, width=8.0)
    assert once > 1.5
    assert detectability(7 * present - 3, 7 * absent - 3, width=8.0) == pytest.approx(once)
    assert detectability(absent, present, width=8.0) == pytest.approx(once)


def test_patches_lie_around_their_centres() -> None:
    image = np.arange(6 * 7 * 8.0).reshape(6, 7, 8)
    got = patches_around(image, [[2.2, 3.6, 4], [1, 1, 1]], (0, 1, 1))
    assert got.shape == (2, 1, 3, 3)
    np.testing.assert_array_equal(got[0, 0], image[2, 3:6, 3:6])
    with pytest.raises(ContentError, match="too near the border"):
        patches_around(image, [[0, 0, 4]], (0, 1, 1))


def test_what_no_observer_can_judge_is_refused(rng: np.random.Generator) -> None:
    noise = rng.normal(size=(10, 9, 9))
    with pytest.raises(GridError, match="patches"):
        detectability(noise, noise[:, 1:], 4.0)
    with pytest.raises(ContentError, match="too few patches"):
        detectability(noise[:4], noise[:4], 4.0)
    with pytest.raises(ContentError, match="NaN"):
        detectability(noise * np.nan, noise, 4.0)
    with pytest.raises(ContentError, match="do not vary"):
        detectability(np.ones((10, 9, 9)), np.ones((10, 9, 9)), 4.0)
    with pytest.raises(ConfigError, match="above zero"):
        detectability(noise, noise, 0.0)
    with pytest.raises(ConfigError, match="each axis"):
        detectability(noise, noise, 4.0, spacing=(1.0,))
