"""Where a source has no data the others carry the result, and no seam shows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import fusion
from fusion.gaps import TOUCHED, barred, filled
from volumes import Volume, from_array
from volumes.errors import ContentError
from volumes.pyramid import expand, reduce

SHAPE = (20, 48, 40)


def source(data: np.ndarray, valid: np.ndarray | None, modality: str = "MRI") -> Volume:
    return from_array(data, (1.0, 1.0, 1.0), modality=modality, valid=valid)


@pytest.fixture
def half() -> np.ndarray:
    mask = np.ones(SHAPE, bool)
    mask[:, 24:] = False
    return mask


@pytest.fixture
def smooth(rng: np.random.Generator) -> np.ndarray:
    return 100 * gaussian_filter(rng.normal(size=SHAPE), 2).astype(np.float32)


def test_constants_with_a_missing_half_give_the_constant(half: np.ndarray) -> None:
    constant = np.full(SHAPE, 5.0, np.float32)
    out = fusion.fuse([source(constant, None), source(np.where(half, constant, np.nan), half, "CT")])
    assert np.abs(out.channel() - 5).max() < 2e-6
    assert out.mask().all()


@pytest.mark.parametrize("rubbish", [0.0, np.nan, np.inf, 1e300])
def test_a_copy_with_a_missing_half_changes_nothing(smooth, half: np.ndarray, rubbish: float) -> None:
    """Whatever stands in its invalid voxels."""
    lacking = np.where(half, smooth.astype(float), rubbish)
    out = fusion.fuse([source(smooth, None), source(lacking, half, "CT")], fusion.LPFConfig(match="none"))
    assert np.abs(out.channel() - smooth).max() < 1e-5 * np.abs(smooth).max()
    matched = fusion.fuse([source(smooth, None), source(lacking, half, "CT")]).channel()
    assert np.isfinite(matched).all()


def test_far_from_the_second_source_the_first_is_alone(smooth, half: np.ndarray, rng: np.random.Generator) -> None:
    narrow = half.copy()
    narrow[:, 8:] = False
    other = source(1000 * rng.normal(size=SHAPE), narrow, "CT")
    out = fusion.fuse([source(smooth, None), other], fusion.LPFConfig(levels=2, match="none")).channel()
    assert np.abs(out - smooth)[:, 24:].max() < 1e-5 * np.abs(smooth).max()
    assert np.abs(out - smooth)[:, :8].max() > 100


@pytest.mark.parametrize("detail", ["local-energy", "max-abs"])
@pytest.mark.parametrize("base", ["mean", "max"])
def test_no_seam_where_a_brighter_source_ends(half: np.ndarray, detail: str, base: str) -> None:
    """Two smooth sources, one 100 above the other: the step at the end of one is spread out, not seen as an edge."""
    _, y, x = np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]].astype(float)
    low, high = 0.2 * y + 0.1 * x, 100 + 0.2 * y + 0.1 * x
    config = fusion.LPFConfig(match="none", detail=detail, base=base)
    out = fusion.fuse([source(low, None), source(np.where(half, high, 0), half, "CT")], config).channel()
    step = np.abs(np.diff(out, axis=1))
    # The naive mean has a step of 50 there; spread over the top level's voxels (8 at this size) each takes its part.
    assert step.max() < 50 / 4
    assert low.min() - 1e-3 <= out.min()
    assert out.max() <= high.max() + 1e-3


def test_the_union_is_valid_and_the_rest_is_zero(smooth, half: np.ndarray) -> None:
    first, second = half.copy(), half.copy()
    first[:, :, 30:] = False
    second[:, :, :10] = False
    out = fusion.fuse([source(smooth, first), source(smooth, second, "CT")], fusion.LPFConfig(match="none"))
    assert np.array_equal(out.mask(), first | second)
    assert (out.channel()[~out.mask()] == 0).all()
    assert np.abs((out.channel() - smooth)[out.mask()]).max() < 1e-5 * np.abs(smooth).max()


def test_sources_without_masks_give_one_without(smooth) -> None:
    assert fusion.fuse([source(smooth, None), source(smooth**2, None, "CT")]).valid is None


def test_masks_that_are_all_true_change_nothing(smooth, half: np.ndarray) -> None:
    pair = [smooth, smooth**2]
    plain = fusion.fuse([source(s, None) for s in pair])
    masked = fusion.fuse([source(s, np.ones(SHAPE, bool)) for s in pair])
    assert np.array_equal(plain.channel(), masked.channel())


def test_order_leaves_no_trace_with_masks(smooth, half: np.ndarray) -> None:
    late = np.ones(SHAPE, bool)
    late[:, :10] = False
    volumes = [source(smooth, half), source(smooth**2, late, "CT"), source(-smooth, half & late, "PET")]
    assert np.array_equal(fusion.fuse(volumes).channel(), fusion.fuse(volumes[::-1]).channel())


def test_filled_voxels_take_the_mean_of_the_valid(rng: np.random.Generator) -> None:
    data = rng.normal(size=(3, 4, 5, 6)).astype(np.float32)
    masks = rng.random(data.shape) < 0.5
    masks[0] |= ~masks.any(axis=0)
    got = filled(list(data), list(masks), (1.0, 1.0, 1.0))
    for m, z, y, x in np.ndindex(*data.shape):
        valid = masks[:, z, y, x]
        expected = data[m, z, y, x] if valid[m] else data[valid, z, y, x].mean()
        assert got[m][z, y, x] == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert np.allclose(np.mean(got, 0), np.where(masks, data, 0).sum(0) / masks.sum(0), atol=1e-5)


def test_where_nothing_is_valid_all_continue_alike_and_smoothly(half: np.ndarray) -> None:
    _, y, _ = np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]].astype(np.float32)
    a, b = filled([y, y + 10], [half, half], (1.0, 1.0, 1.0))
    assert np.array_equal(a[~half], b[~half])
    assert a[~half].min() >= 0
    assert a[~half].max() <= y[half].max() + 10
    assert np.abs(np.diff((a + b) / 2, axis=1)).max() < 8


def test_details_on_filled_voxels_are_barred(half: np.ndarray) -> None:
    """The share of a coefficient's kernel that is filled, from the kernels themselves."""
    bars = barred([half, np.ones(SHAPE, bool)], (1.0, 1.0, 1.0), 1)
    missing = (~half).astype(np.float64)
    share = np.maximum(missing, expand(reduce(missing, (0, 1, 2)), SHAPE, (0, 1, 2)))
    assert len(bars) == 1
    assert np.array_equal(bars[0][0], share > TOUCHED)
    assert not bars[0][1].any()
    assert bars[0][0][:, 24:].all()
    assert not bars[0][0][:, :20].any()


def test_where_all_are_touched_the_least_touched_remain(half: np.ndarray) -> None:
    wide = half.copy()
    wide[:, 24:28] = True
    bars = barred([half, wide], (1.0, 1.0, 1.0), 3)
    for band in bars:
        assert not band.all(axis=0).any()
    assert not bars[0][1].any()


def test_a_source_without_any_valid_voxel_is_refused(smooth, half: np.ndarray) -> None:
    with pytest.raises(ContentError, match=r"volumes\[1\] \(CT\): has no valid voxel"):
        fusion.fuse([source(smooth, None), source(smooth, half & False, "CT")])
