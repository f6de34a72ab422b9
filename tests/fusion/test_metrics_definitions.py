"""VIF, Qabf, FMI and Q_NCIE against their definitions written out at length, place by place."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.signal import convolve

from fusion.metrics import evaluate
from fusion.metrics.edge_transfer import edge_transfers
from fusion.metrics.feature_information import feature_information
from fusion.metrics.visual_fidelity import visual_fidelity
from fusion.metrics.windows import box, gaussian, windowed

CUBIC = {2: (1.0, 1.0), 3: (1.0, 1.0, 1.0)}


def textures(rng: np.random.Generator, shape: tuple[int, ...], count: int) -> list[np.ndarray]:
    """Smooth and rough structure in different places, in whole grey levels from 0 to 255."""
    out = []
    for sigma in (1.0, 2.5, 0.7, 1.6)[:count]:
        values = gaussian_filter(rng.normal(size=shape), sigma) ** 3
        out.append(np.rint(255 * (values - values.min()) / np.ptp(values)))
    return out


def at_length(reference: np.ndarray, distorted: np.ndarray) -> float:
    """VIF by whole windows, N-dimensional convolutions and conditions one after the other."""
    kept = there = 0.0
    for scale in range(4):
        n = 2 ** (4 - scale) + 1
        grids = np.meshgrid(*[np.arange(n) - n // 2] * reference.ndim, indexing="ij")
        window = np.exp(-sum(g**2 for g in grids) / (2 * (n / 5) ** 2))
        window /= window.sum()

        def mean(values: np.ndarray, window: np.ndarray = window) -> np.ndarray:
            return convolve(values, window, mode="valid")

        if scale:
            every = (slice(None, None, 2),) * reference.ndim
            reference, distorted = mean(reference)[every], mean(distorted)[every]
        m1, m2 = mean(reference), mean(distorted)
        v1, v2 = mean(reference**2) - m1**2, mean(distorted**2) - m2**2
        both = mean(reference * distorted) - m1 * m2
        for s1, s2, s12 in zip(np.maximum(v1, 0).flat, np.maximum(v2, 0).flat, both.flat, strict=True):
            g, rest = s12 / (s1 + 1e-10), s2 - s12**2 / (s1 + 1e-10)
            if s1 < 1e-10 or s2 < 1e-10 or g < 0:
                g, rest = 0.0, s2
            kept += math.log10(1 + g * g * s1 / (max(rest, 1e-10) + 2))
            there += math.log10(1 + s1 / 2)
    return kept / there


def test_vif_is_its_definition(rng: np.random.Generator) -> None:
    for shape in ((47, 52), (41, 43, 42)):
        a, b = textures(rng, shape, 2)
        b[: shape[0] // 2] = 7.0
        fused = np.clip(0.7 * a + 0.4 * b, 0, 255)
        got = visual_fidelity(fused, [a, b], CUBIC[len(shape)])
        assert got == pytest.approx([at_length(a, fused), at_length(b, fused)], rel=1e-7)


def test_vif_of_a_thin_stack_pools_its_slices(rng: np.random.Generator) -> None:
    """Sums run over the slices, so twice the same slice scores as one."""
    a, b = textures(rng, (50, 50), 2)
    fused = np.maximum(a, b)
    twice = visual_fidelity(np.stack([fused] * 2), [np.stack([a] * 2), np.stack([b] * 2)], (1.0, 1.0, 1.0))
    assert twice == pytest.approx(visual_fidelity(fused, [a, b], (1.0, 1.0)))
    coarse = visual_fidelity(np.stack([fused] * 45), [np.stack([a] * 45)], (2.0, 1.0, 1.0))
    assert coarse == pytest.approx(visual_fidelity(fused, [a], (1.0, 1.0)))


def test_vif_of_a_small_picture_has_fewer_scales(rng: np.random.Generator) -> None:
    a = textures(rng, (17, 40), 1)[0]
    assert visual_fidelity(a, [a], (1.0, 1.0)) == pytest.approx([1.0])


def qabf_at_length(fused: np.ndarray, sources: list[np.ndarray]) -> float:
    """Pixel by pixel, by the 3 × 3 filters of the paper on a picture with zeros around it."""
    across = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    down = np.array([[1, 2, 1], [0, 0, 0], [-1, -2, -1]])

    def edges(values: np.ndarray) -> list[tuple[float, float]]:
        x, y = (convolve(values, kernel, mode="same", method="direct") for kernel in (across, down))
        return [
            (math.hypot(p, q), math.pi / 2 if p == 0 else math.atan(q / p)) for p, q in zip(x.flat, y.flat, strict=True)
        ]

    top = bottom = 0.0
    for source in sources:
        for (g, a), (g_f, a_f) in zip(edges(source), edges(fused), strict=True):
            strength = g_f if g == g_f else min(g, g_f) / max(g, g_f)
            turn = 1 - abs(a - a_f) / (math.pi / 2)
            top += g * 0.9994 / (1 + math.exp(-15 * (strength - 0.5))) * 0.9879 / (1 + math.exp(-22 * (turn - 0.8)))
            bottom += g
    return top / bottom


def test_qabf_is_its_definition(rng: np.random.Generator) -> None:
    a, b = textures(rng, (60, 53), 2)
    fused = np.where(np.indices(a.shape)[1] < 30, a, np.rint(0.5 * (a + b)))
    assert evaluate(fused, [a, b])["Qabf"] == pytest.approx(qabf_at_length(fused, [a, b]), rel=1e-9)


def qabf_3d_at_length(fused: np.ndarray, source: np.ndarray, steps: tuple[float, ...]) -> float:
    """Voxel by voxel: vectors of Sobel differences, and the angle between their lines."""
    smooth, slope = np.array([1, 2, 1]), np.array([-1, 0, 1])

    def vectors(values: np.ndarray) -> dict[tuple[int, ...], np.ndarray]:
        wide = np.pad(values, 1, mode="edge")
        out = {}
        for place in np.ndindex(values.shape):
            block = wide[tuple(slice(i, i + 3) for i in place)]
            one = np.einsum("zyx,z,y,x", block, slope, smooth, smooth) / steps[0]
            two = np.einsum("zyx,z,y,x", block, smooth, slope, smooth) / steps[1]
            out[place] = np.array([one, two, np.einsum("zyx,z,y,x", block, smooth, smooth, slope) / steps[2]])
        return out

    before, after, top, bottom = vectors(source), vectors(fused), 0.0, 0.0
    for place, v in before.items():
        g, g_f = np.linalg.norm(v), np.linalg.norm(after[place])
        turn = 1 - 2 / math.pi * math.acos(min(abs(v @ after[place]) / (g * g_f), 1.0)) if g * g_f else 0.0
        strength = min(g, g_f) / max(g, g_f) if g + g_f else 0.0
        top += g * 0.9994 / (1 + math.exp(-15 * (strength - 0.5))) * 0.9879 / (1 + math.exp(-22 * (turn - 0.8)))
        bottom += g
    return top / bottom


@pytest.mark.parametrize("steps", [(1.0, 1.0, 1.0), (3.0, 1.0, 1.2)])
def test_qabf_in_3d_compares_lines_and_steps(rng: np.random.Generator, steps: tuple[float, ...]) -> None:
    a, b = textures(rng, (7, 9, 8), 2)
    fused = np.rint(0.7 * a + 0.3 * b)
    fused[:3, :3] = 0
    one = edge_transfers(fused, [a], steps)[0]
    assert one.kept / one.all == pytest.approx(qabf_3d_at_length(fused, a, steps), rel=1e-9)


def fmi_at_length(p: np.ndarray, q: np.ndarray) -> float:
    """One pair of windows, the joint distribution cell by cell from its cumulative one."""
    if (p == q).all():
        return 1.0
    p, q = ((w - w.min()) / np.ptp(w) if np.ptp(w) else np.ones(w.size) for w in (p, q))
    p, q = p / p.sum(), q / q.sum()
    n = p.size
    big_p, big_q = np.cumsum(p), np.cumsum(q)
    r = 0.0 if np.ptp(p) == 0 or np.ptp(q) == 0 else float(np.corrcoef(p, q)[0, 1])
    upper = np.minimum(big_p[:, None], big_q)
    bound = upper if r >= 0 else np.maximum(big_p[:, None] + big_q - 1, 0)
    places = np.arange(1, n + 1)
    spread = math.prod(math.sqrt(max((places**2 * w).sum() - (places * w).sum() ** 2, 0)) for w in (p, q))
    excess = (bound - np.outer(big_p, big_q)).sum()
    phi = 0.0 if abs(r) < 1e-12 or spread < 1e-9 else r * spread / excess
    cumulative = np.pad(phi * bound + (1 - phi) * np.outer(big_p, big_q), ((1, 0), (1, 0)))
    joint = np.diff(np.diff(cumulative, axis=0), axis=1)

    def h(values: np.ndarray) -> float:
        values = values[np.abs(values) > 1e-15]
        return float(-(values * np.log2(np.abs(values))).sum())

    alone = h(p) + h(q)
    return 2 * (alone - h(joint)) / alone if alone else 0.0


@pytest.mark.parametrize("shape", [(9, 11), (5, 6, 7)])
def test_fmi_is_its_definition(rng: np.random.Generator, shape: tuple[int, ...]) -> None:
    a = rng.integers(0, 256, shape).astype(float)
    b = np.where(rng.random(shape) < 0.3, a, rng.integers(0, 4, shape))
    b[:4, :4] = 3.0
    a[-3:, -4:] = b[-3:, -4:]
    a[:3, -3:] = 0
    a[0, -2] = 40
    a[(slice(1, 4),) * len(shape)] = b[(slice(1, 4),) * len(shape)]
    total = []
    for corner in itertools.product(*[range(n - 2) for n in shape]):
        window = tuple(slice(c, c + 3) for c in corner)
        total.append(fmi_at_length(a[window].ravel(order="F"), b[window].ravel(order="F")))
    assert min(total) < 0.05
    assert 1.0 in total
    assert feature_information(a, [b], CUBIC[len(shape)]) == pytest.approx(np.mean(total), abs=1e-9)


def test_fmi_takes_rounding_for_no_feature(rng: np.random.Generator) -> None:
    a = np.full((12, 12), 200 / 3)
    a[6:] = rng.uniform(0, 255, (6, 12))
    rounded = a + rng.normal(0, 1e-14, a.shape)
    assert feature_information(rounded, [a], (1.0, 1.0)) == 1
    b = rng.uniform(0, 255, a.shape)
    assert feature_information(rounded, [b], (1.0, 1.0)) == pytest.approx(feature_information(a, [b], (1.0, 1.0)))


def test_fmi_of_gradients_is_fmi_of_the_gradient_picture(rng: np.random.Generator) -> None:
    a, b = textures(rng, (30, 31), 2)
    one, other = (np.hypot(*np.gradient(p)) for p in (a, b))
    assert feature_information(a, [b], (1.0, 1.0), "gradient") == feature_information(one, [other], (1.0, 1.0))


def test_q_ncie_of_unrelated_pictures_has_a_closed_form() -> None:
    """Rows, columns and a constant share nothing: K equal eigenvalues of 1/K. Equal ones share all of 8 bits."""
    rows, columns = np.meshgrid(np.arange(256.0), np.arange(256.0), indexing="ij")
    apart = evaluate(np.full((256, 256), 3.0), [rows, columns])["Q_NCIE"]
    assert apart == pytest.approx(1 - math.log(3, 256))
    assert evaluate(rows, [rows, rows, rows])["Q_NCIE"] == pytest.approx(1.0)
    mixed = evaluate(rows, [rows, columns])["Q_NCIE"]
    assert mixed == pytest.approx(1 + (2 / 3) * math.log(2 / 3, 256) + (1 / 3) * math.log(1 / 3, 256))


@pytest.mark.parametrize("weights", [box(7), gaussian(11, 1.5), gaussian(3, 0.6)])
@pytest.mark.parametrize("shape", [(20, 23), (13, 12, 14)])
def test_windows_are_convolutions_of_what_lies_inside(
    rng: np.random.Generator, weights: np.ndarray, shape: tuple[int, ...]
) -> None:
    values = rng.normal(size=shape)
    outer: Callable[[np.ndarray, np.ndarray], np.ndarray] = np.multiply.outer
    kernel = outer(weights, weights) if len(shape) == 2 else outer(outer(weights, weights), weights)
    got = windowed(values, weights, range(len(shape)))
    np.testing.assert_allclose(got, convolve(values, kernel, mode="valid", method="direct"), atol=1e-12)
    np.testing.assert_array_equal(windowed(values, weights, ()), values)
