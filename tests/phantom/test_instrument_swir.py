"""Short-wave infrared, in stacks and in projections, before a block whose light is known."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from phantom.anatomy.tissues import CODE
from phantom.instruments.fluorescence import LightSheetConfig
from phantom.instruments.swir import SWIRConfig, SWIRProjectionConfig
from volumes.errors import ConfigError, GridError

SHAPE, SPACING = (20, 48, 40), (2.0, 1.0, 1.0)


def built(kind, difficulty=0.5, **changed):
    return kind(shape=SHAPE, spacing_um=SPACING, **changed).build(difficulty)


def generators(seed, count):
    return [np.random.default_rng([seed, plane]) for plane in range(count)]


def taken(instrument, scene, seed=0):
    whole = scene.slab(0, SHAPE[0], instrument.halo_um)
    return instrument.take(whole, generators(seed, 1 if instrument.projects else SHAPE[0]))


@pytest.mark.parametrize("kind", [SWIRConfig, SWIRProjectionConfig])
def test_clean_is_the_mean_of_all_pictures(kind, block):
    instrument, scene = built(kind, hot_pixels=0.0), block()
    pictures = np.stack([taken(instrument, scene, seed).image for seed in range(60)]).astype(float)
    clean = taken(instrument, scene).clean.astype(float)
    camera = instrument.camera
    variance = camera.gain * (clean - camera.offset) + (camera.gain * camera.read_sd) ** 2 + 1 / 12
    z = (pictures.mean(0) - clean) / np.sqrt(variance / 60)
    assert z.mean() == pytest.approx(0, abs=5 / np.sqrt(z.size))
    assert z.std() == pytest.approx(1, abs=0.06)
    assert np.mean(pictures.var(0, ddof=1) / variance) == pytest.approx(1, rel=0.03)


def test_the_blur_grows_with_the_wavelength():
    short, long = (built(SWIRConfig, 0.0, wavelength_nm=nm).detection.spread for nm in (1000.0, 1500.0))
    assert long.lateral_um == pytest.approx(1.5 * short.lateral_um)
    assert long.axial_um == pytest.approx(1.5 * short.axial_um)


def test_it_scatters_less_than_visible_light():
    tissue = built(SWIRConfig).detection.turbidity
    visible = built(LightSheetConfig).detection.turbidity
    living = visible.scattering_per_mm > 0
    assert (tissue.scattering_per_mm[living] <= visible.scattering_per_mm[living]).all()
    assert tissue.reduced_per_mm < visible.reduced_per_mm / 2


def test_water_takes_light_with_depth(block):
    scene = replace(block(tissue="medium"), light=np.ones(SHAPE, np.float32))
    scene = replace(scene, spacing_um=(100.0, 1.0, 1.0))
    kept = {}
    for nm in (1300.0, 1450.0):
        instrument = SWIRConfig(shape=SHAPE, spacing_um=(100.0, 1.0, 1.0), wavelength_nm=nm, offset=0.0).build(0.0)
        clean = taken(instrument, scene).clean.mean((1, 2))
        kept[nm] = clean[15] / clean[3]
    assert kept[1450.0] < kept[1300.0] < 1


def test_vessels_shine_by_what_they_took_up(block):
    scene = block(tissue="soft", balls=0)
    codes = scene.codes.copy()
    codes[8:12, 20:28] = CODE["vessel"]
    image = taken(built(SWIRConfig, 0.2, uptake=2.0), replace(scene, codes=codes)).clean
    assert image[10, 24].mean() > 1.3 * image[10, 5].mean()


def test_slabs_have_the_bits_of_the_whole(block):
    instrument, scene = built(SWIRConfig), block()
    whole = taken(instrument, scene)
    part = instrument.take(scene.slab(5, 9, instrument.halo_um), generators(0, SHAPE[0])[5:9])
    np.testing.assert_array_equal(part.image, whole.image[5:9])


def test_a_projection_is_sharp_at_its_focus_only(block):
    scene = block(tissue="medium", balls=0)
    spread = []
    for plane in (0, 5, 19):
        light = np.zeros(SHAPE, np.float32)
        light[plane, 24, 20] = 1e4
        one = built(SWIRProjectionConfig, 0.0, focus_um=10.0, background=0.0, uptake=0.0)
        clean = taken(one, replace(scene, light=light)).clean[0] - 500
        spread.append(clean.max() / clean.sum())
    assert spread[1] > 5 * spread[0]
    assert spread[0] > 2 * spread[2]


def test_a_projection_is_one_plane_that_holds_the_light_of_all(block):
    instrument, scene = built(SWIRProjectionConfig, 0.0, uptake=0.0, turbidity=0.0), block(tissue="medium")
    picture = taken(instrument, scene)
    assert instrument.projects
    assert picture.image.shape == picture.clean.shape == (1, *SHAPE[1:])
    photons = (picture.clean.astype(float) - 500) / (0.5 * 0.8)
    assert photons.sum() == pytest.approx(4000 * scene.light.sum() / SHAPE[0], rel=0.01)


def test_dark_current_is_noise_without_light(block):
    scene = replace(block(tissue="medium", balls=0), light=np.zeros(SHAPE, np.float32))
    quiet, noisy = (
        taken(built(SWIRConfig, 0.0, dark=dark, read_noise=1.0, background=0.0), scene).image.astype(float)
        for dark in (0.0, 5000.0)
    )
    assert noisy.mean() - quiet.mean() == pytest.approx(2500, rel=0.01)
    assert noisy.std() == pytest.approx(0.5 * np.sqrt(5001), rel=0.05)


def test_it_says_what_it_writes():
    instrument = built(SWIRConfig, wavelength_nm=1200.0)
    assert (instrument.channel.modality, instrument.channel.wavelength_nm) == ("SWIR", 1200)


def test_what_cannot_be_is_refused(block):
    for kind in (SWIRConfig, SWIRProjectionConfig):
        with pytest.raises(ConfigError, match="difficulty"):
            built(kind, 2.0)
        with pytest.raises(ValidationError, match="wavelength_nm"):
            built(kind, wavelength_nm=520.0)
    with pytest.raises(GridError, match="halo"):
        built(SWIRConfig).take(block().slab(4, 9, 2.0), generators(0, 5))


def test_defocus_widens_a_point_by_the_cone_of_the_lens(block):
    """A point d µm from the focus has the variance ``σ² + (NA d / 2n)²`` along y and along x."""
    scene = block(tissue="medium", balls=0)
    one = built(SWIRProjectionConfig, 0.0, focus_um=10.0, background=0.0, uptake=0.0, numerical_aperture=0.5)
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
    for plane in (5, 9, 13):
        light = np.zeros(SHAPE, np.float32)
        light[plane, 24, 20] = 1e4
        seen = taken(one, replace(scene, light=light)).clean[0].astype(float) - 500
        away = 2.0 * plane - 10.0
        expected = one.detection.spread.lateral_um**2 + (0.5 / (2 * 1.33) * away) ** 2
        for at, middle in ((y, 24), (x, 20)):
            assert (seen * (at - middle) ** 2).sum() / seen.sum() == pytest.approx(expected, rel=0.03)


def test_light_from_below_is_dimmed_as_beer_and_lambert_say_and_scattered_light_is_collected(block):
    scene = replace(block(tissue="vessel", balls=0), light=np.ones(SHAPE, np.float32))
    for collected in (0.0, 0.4):
        one = built(SWIRProjectionConfig, 0.0, turbidity=90.0, collected=collected, uptake=0.0, offset=0.0, photons=1e5)
        turbid = one.detection.turbidity
        depth_mm = (np.arange(SHAPE[0]) + 0.5) * SPACING[0] * 1e-3
        sharp, left = (
            np.exp(-depth_mm * mu[CODE["vessel"]]) for mu in (turbid.scattering_per_mm, turbid.absorption_per_mm)
        )
        expected = 1e5 * (left * (sharp + collected * (1 - sharp))).mean()
        assert sharp.mean() < 0.8
        assert taken(one, scene).clean.mean() / (0.5 * 0.8) == pytest.approx(expected, rel=0.01)
