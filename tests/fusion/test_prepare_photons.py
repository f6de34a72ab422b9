"""Counts, electrons and the root that makes their noise alike: sums over the Poisson distribution are the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import poisson

from fusion.prepare import photoelectrons, stabilised, unstabilised
from phantom.physics.camera import Camera
from volumes import Volume, from_array
from volumes.errors import ConfigError, ContentError


def volume(values: np.ndarray) -> Volume:
    return from_array(np.asarray(values, np.float64).reshape(1, 1, -1), (1, 1, 1), modality="fluorescence")


def moments(mean: float, read_sd: float) -> tuple[float, float]:
    """Mean and variance of the stabilised count, by sums: over counts, and the read noise by 4001 equal shares."""
    counts = np.arange(int(mean + 15 * np.sqrt(mean) + 40))
    noise = np.zeros(1)
    if read_sd:
        from scipy.stats import norm

        noise = read_sd * norm.ppf((np.arange(4001) + 0.5) / 4001)
    root = stabilised(volume(np.add.outer(counts, noise).ravel()), read_sd).array.reshape(counts.size, -1)
    weight = poisson.pmf(counts, mean)
    first, second = weight @ root.mean(1), weight @ (root.astype(np.float64) ** 2).mean(1)
    return float(first), float(second - first**2)


def test_electrons_are_those_of_the_camera(rng: np.random.Generator) -> None:
    photons = rng.uniform(0, 500, (3, 8, 8)).astype(np.float32)
    camera = Camera(gain=2.2, offset=98, efficiency=0.7)
    counts = from_array(camera.expected(photons), (1, 1, 1), modality="fluorescence")
    assert np.allclose(photoelectrons(counts, 2.2, 98).channel(), 0.7 * photons, atol=1e-3)


@pytest.mark.parametrize("read_sd", [0.0, 1.6])
@pytest.mark.parametrize("mean", [4.0, 10.0, 60.0, 400.0])
def test_noise_has_deviation_one_from_four_electrons_on(mean: float, read_sd: float) -> None:
    assert abs(np.sqrt(moments(mean, read_sd)[1]) - 1) < 0.03


@settings(max_examples=60, deadline=None)
@given(st.floats(0.0, 600.0))
def test_the_inverse_is_unbiased(mean: float) -> None:
    found = float(unstabilised(volume(np.array([moments(mean, 0)[0]]))).array[0, 0, 0, 0])
    assert found == pytest.approx(mean, abs=2e-3, rel=2e-5)


@pytest.mark.parametrize("read_sd", [0.5, 1.6, 4.0])
@pytest.mark.parametrize("mean", [0.5, 3.0, 30.0, 149.0, 151.0, 1000.0])
def test_the_inverse_is_unbiased_with_read_noise(mean: float, read_sd: float) -> None:
    found = float(unstabilised(volume(np.array([moments(mean, read_sd)[0]])), read_sd).array[0, 0, 0, 0])
    assert found == pytest.approx(mean, abs=0.02, rel=1e-4)


def test_squaring_alone_would_be_half_an_electron_off_in_the_dark() -> None:
    first = moments(1.0, 0)[0]
    assert abs((first / 2) ** 2 - 3 / 8 - 1.0) > 0.15
    assert abs(float(unstabilised(volume(np.array([first]))).array.ravel()[0]) - 1.0) < 1e-3


def test_averages_of_noisy_counts_come_back_to_the_light(rng: np.random.Generator) -> None:
    for mean in (1.5, 20.0, 300.0):
        counts = volume(rng.poisson(mean, 200_000))
        average = volume(np.array([stabilised(counts).array.mean()]))
        assert float(unstabilised(average).array.ravel()[0]) == pytest.approx(mean, rel=0.01)


def test_nothing_is_darker_than_dark() -> None:
    assert (unstabilised(volume(np.array([-3.0, 0.0, 1.0]))).array == 0).all()
    assert (stabilised(volume(np.array([-50.0]))).array == 0).all()


def test_impossible_cameras_are_refused() -> None:
    dim = volume(np.array([1.0, np.nan]))
    for gain, offset in ((0, 0), (-1, 0), (np.nan, 0), (1, np.inf)):
        with pytest.raises(ConfigError, match="gain above 0"):
            photoelectrons(dim, gain, offset)
    for step in (stabilised, unstabilised):
        with pytest.raises(ConfigError, match="not below 0"):
            step(dim, -1.0)
        with pytest.raises(ContentError, match="NaN"):
            step(dim)
