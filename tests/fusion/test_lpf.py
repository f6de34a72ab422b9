"""LP-F has exact properties, and an independent slow implementation gives the same numbers."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

import fusion
from volumes import Volume, from_array

SPACING = (2.0, 0.5, 0.5)
CONFIGS = [
    fusion.LPFConfig(detail=detail, base=base, match=match)
    for detail in ("local-energy", "max-abs")
    for base in ("mean", "max", "entropy")
    for match in ("percentile", "none")
]


def source(data: np.ndarray, modality: str = "MRI", spacing: tuple[float, float, float] = SPACING) -> Volume:
    return from_array(data, spacing, modality=modality)


def fused(volumes: list[Volume], config: fusion.LPFConfig) -> np.ndarray:
    return fusion.fuse(volumes, config).channel()


@pytest.fixture
def pair(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    shape = (11, 37, 41)
    a = ndimage.gaussian_filter(rng.normal(size=shape), 1) * 40
    b = ndimage.gaussian_filter(rng.normal(size=shape), (1, 3, 3)) * 900 + 200
    return a.astype(np.float32), b.astype(np.float32)


def gauss_level(data: np.ndarray, axes: list[int]) -> np.ndarray:
    for axis in axes:
        smooth = ndimage.correlate1d(data, np.array([1, 4, 6, 4, 1]) / 16, axis=axis, mode="mirror")
        data = smooth.take(range(0, data.shape[axis], 2), axis)
    return data


def spread(data: np.ndarray, shape: tuple[int, ...], axes: list[int]) -> np.ndarray:
    """Zeros between the voxels, then twice the kernel; the outermost voxel stands once more beyond either end."""
    for axis in axes:
        padded = np.concatenate([data.take([0], axis), data, data.take([-1], axis)], axis)
        wide = list(padded.shape)
        wide[axis] *= 2
        zeros = np.zeros(wide)
        np.moveaxis(zeros, axis, 0)[::2] = np.moveaxis(padded, axis, 0)
        smooth = ndimage.correlate1d(zeros, np.array([1, 4, 6, 4, 1]) / 8, axis=axis, mode="constant")
        data = smooth.take(range(2, 2 + shape[axis]), axis)
    return data


def slow_entropy(data: np.ndarray, low: float, high: float) -> np.ndarray:
    """Of 5³ voxels: 32 bins at k / 31, a voxel shared by two in 64ths; less the mean entropy of these shares."""
    place = np.floor(np.clip((data - low) / (high - low), 0, 1) * 31 * 64 + 0.5) / 64
    count = ndimage.convolve(np.ones(data.shape), np.ones((5, 5, 5)), mode="constant")
    out = np.zeros(data.shape)
    for k in range(32):
        share = np.maximum(0, 1 - np.abs(place - k))
        own = share * np.log2(np.where(share > 0, share, 1))
        mean = ndimage.convolve(share, np.ones((5, 5, 5)), mode="constant") / count
        out -= mean * np.log2(np.where(mean > 1e-9, mean, 1))
        out += ndimage.convolve(own, np.ones((5, 5, 5)), mode="constant") / count
    return out


def slow_entropies(sources: list[np.ndarray]) -> list[np.ndarray]:
    """With bins over the range that all sources span together."""
    ends = np.percentile(np.stack([s.ravel() for s in sources]), [0.5, 99.8], axis=1)
    return [slow_entropy(s, ends[0].min(), ends[1].max()) for s in sources]


def slow_lpf(sources: list[np.ndarray], spacing: tuple[float, ...], window: int, base: str, match: bool) -> np.ndarray:
    """LP-F in float64 as the equations read, by recursion."""
    if match:
        ends = [np.percentile(s.astype(float), [0.5, 99.8]) for s in sources]
        span, level = np.mean([h - low for low, h in ends]), np.mean([low for low, _ in ends])
        sources = [(s - low) * span / (h - low) + level for s, (low, h) in zip(sources, ends, strict=True)]

    def joined(now: list[np.ndarray], entropies: list[np.ndarray]) -> np.ndarray:
        if base == "entropy":
            weights = np.exp(np.stack(entropies) / 0.5)
            return (weights * np.stack(now)).sum(axis=0) / weights.sum(axis=0)
        return np.mean(now, axis=0) if base == "mean" else np.max(now, axis=0)

    def go(now: list[np.ndarray], voxel: tuple[float, ...], entropies: list[np.ndarray]) -> np.ndarray:
        long = [i for i in range(3) if now[0].shape[i] >= 8]
        axes = [i for i in long if voxel[i] < 1.5 * min(voxel[j] for j in long)]
        if not axes:
            return joined(now, entropies)
        coarse = [gauss_level(g, axes) for g in now]
        details = [g - spread(c, g.shape, axes) for g, c in zip(now, coarse, strict=True)]
        energy = [ndimage.convolve(d * d, np.ones((window,) * 3), mode="constant") for d in details]
        winner = np.argmax(energy, axis=0)
        wider = [gauss_level(h, axes) for h in entropies]
        top = go(coarse, tuple(s * (2 if i in axes else 1) for i, s in enumerate(voxel)), wider)
        return np.choose(winner, details) + spread(top, now[0].shape, axes)

    own = [s.astype(float) for s in sources]
    return go(own, spacing, slow_entropies(own) if base == "entropy" else [])


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.detail}-{c.base}-{c.match}")
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (5.0, 1.0, 1.2)])
def test_an_independent_implementation_agrees(pair, config: fusion.LPFConfig, spacing) -> None:
    got = fused([source(pair[0], spacing=spacing), source(pair[1], "CT", spacing)], config)
    window = 3 if config.detail == "local-energy" else 1
    expected = slow_lpf(list(pair), spacing, window, config.base, config.match == "percentile")
    # Where float32 rounds a voxel to the next 64th of a bin the weights differ in the fifth digit.
    most = 1e-4 if config.base == "entropy" else 2e-6
    assert np.abs(got - expected).max() < most * np.ptp(expected)


def test_three_sources_agree_with_it_too(pair, rng: np.random.Generator) -> None:
    three = [*pair, rng.normal(size=pair[0].shape).astype(np.float32)]
    got = fused([source(s) for s in three], fusion.LPFConfig())
    expected = slow_lpf(three, SPACING, 3, "mean", True)
    assert np.abs(got - expected).max() < 2e-6 * np.ptp(expected)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.detail}-{c.base}-{c.match}")
@pytest.mark.parametrize("number", [2, 3])
def test_equal_sources_give_themselves(pair, config: fusion.LPFConfig, number: int) -> None:
    for one in pair:
        out = fused([source(one)] * number, config)
        assert np.abs(out - one).max() <= 4e-7 * np.abs(one).max()


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.detail}-{c.base}-{c.match}")
def test_the_order_of_sources_leaves_no_trace(pair, config: fusion.LPFConfig, rng: np.random.Generator) -> None:
    # The third is the first upside down in sign: equal energies everywhere, so that ties do occur.
    volumes = [source(pair[0]), source(pair[1], "CT"), source(-pair[0], "PET")]
    assert np.array_equal(fused(volumes[:2], config), fused(volumes[1::-1], config))
    first = fused(volumes, config)
    for order in permutations(volumes):
        assert np.array_equal(first, fused(list(order), config))


@settings(max_examples=25, deadline=None)
@given(
    gain=st.floats(1e-3, 1e3),
    shift=st.floats(-1e3, 1e3),
    seed=st.integers(0, 2**16),
    shape=st.tuples(st.integers(1, 12), st.integers(2, 20), st.integers(2, 20)),
)
def test_a_common_factor_and_shift_pass_through(gain: float, shift: float, seed: int, shape) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, *shape)) * [[[[1.0]]], [[[30.0]]]]
    for config in (fusion.LPFConfig(match=m, base=b) for m in ("percentile", "none") for b in ("mean", "entropy")):
        plain = fused([source(a), source(b, "CT")], config)
        moved = fused([source(gain * a + shift), source(gain * b + shift, "CT")], config)
        size = gain * np.abs(plain).max() + abs(shift)
        # Bins are cut into 64ths, so that a rounding may move a voxel by one.
        far = np.abs(moved - (gain * plain + shift)) > (1e-3 if config.base == "entropy" else 3e-6) * size
        # Where two energies are equal but for rounding, either source is right.
        assert far.mean() < 0.02


def test_unmatched_sources_scale_with_negative_factors_too(pair) -> None:
    config = fusion.LPFConfig(match="none")
    plain = fused([source(pair[0]), source(pair[1])], config)
    assert np.allclose(fused([source(-2 * pair[0]), source(-2 * pair[1])], config), -2 * plain, rtol=1e-6, atol=1e-4)


def test_matching_lets_the_weaker_numbers_keep_their_details(rng: np.random.Generator) -> None:
    """A fine pattern in numbers a thousand times smaller survives only on a common scale."""
    z, y, x = np.mgrid[:8, :32, :32]
    fine = 1e-3 * ((x + y + z) % 2)
    smooth = 1000.0 * np.exp(-((y - 16.0) ** 2 + (x - 16.0) ** 2) / 60)
    volumes = [source(fine), source(smooth, "CT")]
    kept = {m: np.corrcoef(np.diff(fused(volumes, fusion.LPFConfig(match=m))).ravel(), np.diff(fine).ravel())[0, 1]
            for m in ("percentile", "none")}  # fmt: skip
    assert kept["percentile"] > 0.95
    assert kept["none"] < 0.3


def test_a_picture_is_a_volume_of_one_plane(rng: np.random.Generator) -> None:
    a, b = rng.normal(size=(2, 33, 45))
    out = fusion.fuse([source(a), source(b, "CT")])
    expected = slow_lpf([a[None], b[None]], SPACING, 3, "mean", True)
    assert out.grid.shape == (1, 33, 45)
    assert np.abs(out.channel() - expected).max() < 2e-6 * np.ptp(expected)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "float16", "float32", "float64"])
def test_any_real_type_comes_out_as_float32(rng: np.random.Generator, dtype: str) -> None:
    a, b = rng.integers(0, 100, (2, 6, 20, 20))
    out = fusion.fuse([source(a.astype(dtype)), source(b.astype(dtype), "CT")]).channel()
    assert out.dtype == np.float32
    assert np.allclose(out, fused([source(a), source(b, "CT")], fusion.LPFConfig()), atol=1e-4)


def test_levels_bound_the_bands(pair) -> None:
    """One level: the band above 2-fold averages is chosen, all below is the plain mean."""
    one = fused([source(p) for p in pair], fusion.LPFConfig(levels=1, match="none"))
    axes = [1, 2]
    coarse = [gauss_level(p.astype(float), axes) for p in pair]
    details = [p - spread(c, p.shape, axes) for p, c in zip(pair, coarse, strict=True)]
    energy = [ndimage.convolve(d * d, np.ones((3, 3, 3)), mode="constant") for d in details]
    expected = np.choose(np.argmax(energy, axis=0), details) + spread(np.mean(coarse, axis=0), pair[0].shape, axes)
    assert np.abs(one - expected).max() < 1e-3


def test_the_entropy_base_leans_on_the_source_that_has_more_to_show(rng: np.random.Generator) -> None:
    """Half the field speckled in one source and flat in the other, at other levels: the base is near the speckled."""
    left = np.arange(64) < 32
    speckle = rng.integers(0, 2, (8, 64, 64)) * 2.0 - 1
    a = np.where(left, 10 + speckle, 10.0)
    b = np.where(left, 0.0, speckle)
    sharp = fusion.LPFConfig(base="entropy", temperature_bits=0.1, levels=2, match="none")
    out = fused([source(a, spacing=(1.0, 1.0, 1.0)), source(b, "CT", (1.0, 1.0, 1.0))], sharp)
    assert out[:, :, :16].mean() == pytest.approx(10, abs=0.05)
    assert out[:, :, 48:].mean() == pytest.approx(0, abs=0.05)
    even = fused([source(a), source(b, "CT")], sharp.model_copy(update={"temperature_bits": 1e3}))
    plain = fused([source(a), source(b, "CT")], sharp.model_copy(update={"base": "mean"}))
    assert np.abs(even - plain).max() < 0.02
