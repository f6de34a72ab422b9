"""Projections against closed forms and scikit-image; filtered back-projection against what was projected."""

import numpy as np
import pytest
from skimage.transform import iradon, radon

from phantom.physics.backprojection import noise_per_mm, ramp, reconstructed
from phantom.physics.radon import PLANES, ParallelBeam, projected
from volumes.errors import ConfigError, ContentError

PIXEL_MM = 0.005
FINE = 8
"""Points along each side of a pixel from which its share of a body is counted."""


def ellipse(beam, centre_mm, axes_mm, per_mm=1.0):
    """µ of one slice (1, y, x) with an upright ellipse, edge pixels by the share that it covers."""
    sides = []
    for n, c, a in zip((beam.rows, beam.columns), centre_mm, axes_mm, strict=True):
        at = ((np.arange(n * FINE) + 0.5) / FINE - n / 2) * beam.pixel_mm
        sides.append(((at - c) / a) ** 2)
    inside = (sides[0][:, None] + sides[1]) < 1
    share = inside.reshape(beam.rows, FINE, beam.columns, FINE).mean((1, 3))
    return (per_mm * share).astype(np.float32)[None]


def ellipse_paths(beam, centre_mm, axes_mm, per_mm=1.0):
    """The ellipse's line integrals: ``2 µ A B √(w² − (s − s₀)²) / w²``, ``w² = A_x² cos² θ + A_y² sin² θ``."""
    cosine, sine = np.cos(beam.angles)[:, None], np.sin(beam.angles)[:, None]
    s = beam.offsets_mm - centre_mm[1] * cosine - centre_mm[0] * sine
    width2 = (axes_mm[1] * cosine) ** 2 + (axes_mm[0] * sine) ** 2
    return 2 * per_mm * axes_mm[0] * axes_mm[1] * np.sqrt(np.clip(width2 - s**2, 0, None)) / width2


@pytest.mark.parametrize(
    ("centre", "axes", "size"),
    [
        ((0, 0), (0.2, 0.2), (101, 101)),
        ((0.06, -0.1), (0.12, 0.2), (120, 161)),
        ((-0.05, 0.02), (0.3, 0.05), (150, 90)),
    ],
)
def test_line_integrals_of_discs_and_ellipses_are_their_chords(centre, axes, size):
    beam = ParallelBeam(*size, PIXEL_MM, 60)
    got = projected(ellipse(beam, centre, axes, 0.8), beam)[0]
    true = ellipse_paths(beam, centre, axes, 0.8)
    deep = true > 0.5 * true.max(1, keepdims=True)  # elsewhere rays graze the edge, which pixels do not resolve
    assert np.abs(got - true)[deep].max() < 0.03 * true.max()
    assert np.sqrt(np.mean((got - true) ** 2)) < 0.008 * true.max()
    np.testing.assert_allclose(got.sum(1) * PIXEL_MM, 0.8 * np.pi * axes[0] * axes[1], rtol=0.01)


def test_along_the_axes_the_rays_sum_rows_and_columns(rng):
    slices = rng.random((3, 33, 33), np.float32)
    beam = ParallelBeam(33, 33, 0.1, 2)
    got = projected(slices, beam)
    edge = (beam.detectors - 33) // 2
    for view, axis in ((0, 1), (1, 2)):
        np.testing.assert_allclose(got[:, view, edge : edge + 33], slices.sum(axis) * 0.1, rtol=1e-5)
        assert np.abs(got[:, view, :edge]).max() == 0


def test_projections_are_those_of_scikit_image():
    beam = ParallelBeam(101, 101, 1.0, 36)
    image = (ellipse(beam, (10, -15), (20, 12)) + ellipse(beam, (-20, 5), (8, 15), 0.5))[0]
    ours = projected(image[None], beam)[0]
    theirs = radon(image, np.degrees(-beam.angles), circle=True).T
    edge = (beam.detectors - 101) // 2
    off = ours[:, edge : edge + 101] - theirs
    assert np.sqrt(np.mean(off**2)) < 0.01 * theirs.max()


@pytest.mark.parametrize(("window", "theirs"), [("ram-lak", "ramp"), ("shepp-logan", "shepp-logan"), ("hann", "hann")])
def test_back_projection_is_that_of_scikit_image(window, theirs, rng):
    beam = ParallelBeam(67, 67, 1.0, 90)
    sinogram = projected(ellipse(beam, (5, -8), (15, 9)), beam)[0]
    sinogram += rng.normal(0, 0.3, sinogram.shape).astype(np.float32)
    edge = (beam.detectors - 67) // 2
    sinogram[:, :edge] = sinogram[:, -edge:] = 0
    ours = reconstructed(sinogram[None], beam, window)[0]
    other = iradon(sinogram[:, edge : edge + 67].T, np.degrees(-beam.angles), filter_name=theirs, circle=True)
    y, x = np.mgrid[:67, :67] - 33
    inside = np.hypot(y, x) < 32
    assert np.abs(ours - other)[inside].max() < 0.01 * np.abs(other).max()


@pytest.mark.parametrize("window", ["ram-lak", "shepp-logan", "hann"])
def test_a_disc_comes_back_with_its_own_value(window):
    beam = ParallelBeam(100, 120, PIXEL_MM, 180)
    disc = ellipse(beam, (0.03, -0.05), (0.18, 0.18), 0.04)
    got = reconstructed(projected(disc, beam), beam, window)[0]
    deep = ellipse(beam, (0.03, -0.05), (0.16, 0.16))[0] == 1
    outside = ellipse(beam, (0.03, -0.05), (0.2, 0.2))[0] == 0
    assert got[deep].mean() == pytest.approx(0.04, rel=0.003)
    assert np.abs(got[deep] / 0.04 - 1).max() < 0.03
    assert np.abs(got[outside]).mean() < 0.01 * 0.04


def test_the_ramp_is_the_frequency_and_its_windows_lie_below():
    f = np.arange(513) / 1024
    bare = ramp(1024, "ram-lak")
    np.testing.assert_allclose(bare[5:], f[5:], rtol=0.01)
    assert 0 < bare[0] < 1e-3  # what the cut of the impulse response at 512 columns leaves
    assert (ramp(1024, "shepp-logan") <= bare).all()
    assert ramp(1024, "hann")[-1] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("window", ["ram-lak", "hann"])
def test_noise_of_projections_becomes_the_noise_that_is_foretold(window, rng):
    beam = ParallelBeam(80, 80, PIXEL_MM, 120)
    noise = rng.standard_normal((12, beam.views, beam.detectors), np.float32)
    got = reconstructed(noise, beam, window)[:, 15:-15, 15:-15].std()
    assert got == pytest.approx(noise_per_mm(beam, window), rel=0.03)


def test_without_a_window_noise_follows_the_law_of_gore_and_tofts():
    beam = ParallelBeam(200, 200, 0.01, 300)
    nearest = np.pi / (0.01 * np.sqrt(12 * 300))  # without interpolation, R(0) = 1/12 alone
    assert 0.6 * nearest < noise_per_mm(beam, "ram-lak") < nearest
    half = ParallelBeam(200, 200, 0.005, 1200)
    assert noise_per_mm(half) == pytest.approx(noise_per_mm(beam), rel=1e-3)


def test_each_slice_is_worked_on_by_itself_to_the_last_bit(rng):
    beam = ParallelBeam(20, 24, PIXEL_MM, 30)
    slices = rng.random((PLANES + 5, 20, 24), np.float32)
    paths = projected(slices, beam)
    whole = reconstructed(paths, beam)
    for part in (slice(0, 1), slice(3, 10), slice(PLANES - 2, PLANES + 5)):
        np.testing.assert_array_equal(projected(slices[part], beam), paths[part])
        np.testing.assert_array_equal(reconstructed(paths[part], beam), whole[part])


def test_projecting_is_linear(rng):
    beam = ParallelBeam(15, 11, PIXEL_MM, 20)
    a, b = rng.random((2, 2, 15, 11), np.float32)
    np.testing.assert_allclose(projected(a + 3 * b, beam), projected(a, beam) + 3 * projected(b, beam), atol=1e-6)


def test_what_cannot_be_projected_is_refused():
    beam = ParallelBeam(4, 5, 1.0, 3)
    with pytest.raises(ContentError, match="per_mm"):
        projected(np.zeros((2, 5, 4), np.float32), beam)
    with pytest.raises(ContentError, match="finite"):
        projected(np.full((2, 4, 5), np.nan, np.float32), beam)
    with pytest.raises(ContentError, match="sinograms"):
        reconstructed(np.zeros((2, 3, 4), np.float32), beam)
    with pytest.raises(ConfigError, match="window"):
        ramp(8, "hamming")
    for wrong in ({"rows": 0}, {"views": 0}, {"pixel_mm": 0.0}, {"pixel_mm": np.nan}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            ParallelBeam(**{"rows": 4, "columns": 5, "pixel_mm": 1.0, "views": 3, **wrong})
