"""X-rays: tabled attenuation, beam hardening, counts behind a specimen, and the rings of uneven detectors."""

import numpy as np
import pytest
from scipy import stats

from phantom.physics.backprojection import reconstructed
from phantom.physics.projection_noise import STARVED, counted, line_integrals
from phantom.physics.radon import ParallelBeam
from phantom.physics.rings import gains
from phantom.physics.xrays import hardened, hounsfield, iodine_per_mm
from volumes.errors import ConfigError, ContentError


def test_iodine_is_tabled_and_falls_but_for_its_k_edge():
    assert iodine_per_mm(30) == pytest.approx(8.561e-4, rel=1e-6)
    assert iodine_per_mm(50) == pytest.approx(12.32e-4, rel=1e-6)
    energies = np.linspace(10, 100, 181)
    rises = np.diff([iodine_per_mm(e) for e in energies]) > 0
    assert energies[:-1][rises].tolist() == [33.0]
    assert iodine_per_mm(33.17) / iodine_per_mm(33.16) == pytest.approx(35.82 / 6.553, rel=0.01)


@pytest.mark.parametrize("kev", [9.9, 101.0, np.nan])
def test_energies_outside_of_the_table_are_refused(kev):
    with pytest.raises(ConfigError, match="keV"):
        iodine_per_mm(kev)


def test_on_hounsfields_scale_water_is_0_and_a_vacuum_is_minus_1000():
    got = hounsfield(np.array([0, 0.02, 0.04], np.float32), 0.02)
    np.testing.assert_allclose(got, [-1000, 0, 1000], atol=1e-3)
    for water in (0.0, np.nan):
        with pytest.raises(ConfigError, match="water"):
            hounsfield(np.zeros(2, np.float32), water)


@pytest.mark.parametrize("spread", [0.0, 0.2, 0.9])
def test_hardening_is_that_of_two_lines(spread):
    p = np.linspace(-1, 20, 400)
    direct = -np.log((np.exp(-(1 - spread) * p) + np.exp(-(1 + spread) * p)) / 2)
    got = hardened(p.astype(np.float32), spread)
    np.testing.assert_allclose(got, direct, atol=1e-5)
    assert (np.diff(got) > 0).all()


@pytest.mark.parametrize("spread", [-0.1, 1.0, np.nan])
def test_a_spread_that_cannot_be_is_refused(spread):
    with pytest.raises(ConfigError, match="spread"):
        hardened(np.zeros(3, np.float32), spread)


@pytest.mark.parametrize("p", [0.0, 0.5, 2.0])
def test_measured_line_integrals_scatter_as_counting_does(p, rng):
    photons, size = 1e6, 40_000
    counts = counted(np.full((size // 100, 100), p, np.float32), photons, np.ones(100), 0.0, rng)
    measured = line_integrals(counts, photons).ravel().astype(float)
    variance = np.exp(p) / photons
    scatter = ((measured - p) ** 2).sum() / variance
    assert 1e-4 < stats.chi2(size).cdf(scatter) < 1 - 1e-4
    assert stats.kstest((measured - p) / np.sqrt(variance), "norm").pvalue > 1e-3


def test_counts_are_poisson_when_photons_are_few(rng):
    counts = counted(np.full((300, 100), np.log(2), np.float32), 12.0, np.ones(100), 0.0, rng).ravel()
    seen = np.bincount(counts.astype(int), minlength=16)
    expected = stats.poisson(6).pmf(np.arange(16)) * counts.size
    groups = [np.append(part[:15], part[15:].sum()) for part in (seen, expected)]
    assert ((groups[0] - groups[1]) ** 2 / groups[1]).sum() < stats.chi2(15).ppf(0.9999)


def test_electronics_add_their_own_variance(rng):
    counts = counted(np.zeros((400, 100), np.float32), 50.0, np.ones(100), 20.0, rng)
    assert counts.var() == pytest.approx(50 + 400, rel=0.04)
    assert counts.mean() == pytest.approx(50, abs=0.5)


def test_columns_that_starve_stay_finite(rng):
    counts = counted(np.full((50, 50), 40, np.float32), 1000.0, np.ones(50), 3.0, rng)
    assert counts.min() < 0
    paths = line_integrals(counts, 1000.0)
    assert np.isfinite(paths).all()
    assert paths.max() == pytest.approx(np.log(1000 / STARVED), rel=1e-6)


def test_counts_that_cannot_be_are_refused(rng):
    flat, ones = np.zeros((2, 3), np.float32), np.ones(3)
    for photons in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ConfigError, match="photons"):
            counted(flat, photons, ones, 0.0, rng)
    with pytest.raises(ConfigError, match="electronic_sd"):
        counted(flat, 10.0, ones, -1.0, rng)
    for wrong in (np.nan, -60.0):
        with pytest.raises(ContentError, match="paths"):
            counted(np.full((2, 3), wrong, np.float32), 10.0, ones, 0.0, rng)
    with pytest.raises(ConfigError, match="sd"):
        gains(5, -1.0, rng)


def test_gains_scatter_in_the_logarithm(rng):
    drawn = np.log(gains(20_000, 0.02, rng))
    assert stats.kstest(drawn / 0.02, "norm").pvalue > 1e-3
    np.testing.assert_array_equal(gains(4, 0.0, rng), 1)


def test_one_bad_column_draws_one_circle_about_the_axis():
    beam = ParallelBeam(101, 101, 0.01, 360)
    paths = np.zeros((1, beam.views, beam.detectors), np.float32)
    middle = (beam.detectors - 1) // 2
    paths[..., middle + 30] = 0.01
    got = reconstructed(paths, beam, "hann")[0]
    y, x = np.mgrid[:101, :101] - 50
    radius = np.hypot(y, x)
    upper = y > 0  # half a turn of views draws half of the circle
    at = [got[(np.abs(radius - r) < 0.5) & (np.abs(x) < 20) & upper].mean() for r in range(5, 48)]
    assert 5 + np.argmax(at) in (29, 30, 31)
    ring = got[(np.abs(radius - 30) < 0.2) & upper & (np.abs(x) < 25)]
    assert ring.std() < 0.15 * ring.mean()
