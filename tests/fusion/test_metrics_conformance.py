"""Every published figure that a library has, against that library."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.measure import shannon_entropy
from skimage.metrics import (
    mean_squared_error,
    normalized_mutual_information,
    peak_signal_noise_ratio,
    structural_similarity,
)

from fusion.metrics import evaluate
from fusion.metrics.structural_similarity import multiscale_similarity, structural_similarities

SHAPES = [(60, 53), (44, 47, 42)]
CUBIC = {2: (1.0, 1.0), 3: (1.0, 1.0, 1.0)}


def textures(rng: np.random.Generator, shape: tuple[int, ...], count: int) -> list[np.ndarray]:
    """Smooth and rough structure in different places, in whole grey levels from 0 to 255."""
    out = []
    for sigma in (1.0, 2.5, 0.7, 1.6)[:count]:
        values = gaussian_filter(rng.normal(size=shape), sigma) ** 3
        out.append(np.rint(255 * (values - values.min()) / np.ptp(values)))
    return out


@pytest.fixture(params=SHAPES, ids=["2-D", "3-D"])
def scene(request: pytest.FixtureRequest, rng: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray]]:
    """A fused picture that is neither source, nor between them everywhere."""
    a, b, c = textures(rng, request.param, 3)
    return np.clip(np.rint(0.6 * np.maximum(a, b) + 0.4 * c), 0, 255), [a, b]


def test_histogram_figures_agree_with_scikit_image(scene: tuple[np.ndarray, list[np.ndarray]]) -> None:
    fused, sources = scene
    got = evaluate(fused, sources)
    assert got["EN"] == pytest.approx(shannon_entropy(fused), rel=1e-12)
    h = [shannon_entropy(p) * math.log(2) for p in (fused, *sources)]
    # scikit-image's is (H(X) + H(Y)) / H(X, Y), of base e.
    joint = [
        (h[0] + own) / normalized_mutual_information(fused, source, bins=[np.arange(257) - 0.5] * 2)
        for own, source in zip(h[1:], sources, strict=True)
    ]
    shared = [h[0] + own - both for own, both in zip(h[1:], joint, strict=True)]
    assert got["MI"] == pytest.approx(sum(shared), rel=1e-9)
    want = sum(2 * i / (h[0] + own) for own, i in zip(h[1:], shared, strict=True))
    assert got["NMI"] == pytest.approx(want, rel=1e-9)


def test_contrast_is_what_its_words_say(scene: tuple[np.ndarray, list[np.ndarray]]) -> None:
    fused, sources = scene
    got = evaluate(fused, sources)
    squares, gradient = 0.0, np.zeros(fused.shape)
    for axis in range(fused.ndim):
        along = np.moveaxis(fused, axis, 0)
        squares += np.mean([(along[i + 1] - along[i]) ** 2 for i in range(len(along) - 1)])
        inner = [(along[i + 1] - along[i - 1]) / 2 for i in range(1, len(along) - 1)]
        central = np.stack([along[1] - along[0], *inner, along[-1] - along[-2]])
        gradient += np.moveaxis(central, 0, axis) ** 2
    assert got["SD"] == pytest.approx(math.sqrt(np.mean(fused**2) - np.mean(fused) ** 2))
    assert got["SF"] == pytest.approx(math.sqrt(squares))
    assert got["AG"] == pytest.approx(np.mean(np.sqrt(gradient / fused.ndim)))


def test_correlations_agree_with_numpy(scene: tuple[np.ndarray, list[np.ndarray]]) -> None:
    fused, (a, b) = scene
    got = evaluate(fused, [a, b])

    def r(x: np.ndarray, y: np.ndarray) -> float:
        return float(np.corrcoef(x.ravel(), y.ravel())[0, 1])

    assert got["CC"] == pytest.approx((r(fused, a) + r(fused, b)) / 2)
    assert got["SCD"] == pytest.approx(r(a, fused - b) + r(b, fused - a))


def test_psnr_is_of_the_mean_error_under_the_own_peak(scene: tuple[np.ndarray, list[np.ndarray]]) -> None:
    fused, sources = scene
    error = np.mean([mean_squared_error(fused, source) for source in sources])
    assert evaluate(fused, sources)["PSNR"] == pytest.approx(10 * math.log10(fused.max() ** 2 / error))
    one = peak_signal_noise_ratio(sources[0], fused, data_range=fused.max())
    assert evaluate(fused, [sources[0]] * 2)["PSNR"] == pytest.approx(one)


@pytest.mark.parametrize("top", [2.0, 255.0])
def test_ssim_is_that_of_scikit_image(scene: tuple[np.ndarray, list[np.ndarray]], top: float) -> None:
    fused, sources = scene
    want = sum(structural_similarity(fused, source, data_range=top) for source in sources)
    assert evaluate(fused, sources)[f"SSIM_range{top:.0f}"] == pytest.approx(want, rel=1e-9)


@pytest.mark.parametrize(
    ("shape", "scales"), [((176, 192), 5), ((100, 105), 4), ((24, 26, 22), 2)], ids=["2-D", "2-D small", "3-D"]
)
def test_ms_ssim_is_that_of_monai(rng: np.random.Generator, shape: tuple[int, ...], scales: int) -> None:
    torch = pytest.importorskip("torch")
    from monai.metrics.regression import KernelType, MultiScaleSSIMMetric

    a, b = textures(rng, shape, 2)
    fused = np.maximum(a, b)
    weights = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])[:scales]
    peer = MultiScaleSSIMMetric(
        len(shape), data_range=255.0, kernel_type=KernelType.GAUSSIAN, weights=tuple(weights / weights.sum())
    )
    want = peer(torch.tensor(fused)[None, None], torch.tensor(a)[None, None])
    # MONAI's variances are differences of large numbers in float32.
    assert multiscale_similarity(fused, a, CUBIC[len(shape)]) == pytest.approx(float(want.item()), rel=2e-4)


def test_ssim_leaves_out_a_short_or_coarse_axis(rng: np.random.Generator) -> None:
    a, b = textures(rng, (30, 31), 2)
    flat = structural_similarities(a, b, (1.0, 1.0))
    thin = structural_similarities(np.stack([a] * 4), np.stack([b] * 4), (1.0, 1.0, 1.0))
    assert thin == pytest.approx(flat)
    assert structural_similarities(np.stack([a] * 9), np.stack([b] * 9), (1.5, 1.0, 1.0)) == pytest.approx(flat)
    cubes = np.stack([a] * 9), np.stack([b] * 9)
    assert structural_similarities(*cubes, (1.0, 1.0, 1.0)) != pytest.approx(flat, abs=1e-9)
