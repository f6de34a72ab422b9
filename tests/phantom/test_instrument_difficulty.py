"""What a config leaves out follows the difficulty one way only, and what it states wins, 0 included."""

from itertools import pairwise

import numpy as np
import pytest

from phantom.instruments.brightfield import BrightfieldConfig
from phantom.instruments.ct import CTConfig
from phantom.instruments.fluorescence import ConfocalConfig, LightSheetConfig
from phantom.instruments.mri import MRIConfig
from phantom.instruments.swir import SWIRConfig, SWIRProjectionConfig

GRID = {"shape": (20, 40, 40), "spacing_um": (2.0, 1.0, 1.0)}

# (what the instrument then has, 1: it grows with difficulty, -1: it falls) for each parameter that may be left out.
DETECTION = {
    "turbidity": (lambda i: i.detection.turbidity.reduced_per_mm, 1),
    "aberration_um": (lambda i: i.detection.aberration_um, -1),
}
SENSOR = {
    "read_noise": (lambda i: i.camera.read_sd, 1),
    "hot_pixels": (lambda i: i.camera.hot_share, 1),
}
FLUORESCENCE = {
    **DETECTION,
    "numerical_aperture": (lambda i: i.detection.spread.lateral_um, 1),
    "photons": (lambda i: i.source.photons, -1),
    "autofluorescence": (lambda i: i.source.tissue.max(), 1),
    "bleaching_s": (lambda i: i.source.bleaching_s, -1),
    "read_noise": SENSOR["read_noise"],
    "gain": (lambda i: i.camera.gain, 1),
}
SWIR = {
    **DETECTION,
    **SENSOR,
    "numerical_aperture": (lambda i: i.detection.spread.axial_um, 1),
    "photons": (lambda i: i.source.photons, -1),
    "dark": (lambda i: i.camera.dark, 1),
}
LEFT_OUT = {
    LightSheetConfig: FLUORESCENCE | {"stripes": (lambda i: i.stripes, 1), "hot_pixels": SENSOR["hot_pixels"]},
    ConfocalConfig: FLUORESCENCE,
    SWIRConfig: SWIR,
    SWIRProjectionConfig: SWIR,
    BrightfieldConfig: SENSOR
    | {
        "turbidity": (lambda i: i.turbidity.reduced_per_mm, 1),
        "numerical_aperture": (lambda i: i.sigma_um, 1),
        "photons": (lambda i: i.photons, -1),
    },
    CTConfig: {
        "noise_hu": (lambda i: i.photons, -1),
        "ring_sd": (lambda i: i.ring_sd, 1),
        "hardening": (lambda i: i.hardening, 1),
    },
    MRIConfig: {
        "snr": (lambda i: i.sd, 1),
        "matrix": (lambda i: i.matrix, -1),
        "bias": (lambda i: i.bias, 1),
    },
}
CASES = [pytest.param(kind, name, id=f"{kind.__name__}-{name}") for kind, names in LEFT_OUT.items() for name in names]
STATED = {"photons": 77.0, "gain": 7.7, "bleaching_s": 77.0, "aberration_um": 7.7, "noise_hu": 77.0, "snr": 7.7}
STATED |= {"numerical_aperture": 0.33, "matrix": 0.77}
"""Values that are not 0, which all others may be."""
NOT_OF_DIFFICULTY = {"looks_at_um", "deformation_scale_um", "dt_s", "format", "sheet_sigma_um", "focus_um", "bias_seed"}


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_what_is_left_out_follows_the_difficulty_one_way(kind, name):
    read, sign = LEFT_OUT[kind][name]
    values = [read(kind(**GRID).build(h)) for h in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert all(b > a if sign > 0 else b < a for a, b in pairwise(values)), values


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_what_is_stated_wins_at_every_difficulty(kind, name):
    read, _ = LEFT_OUT[kind][name]
    found = {read(kind(**GRID, **{name: STATED.get(name, 0.0)}).build(h)) for h in (0.0, 0.5, 1.0)}
    assert len(found) == 1
    if name not in STATED:
        assert found == {0.0}
    elif name == "aberration_um" and "wavelength_nm" in kind.model_fields:
        assert found.pop() == pytest.approx(7.7 * (1300 / 520) ** 2)
    elif name in ("photons", "gain", "bleaching_s", "aberration_um", "matrix"):
        assert found == {STATED[name]}


def test_no_parameter_that_may_be_left_out_is_forgotten_here():
    for kind, names in LEFT_OUT.items():
        left_out = {name for name, field in kind.model_fields.items() if field.default is None} - NOT_OF_DIFFICULTY
        if kind is CTConfig:
            left_out -= {"photons"}
        assert left_out == set(names) | ({"background"} & set(kind.model_fields))


@pytest.mark.parametrize("kind", [LightSheetConfig, ConfocalConfig, SWIRConfig, SWIRProjectionConfig])
def test_background_is_a_share_of_the_photons_that_grows(kind):
    shares = [(i := kind(**GRID, photons=50.0).build(h)).background / i.source.photons for h in (0.0, 0.5, 1.0)]
    np.testing.assert_allclose(shares, [0.0, 0.15, 0.3])
    assert kind(**GRID, background=0.0).build(1.0).background == 0
    assert kind(**GRID, background=3.0).build(0.0).background == 3
