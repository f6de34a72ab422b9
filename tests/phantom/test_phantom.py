"""A whole phantom: what every part of its truth must have in common."""

from functools import cache

import numpy as np
import pytest
from scipy import ndimage, stats

from phantom import acquisition as drawing
from phantom.config import PhantomConfig
from phantom.lineage import Lineage
from phantom.true_cells import share_inside, true_cells
from volumes.errors import ConfigError

SMALL = {
    "name": "small",
    "seed": 3,
    "anatomy": {"kind": "embryo", "size_um": (80.0, 84.0, 92.0)},
    "cells": {"radius_um": 4.0, "density": 0.1, "cycle_h": 0.5, "dt_s": 60.0, "motion": {"kind": "flow"}},
    "instruments": {
        "light_sheet": {"kind": "light_sheet", "shape": (36, 64, 64), "spacing_um": (1.2, 0.8, 0.8), "frames": 5},
        "swir": {
            "kind": "swir",
            "shape": (40, 56, 60),
            "spacing_um": (1.2, 1.1, 1.1),
            "axes": ("z", "-y", "x"),
            "rotation_deg": (10.0, -20.0, 30.0),
            "deformation_um": 0.6,
            "drift_um": 0.4,
            "frames": 3,
            "dt_s": 90.0,
            "start_s": 30.0,
        },
        "shadow": {"kind": "swir_projection", "shape": (32, 40, 40), "spacing_um": (2.0, 1.5, 1.5)},
        "ct": {"kind": "ct", "shape": (20, 40, 40), "spacing_um": (3.0, 1.8, 1.8), "scale": (0.95, 0.95, 0.95)},
        "mri": {"kind": "mri", "shape": (10, 12, 12), "spacing_um": (6.0, 6.0, 6.0), "axes": ("x", "z", "y")},
    },
}


def config(**more) -> PhantomConfig:
    return PhantomConfig.model_validate({**SMALL, **more})


@cache
def small():
    return config().build()


def test_every_analytic_cell_is_where_the_transform_says_on_every_grid():
    phantom = small()
    cells = phantom.history.moments[0]
    for fixed in phantom.acquisitions:
        for moving in phantom.acquisitions:
            here, there = (phantom[name].pose.world(cells.centre_um, 0) for name in (fixed, moving))
            assert np.abs(phantom.transform(fixed, moving)(here) - there).max() < 1e-6


@pytest.mark.parametrize("bent_um", [0.0, 0.6])
def test_drawn_nuclei_have_their_centroid_and_volume_where_and_as_they_should(bent_um):
    fine = {**SMALL["instruments"]["swir"], "shape": (90, 100, 100), "spacing_um": (0.6, 0.5, 0.5), "frames": 1}
    seen = config(instruments={"swir": {**fine, "deformation_um": bent_um}}).build()["swir"]
    cells = seen.cells(0)
    whole = np.flatnonzero(share_inside(seen, 0, cells) == 1)
    assert len(whole) > 10
    labels, numbers = seen.labels()[0].channel(), cells.number[whole]
    expected = seen.grid.to_index(seen.pose.world(cells.centre_um[whole], 0))
    drawn = np.array(ndimage.center_of_mass(labels > 0, labels, numbers))
    assert np.abs(drawn - expected).max() < 0.1
    volume = ndimage.sum(labels > 0, labels, numbers) * seen.grid.voxel_um3
    assert np.abs(volume / cells.volume_um3[whole] - 1).max() < 0.05


@pytest.mark.parametrize("name", ["light_sheet", "swir", "ct"])
def test_the_shares_of_voxels_have_the_centroid_and_the_volume_on_coarse_grids_too(name):
    seen = config(cells={**SMALL["cells"], "count": 14}).build()[name]
    scene = seen.scene(0)
    raster, first = scene.raster, scene.first
    cells = scene.cells
    whole = np.flatnonzero(share_inside(seen, 0, cells) == 1)
    fill = raster.fill.astype(float)
    alone = [row for row in whole if not _touches(cells, row)]
    assert len(alone) >= 2
    expected = seen.grid.to_index(seen.pose.world(cells.centre_um[alone], 0)) - (first, 0, 0)
    drawn = np.array(ndimage.center_of_mass(fill, raster.owner_row, alone))
    assert np.abs(drawn - expected).max() < 0.1
    scale = abs(np.linalg.det(seen.pose.stretch(cells.centre_um[alone]))) * cells.volume_um3[alone]
    assert np.abs(ndimage.sum(fill, raster.owner_row, alone) / scale - 1).max() < 0.02


def _touches(cells, row: int) -> bool:
    """Whether another nucleus is so near that one voxel can hold parts of both."""
    away = np.linalg.norm(cells.centre_um - cells.centre_um[row], axis=1) - cells.radius_um - cells.radius_um[row]
    away[row] = np.inf
    return bool(away.min() < 4.5)


def test_daughters_share_out_the_volume_of_their_mother():
    history = small().history
    checked = 0
    for before, after in zip(history.moments, history.moments[1:], strict=False):
        volume = dict(zip(before.number.tolist(), before.volume_um3.tolist(), strict=True))
        for mother in np.unique(after.mother[after.mother > 0]).tolist():
            pair = after.volume_um3[(after.mother == mother) & ~np.isin(after.number, before.number)]
            if mother in volume and len(pair) == 2:
                assert pair.sum() == pytest.approx(volume[mother], rel=1e-9)
                checked += 1
    assert checked > 0


def test_slabs_of_any_thickness_give_the_same_bytes(monkeypatch):
    names = ["light_sheet", "swir", "ct", "mri"]
    whole = {name: small()[name].drawn(1 if name in ("light_sheet", "swir") else 0, 0) for name in names}
    monkeypatch.setattr(drawing, "SLAB_VOXELS", 7 * 64 * 64)
    thin = config().build()
    for name in names:
        frame = 1 if name in ("light_sheet", "swir") else 0
        assert thin[name].slabs > 1 or name == "mri"
        for kind in ("image", "clean", "labels"):
            glued = np.concatenate([getattr(thin[name].drawn(frame, s), kind) for s in range(thin[name].slabs)])
            np.testing.assert_array_equal(glued, getattr(whole[name], kind))


def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not():
    one, again, other = small(), config().build(), config(seed=4).build()
    for name in one.acquisitions:
        bytes_of = [p[name].image()[0].array.tobytes() for p in (one, again, other)]
        assert bytes_of[0] == bytes_of[1] != bytes_of[2]


def test_noise_is_independent_between_planes_and_frames():
    seen = small()["light_sheet"]
    noise = [seen.image()[f].channel().astype(float) - seen.clean()[f].channel() for f in (0, 1)]
    within = np.corrcoef(noise[0][10].ravel(), noise[0][11].ravel())[0, 1]
    between = np.corrcoef(noise[0][10].ravel(), noise[1][10].ravel())[0, 1]
    assert max(abs(within), abs(between)) < 5 / np.sqrt(noise[0][10].size)


def test_counts_scatter_about_the_clean_picture_as_shot_and_read_noise_do():
    quiet = config(
        instruments={
            "light_sheet": {**SMALL["instruments"]["light_sheet"], "gain": 1.0, "read_noise": 2.0, "hot_pixels": 0.0}
        }
    ).build()["light_sheet"]
    image, clean = quiet.image()[0].channel().astype(float), quiet.clean()[0].channel().astype(float)
    variance = (clean - 100) + 2.0**2 + 1 / 12
    chi2 = float(((image - clean) ** 2 / variance).sum())
    n = image.size
    assert abs(chi2 / n - 1) < 0.02
    assert stats.norm.sf(abs((image - clean).sum()) / np.sqrt(variance.sum())) > 1e-4


def test_the_table_of_cells_is_a_lineage_and_agrees_with_the_labels():
    for name in ("light_sheet", "swir"):
        seen = small()[name]
        table = true_cells(seen)
        Lineage(table.t, table.zyx_um, table.parent, table.radius_um)
        for frame in range(len(seen.times_s)):
            labels, clean = seen.labels()[frame].channel(), seen.clean()[frame].channel()
            rows = table.t == frame
            present = rows & (table.voxels > 0)
            assert set(table.number[present].tolist()) == set(np.unique(labels[labels > 0]).tolist())
            count = np.bincount(labels.ravel(), minlength=labels.max() + 1)
            np.testing.assert_array_equal(count[table.number[present]], table.voxels[present])
            np.testing.assert_allclose(
                ndimage.mean(clean.astype(float), labels, table.number[present]), table.signal[present], rtol=1e-6
            )
            assert np.isnan(table.signal[rows & (table.voxels == 0)]).all()
    assert (np.bincount(table.parent[table.parent >= 0]) <= 2).all()


def test_the_share_inside_is_that_of_the_voxels_in_a_larger_field():
    seen = small()["light_sheet"]
    cells = seen.cells(0)
    wide = config(
        instruments={"light_sheet": {**SMALL["instruments"]["light_sheet"], "shape": (76, 104, 104), "frames": 1}}
    ).build()["light_sheet"]
    labels = wide.labels()[0].channel()
    inner = labels[20:56, 20:84, 20:84]
    total, kept = (np.bincount(v.ravel(), minlength=seen.history.highest + 1)[cells.number] for v in (labels, inner))
    whole = total > 200
    np.testing.assert_allclose(share_inside(seen, 0, cells)[whole], (kept / np.maximum(total, 1))[whole], atol=0.07)


def test_a_projection_is_one_plane_with_the_foremost_labels():
    seen = small()["shadow"]
    assert seen.image()[0].grid.shape == (1, 40, 40)
    assert seen.labels()[0].channel().max() > 0


def test_an_instrument_that_is_not_there_is_named():
    with pytest.raises(ConfigError, match="light_sheet"):
        small()["pet"]
