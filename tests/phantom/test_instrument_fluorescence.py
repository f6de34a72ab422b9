"""Light-sheet and confocal microscopes before a block whose light is known."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats

from phantom.anatomy import tissues
from phantom.instruments.fluorescence import ConfocalConfig, LightSheetConfig
from phantom.physics.blur import blurred
from phantom.physics.psf import sheet_sigma_um, widefield
from volumes.errors import ConfigError, GridError

SHAPE, SPACING = (20, 48, 40), (2.0, 1.0, 1.0)
KINDS = pytest.mark.parametrize("kind", [LightSheetConfig, ConfocalConfig])


def built(kind, difficulty=0.5, **changed):
    return kind(shape=SHAPE, spacing_um=SPACING, **changed).build(difficulty)


def generators(seed, count=SHAPE[0]):
    return [np.random.default_rng([seed, plane]) for plane in range(count)]


def taken(instrument, scene, seed=0):
    whole = scene.slab(0, SHAPE[0], instrument.halo_um)
    return instrument.take(whole, generators(seed))


@KINDS
def test_clean_is_the_mean_of_all_pictures(kind, block):
    """The mean of many pictures is off by no more than their scatter; their variance is shot noise and read noise."""
    instrument = built(kind, hot_pixels=0.0, gain=3.0) if kind is LightSheetConfig else built(kind, gain=3.0)
    scene = block()
    pictures = np.stack([taken(instrument, scene, seed).image[6:12] for seed in range(150)]).astype(float)
    clean = taken(instrument, scene).clean[6:12].astype(float)
    camera = instrument.camera
    variance = camera.gain * camera.excess * (clean - camera.offset) + (camera.gain * camera.read_sd) ** 2 + 1 / 12
    z = (pictures.mean(0) - clean) / np.sqrt(variance / 150)
    assert z.mean() == pytest.approx(0, abs=5 / np.sqrt(z.size))
    assert z.std() == pytest.approx(1, abs=0.03)
    assert np.mean(pictures.var(0, ddof=1) / variance) == pytest.approx(1, rel=0.01)


def test_without_tissue_or_trouble_it_is_camera_after_blur(block):
    scope = built(LightSheetConfig, 0.0, numerical_aperture=0.4, photons=90.0, gain=2.0, offset=70.0)
    scene = block(tissue="medium")
    lens = widefield(0.4, 520, 1.33)
    axial = (lens.axial_um**-2 + sheet_sigma_um(488, 1.33, 40.0) ** -2) ** -0.5
    dark = np.zeros((6, *SHAPE[1:]), np.float32)
    seen = blurred(np.concatenate([dark, scene.light, dark]), (axial, lens.lateral_um, lens.lateral_um), SPACING)
    water = tissues.absorption_per_mm(520)[0], tissues.absorption_per_mm(488)[0]
    assert max(water) * 0.04 < 1e-3
    np.testing.assert_allclose(taken(scope, scene).clean, 70 + 2 * 0.8 * 90 * seen[6:-6], rtol=2e-3, atol=0.3)


@KINDS
def test_slabs_have_the_bits_of_the_whole(kind, block):
    instrument, scene = built(kind), block()
    whole = taken(instrument, scene)
    for begin, stop in ((0, 7), (7, 8), (8, 20)):
        part = instrument.take(scene.slab(begin, stop, instrument.halo_um), generators(0)[begin:stop])
        np.testing.assert_array_equal(part.image, whole.image[begin:stop])
        np.testing.assert_array_equal(part.clean, whole.clean[begin:stop])
    assert whole.image.dtype == instrument.dtype
    assert whole.clean.dtype == np.float32


@KINDS
def test_a_harder_world_hides_the_nuclei(kind, block):
    scene = block(balls=35)
    mask = scene.fill > 0.5
    seen = [
        np.corrcoef(taken(built(kind, h), scene).image.ravel(), mask.ravel())[0, 1] for h in (0, 0.25, 0.5, 0.75, 1)
    ]
    assert (np.diff(seen) < 0).all()
    assert seen[0] > 0.8
    assert seen[-1] < 0.35
    image = taken(built(kind), scene).image
    assert 1.6 < image[mask].mean() / image[~mask].mean() < 3.3


@KINDS
def test_tissue_takes_light_with_depth(kind, block):
    scene = block(tissue="neural")
    even = replace(scene, light=np.ones_like(scene.light))
    image = taken(built(kind, turbidity=8.0, autofluorescence=0.0, background=0.0, offset=100.0), even).clean - 100
    assert image[15].mean() < 0.9 * image[3].mean()
    if kind is LightSheetConfig:
        calm = taken(built(kind, turbidity=30.0, stripes=0.0, autofluorescence=0.0), even).clean - 100
        assert calm[5, :, 35].mean() < 0.9 * calm[5, :, 5].mean()


def test_scattered_light_is_haze_around_the_nuclei(block):
    scene = block(tissue="neural")
    quiet = {"turbidity": 20.0, "autofluorescence": 0.0, "background": 0.0, "stripes": 0.0, "gain": 1.0}
    sharp, hazy = (
        taken(built(LightSheetConfig, collected=share, **quiet), scene).clean[12] - 100 for share in (0.0, 1.0)
    )
    dark = sharp < 0.01 * sharp.max()
    assert dark.mean() > 0.2
    assert hazy[dark].mean() > 5 * sharp[dark].mean()
    assert hazy.sum() > 1.2 * sharp.sum()


@KINDS
def test_dyes_fade_and_tissue_stays(kind, block):
    scene = block()
    instrument = built(kind, bleaching_s=100.0, resistant=0.25, autofluorescence=0.0, background=0.0, offset=100.0)
    fresh, faded = (taken(instrument, replace(scene, time_s=t)).clean - 100 for t in (0.0, 100.0))
    np.testing.assert_allclose(faded.sum(dtype=float) / fresh.sum(dtype=float), 0.25 + 0.75 / np.e, rtol=1e-4)


def test_shadows_belong_to_the_sheet_and_the_seed(block):
    scene = replace(block(), light=np.ones(SHAPE, np.float32))
    striped, calm = (taken(built(LightSheetConfig, 0.0, stripes=depth), scene).clean - 100 for depth in (0.6, 0.0))
    share = striped[10] / calm[10]
    assert share.std(0).mean() > 3 * share.std(1).mean() > 0
    other = taken(built(LightSheetConfig, 0.0, stripes=0.6), replace(scene, seed=4)).clean
    assert not np.array_equal(other, striped + 100)


def test_the_lens_decides_the_blur_and_depth_makes_it_worse():
    fine, coarse = (built(ConfocalConfig, 0.0, numerical_aperture=aperture) for aperture in (0.8, 0.4))
    assert coarse.detection.spread.lateral_um == pytest.approx(2 * fine.detection.spread.lateral_um)
    assert coarse.detection.spread.axial_um == pytest.approx(4 * fine.detection.spread.axial_um)
    assert built(ConfocalConfig, aberration_um=5.0).halo_um > built(ConfocalConfig, aberration_um=500.0).halo_um


@KINDS
def test_a_thin_halo_is_refused(kind, block):
    instrument = built(kind)
    with pytest.raises(GridError, match="halo"):
        instrument.take(block().slab(4, 9, instrument.halo_um - SPACING[0]), generators(0, 5))


@KINDS
def test_what_cannot_be_is_refused(kind):
    for difficulty in (-0.1, 1.1, np.nan):
        with pytest.raises(ConfigError, match="difficulty"):
            built(kind, difficulty)
    for changed in (
        {"numerical_aperture": 1.4},
        {"photons": 0.0},
        {"dye": "swir"},
        {"colour": 1},
        {"turbidity": np.inf},
    ):
        with pytest.raises(ValidationError, match=next(iter(changed))):
            kind(shape=SHAPE, spacing_um=SPACING, **changed)


@KINDS
def test_it_says_what_it_writes(kind):
    instrument = built(kind, dye="membrane", emission_nm=610.0)
    assert (instrument.channel.modality, instrument.channel.name) == ("fluorescence", "membrane")
    assert instrument.channel.wavelength_nm == 610
    assert instrument.dye == "membrane"
    assert not instrument.projects


def test_noise_of_one_plane_is_independent_of_the_next(block):
    instrument = built(ConfocalConfig)
    picture = taken(instrument, block(tissue="medium", balls=0))
    noise = (picture.image - picture.clean)[:, 4:-4]
    assert abs(stats.pearsonr(noise[:-1].ravel(), noise[1:].ravel()).statistic) < 0.02
