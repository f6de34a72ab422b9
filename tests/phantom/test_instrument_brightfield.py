"""Transmitted light before a block whose pigment and nuclei are known."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from phantom.anatomy import tissues
from phantom.anatomy.tissues import CODE
from phantom.instruments.brightfield import BrightfieldConfig
from volumes.errors import ConfigError, GridError

SHAPE, SPACING = (20, 48, 40), (2.0, 1.0, 1.0)


def built(difficulty=0.5, **changed):
    return BrightfieldConfig(shape=SHAPE, spacing_um=SPACING, **changed).build(difficulty)


def generators(seed, count=SHAPE[0]):
    return [np.random.default_rng([seed, plane]) for plane in range(count)]


def taken(instrument, scene, seed=0):
    return instrument.take(scene.slab(0, SHAPE[0], instrument.halo_um), generators(seed))


def test_an_empty_field_is_the_lamp(block):
    instrument = built(0.3, photons=500.0, gain=1.5, offset=40.0, hot_pixels=0.0, read_noise=2.0)
    picture = taken(instrument, block(tissue="medium", balls=0))
    lamp = 1.5 * 0.8 * 500
    np.testing.assert_allclose(picture.clean, 40 + lamp, rtol=2e-3)
    noise = picture.image - picture.clean
    assert noise.mean() == pytest.approx(0, abs=0.5)
    assert noise.var() == pytest.approx(1.5 * lamp + 9 + 1 / 12, rel=0.03)


def test_pigment_darkens_its_column_as_beer_and_lambert_say(block):
    scene = block(tissue="medium", balls=0)
    codes = scene.codes.copy()
    codes[9:12] = CODE["pigment"]
    instrument = built(0.0)
    seen = instrument.seen(replace(scene, codes=codes).slab(0, SHAPE[0], instrument.halo_um))
    per_mm = tissues.absorption_per_mm(550)
    column = (3 * per_mm[CODE["pigment"]] + 17 * per_mm[0]) * 2e-3
    np.testing.assert_allclose(seen, np.exp(-column), rtol=0.01)


def test_a_speck_of_pigment_is_sharpest_in_its_own_plane(block):
    scene = block(tissue="medium", balls=0)
    codes = scene.codes.copy()
    codes[9, 20:26, 16:22] = CODE["pigment"]
    instrument = built(0.0)
    instrument = replace(instrument, index=0 * instrument.index)
    seen = instrument.seen(replace(scene, codes=codes).slab(0, SHAPE[0], instrument.halo_um))
    assert seen.min((1, 2)).argmin() == 9


def test_nuclei_show_dark_on_one_side_of_the_focus_and_bright_on_the_other(block):
    """A nucleus is optically thinner than what is around it: it spreads light, which is missing further on its way."""
    scene = block(tissue="medium", balls=0)
    fill = np.zeros(SHAPE, np.float32)
    fill[9:11, 20:28, 16:24] = 1
    instrument = built(0.0, nucleus_index=-0.01)
    seen = instrument.seen(replace(scene, fill=fill).slab(0, SHAPE[0], instrument.halo_um))
    before, behind = seen[6, 20:28, 16:24].mean(), seen[13, 20:28, 16:24].mean()
    assert before < 1 - 1e-3
    assert behind > 1 + 1e-3
    lens = instrument.seen(replace(scene, fill=0 * fill).slab(0, SHAPE[0], instrument.halo_um))
    assert np.ptp(lens) < 1e-3


def test_slabs_have_the_bits_of_the_whole(block):
    instrument, scene = built(), block()
    whole = taken(instrument, scene)
    for begin, stop in ((0, 6), (6, 7), (7, 20)):
        part = instrument.take(scene.slab(begin, stop, instrument.halo_um), generators(0)[begin:stop])
        np.testing.assert_array_equal(part.image, whole.image[begin:stop])
        np.testing.assert_array_equal(part.clean, whole.clean[begin:stop])


def test_scattering_veils_what_lies_deep_and_keeps_the_light(block):
    stack = np.ones(SHAPE, np.float32)
    stack[:, 20:26, 16:22] = 0.2
    contrast = {}
    for turbidity in (0.0, 40.0):
        instrument = built(0.0, turbidity=turbidity)
        seen = instrument.veiled(block(tissue="soft", balls=0).slab(0, SHAPE[0], 0.0), stack)
        np.testing.assert_allclose(seen.sum((1, 2)), stack.sum((1, 2)), rtol=1e-4)
        contrast[turbidity] = np.ptp(seen, axis=(1, 2))
    np.testing.assert_allclose(contrast[0.0], 0.8, rtol=1e-4)
    assert (np.diff(contrast[40.0]) < 0).all()
    assert contrast[40.0][-1] < 0.6


def test_it_says_what_it_writes():
    instrument = built()
    assert (instrument.channel.modality, instrument.channel.wavelength_nm) == ("brightfield", 550)
    assert not instrument.projects
    assert instrument.dtype == np.uint16


def test_what_cannot_be_is_refused(block):
    with pytest.raises(ConfigError, match="difficulty"):
        built(-1.0)
    with pytest.raises(ValidationError, match="condenser"):
        built(condenser=0.0)
    instrument = built()
    with pytest.raises(GridError, match="halo"):
        instrument.take(block().slab(4, 9, instrument.halo_um - SPACING[0]), generators(0, 5))
