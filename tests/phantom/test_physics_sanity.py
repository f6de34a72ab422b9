"""What anyone knows of each instrument, asked of whole phantoms: which side the light comes from, what is bright."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy import ndimage, stats

from phantom import PhantomConfig
from phantom.acquisition import Acquisition
from phantom.anatomy.chromophores import melanosome_per_mm
from phantom.anatomy.tissues import CODE, TISSUES
from phantom.true_cells import TrueCells, true_cells

SIZE = (60.0, 64.0, 72.0)
GRID = {"shape": (30, 64, 72), "spacing_um": (2.0, 1.0, 1.0)}
ON_TISSUE = {"shape": (30, 32, 36), "spacing_um": (2.0, 2.0, 2.0)}
CLEAR = {"background": 0.0, "autofluorescence": 0.0, "collected": 0.0, "aberration_um": 1e6}


def before(**instrument) -> Acquisition:
    """The same embryo before another instrument."""
    return _drawn(tuple(sorted((k, tuple(v) if isinstance(v, list) else v) for k, v in instrument.items())))


@cache
def _drawn(instrument: tuple) -> Acquisition:
    asked = dict(instrument)
    size = asked.pop("size_um", SIZE)
    config = {
        "name": "sane",
        "seed": 4,
        "difficulty": 0.0,
        "anatomy": {"kind": "embryo", "size_um": size, "spacing_um": 2.0 if size == SIZE else 4.0, "texture": 0.0},
        "cells": {"count": 25, "radius_um": 3.0, "brightness_spread": 0.0, "cycle_h": None},
        "instruments": {"it": asked},
    }
    return PhantomConfig.model_validate(config).build()["it"]


def clean(**instrument) -> np.ndarray:
    return before(**instrument).clean()[0].channel()


def light_of_cells(**instrument) -> tuple[TrueCells, np.ndarray]:
    """The cells, and what shines in each beside the detector's offset."""
    cells = true_cells(before(**instrument, offset=0.0))
    return cells, cells.signal


@pytest.mark.parametrize(
    ("kind", "axis", "flipped"),
    [("confocal", 0, ("-z", "y", "x")), ("light_sheet", 0, ("-z", "y", "x")), ("light_sheet", 2, ("z", "y", "-x"))],
)
def test_light_is_lost_on_its_way_from_the_side_that_it_passes(kind, axis, flipped):
    common = {"kind": kind, **GRID, "turbidity": 4.0, **CLEAR}
    ahead, one = light_of_cells(**common)
    behind, other = light_of_cells(axes=flipped, **common)
    _, a, b = np.intersect1d(ahead.number, behind.number, return_indices=True)
    depth, ratio = ahead.zyx_um[a, axis], np.log(one[a] / other[b])
    assert len(a) > 15
    assert stats.spearmanr(depth, ratio).statistic < -0.8
    assert np.polyfit(depth, ratio, 1)[0] < -0.003


def test_clear_tissue_takes_no_light():
    cells, light = light_of_cells(kind="confocal", **GRID, turbidity=0.0, **CLEAR)
    whole = cells.voxels > 40
    assert abs(stats.spearmanr(cells.zyx_um[whole, 0], light[whole]).statistic) < 0.5
    assert np.ptp(light[whole]) < 0.4 * np.median(light[whole])


def test_a_nucleus_in_a_vacuum_of_everything_else_sends_the_photons_that_were_asked_for():
    sharp = {"numerical_aperture": 1.2, "sheet_sigma_um": 0.1, "turbidity": 0.0, "stripes": 0.0, **CLEAR}
    seen = before(kind="light_sheet", **GRID, photons=1000.0, gain=1.0, offset=0.0, **sharp)
    picture = seen.clean()[0].channel().astype(np.float64)
    volumes = seen.cells(0).volume_um3.sum() / 2.0
    electrons = picture.sum() / volumes
    assert electrons == pytest.approx(800.0, rel=0.1)


def test_water_is_zero_and_bone_is_bright_in_a_scanner():
    away = before(kind="ct", **ON_TISSUE, looks_at_um=(900.0, 0.0, 0.0), kev=40.0, noise_hu=20.0).image()[0].channel()
    assert abs(away.mean()) < 1
    assert away.std() == pytest.approx(20, rel=0.15)
    plain = {"kind": "ct", **ON_TISSUE, "stain_mg_per_ml": 0.0}
    labels = before(**plain).anatomy.labels.channel()
    for kev in (30.0, 60.0):
        hounsfield = clean(**plain, kev=kev)
        means = [hounsfield[labels == CODE[tissue]].mean() for tissue in ("medium", "soft", "bone")]
        assert abs(means[0]) < 15
        assert -60 < means[1] < 120
        assert means[2] > means[1] + 150
    soft, hard = (clean(**plain, kev=kev)[labels == CODE["bone"]].mean() for kev in (30.0, 80.0))
    assert soft > 1.3 * hard


def test_the_stain_of_a_scan_is_in_the_nuclei_most_of_all():
    seen = before(kind="ct", **ON_TISSUE)
    hounsfield, nuclei = seen.clean()[0].channel(), seen.labels()[0].channel() > 0
    labels = seen.anatomy.labels.channel()
    around = (labels == CODE["soft"]) & ~nuclei
    assert hounsfield[nuclei].mean() > hounsfield[around].mean() + 50
    assert hounsfield[around].mean() > hounsfield[labels == 0].mean() + 200


def test_pigment_throws_a_shadow_and_light_goes_through_the_rest():
    large = {"kind": "brightfield", "shape": (60, 64, 72), "spacing_um": (4.0, 4.0, 4.0), "size_um": (240, 256, 288)}
    seen = before(**large, photons=10000.0, gain=1.0, offset=0.0, turbidity=0.0)
    picture, labels = seen.clean()[0].channel(), seen.anatomy.labels.channel()
    far = ndimage.distance_transform_edt((labels == 0).all(0)) > 3
    assert picture[:, far].mean() == pytest.approx(8000, rel=0.005)
    assert 0.9 < picture.mean() / 8000 < 1.0
    pigment = (labels == CODE["pigment"]).sum(0)
    light = [picture.mean(0)[pigment == planes].mean() for planes in range(pigment.max() + 1)]
    assert len(light) > 6
    absorbed = -np.log(np.asarray(light) / light[0])
    beer = 0.5 * melanosome_per_mm(550.0) * 4e-3 * np.arange(len(light))
    assert stats.spearmanr(absorbed, beer).statistic > 0.9
    assert 0.3 < absorbed[-1] / beer[-1] < 1.1


def test_longer_echoes_weigh_an_mri_by_each_tissues_own_t2():
    plain = {"kind": "mri", **ON_TISSUE, "tr_ms": 6000.0, "nuclear_contrast": 0.0, "bias": 0.0, "matrix": 1.0}
    short, long = (clean(**plain, te_ms=te) for te in (10.0, 70.0))
    labels = before(**plain, te_ms=10.0).anatomy.labels.channel()
    checked = 0
    for code, tissue in enumerate(TISSUES):
        here = labels == code
        if here.sum() > 100:
            left = np.median(long[here] / short[here])
            assert left == pytest.approx(np.exp(-60.0 / tissue.t2_ms), rel=0.03), tissue.name
            checked += 1
    assert checked > 4
    fluid, solid = (np.median(long[labels == CODE[name]]) for name in ("lumen", "soft"))
    assert fluid > 1.3 * solid


def test_an_mri_without_signal_shows_rician_noise_and_no_negative():
    seen = before(kind="mri", **ON_TISSUE, snr=0.5, matrix=1.0, bias=0.0)
    image, truth = (movie[0].channel().astype(np.float64) for movie in (seen.image(), seen.clean()))
    sd = seen.instrument.sd * 4000
    assert image.mean() > truth.mean()
    np.testing.assert_allclose((image**2).mean(), (truth**2).mean() + 2 * sd**2, rtol=0.03)


def test_infrared_is_scattered_less_than_green_light():
    kept = {}
    for kind, more in (("swir", {}), ("light_sheet", {"stripes": 0.0, "sheet_sigma_um": 5.0})):
        common = {"kind": kind, **GRID, "background": 0.0, "aberration_um": 1e6, "collected": 0.0}
        cells, clear = light_of_cells(**common, turbidity=0.0, **more)
        turbid = light_of_cells(**common, turbidity=4.0, **more)[1]
        bright = (clear > 0.3 * np.nanmax(clear)) & (cells.voxels > 40)
        kept[kind] = float(np.median((turbid / clear)[bright]))
    assert np.log(kept["light_sheet"]) < 2 * np.log(kept["swir"]) < 0


def test_bleaching_takes_light_from_the_cells_alone_and_leaves_what_resists():
    fading = {"bleaching_s": 60.0, "resistant": 0.25, "frames": 6, "dt_s": 60.0, "offset": 0.0}
    seen = before(kind="confocal", **GRID, **fading, **CLEAR)
    total = np.array([frame.channel().sum(dtype=np.float64) for frame in seen.clean()])
    np.testing.assert_allclose(total / total[0], 0.25 + 0.75 * np.exp(-np.arange(6.0)), rtol=0.05)
