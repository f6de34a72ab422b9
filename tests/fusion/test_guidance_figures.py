"""The figures of guidance and their gradients, against those in torch, which torch itself derives in 64 bits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from fusion.guidance.differences import Differences
from fusion.guidance.edge_transfer import EdgeTransfer
from fusion.guidance.similarity import Similarity
from fusion.guidance.strong_edges import STRONG, StrongEdges
from fusion.guidance.visual_fidelity import VisualFidelity
from fusion.guidance.windows import inner_means, spread
from fusion.losses import strong_edges as losses
from fusion.losses.differences import difference_correlation
from fusion.losses.edge_transfer import edge_transfer
from fusion.losses.ssim import ssim
from fusion.losses.strong_edges import strong_edge_hinge
from fusion.losses.visual_fidelity import visual_fidelity
from fusion.losses.windows import gaussian_window, inner_mean, uniform_window
from phantom.patchwork import pictures_of, random_structure

LEVELS = np.float32(255)
RANGE = 4.0


def scene(shape: tuple[int, int], number: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sources (number, y, x) and a picture near their maximum, float32 on 0 to 1."""
    rng = np.random.default_rng(seed)
    looks = ("contrast", "functional", "contrast")[:number]
    sources = pictures_of(random_structure((1, *shape), rng), looks, rng)[:, 0].astype(np.float32)
    noisy = 0.9 * sources.max(0) + 0.05 * sources.min(0) + 0.02 * rng.random(shape)
    return np.ascontiguousarray(sources), noisy.astype(np.float32)


def derived(
    figure: Callable[[Tensor, list[Tensor]], Tensor], fused: np.ndarray, sources: np.ndarray
) -> tuple[float, np.ndarray]:
    """Value and gradient by torch, in 64 bits."""
    own = [torch.from_numpy(source.astype(np.float64))[None, None, None] for source in sources]
    plane = torch.from_numpy(fused.astype(np.float64))[None, None, None].requires_grad_()
    value = figure(plane, own).sum()
    (gradient,) = torch.autograd.grad(value, plane)
    return value.item(), gradient[0, 0, 0].numpy()


def agrees(found: tuple[float, np.ndarray], expected: tuple[float, np.ndarray], share: float) -> None:
    """The value closely, the gradient up to a share of its own sum of magnitudes."""
    assert found[0] == pytest.approx(expected[0], rel=5e-4)
    assert np.abs(found[1] - expected[1]).sum() < share * np.abs(expected[1]).sum()


SCENES = [((48, 64), 2, 0), ((17, 30), 2, 1), ((41, 37), 3, 2)]


@pytest.mark.parametrize(("shape", "number", "seed"), SCENES)
def test_visual_fidelity(shape: tuple[int, int], number: int, seed: int) -> None:
    sources, fused = scene(shape, number, seed)
    weights = np.linspace(1, 2, number)
    seen = VisualFidelity(LEVELS * sources).seen(LEVELS * fused)

    def figure(plane: Tensor, own: list[Tensor]) -> Tensor:
        return sum(w * visual_fidelity(255 * s, 255 * plane) for w, s in zip(weights, own, strict=True))

    agrees((float(seen.told() @ weights), LEVELS * seen.gradient(weights)), derived(figure, fused, sources), 1e-3)


@pytest.mark.parametrize(("shape", "number", "seed"), SCENES)
def test_similarity(shape: tuple[int, int], number: int, seed: int) -> None:
    sources, fused = scene(shape, number, seed)
    value, gradient = Similarity(LEVELS * sources, RANGE).with_gradient(LEVELS * fused)

    def figure(plane: Tensor, own: list[Tensor]) -> Tensor:
        window = uniform_window()
        return sum(ssim(255 * s, 255 * plane, RANGE, window, sampled=True, inner=True).sum() for s in own)

    agrees((value, LEVELS * gradient), derived(figure, fused, sources), 1e-3)


@pytest.mark.parametrize(("shape", "number", "seed"), SCENES)
def test_edge_transfer(shape: tuple[int, int], number: int, seed: int) -> None:
    sources, fused = scene(shape, number, seed)
    expected = derived(lambda plane, own: edge_transfer(torch.cat(own, 1), plane), fused, sources)
    agrees(EdgeTransfer(sources).with_gradient(fused), expected, 2e-3)


@pytest.mark.parametrize(("shape", "number", "seed"), SCENES)
def test_differences(shape: tuple[int, int], number: int, seed: int) -> None:
    sources, fused = scene(shape, number, seed)
    expected = derived(lambda plane, own: difference_correlation(plane, torch.cat(own, 1)), fused, sources)
    agrees(Differences(sources).with_gradient(fused), expected, 1e-4)


@pytest.mark.parametrize(("shape", "number", "seed"), SCENES)
def test_strong_edges(shape: tuple[int, int], number: int, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the same share of strong ones."""
    monkeypatch.setattr(losses, "STRONG", STRONG)
    sources, fused = scene(shape, number, seed)
    expected = derived(lambda plane, own: sum(strong_edge_hinge(plane, s) for s in own), fused, sources)
    agrees(StrongEdges(sources).with_gradient(fused), expected, 1e-3)


def test_what_is_not_a_number_stays_none_and_breaks_nothing() -> None:
    sources, fused = scene((24, 24), 2, 4)
    fused[10, 10] = np.nan
    value, gradient = EdgeTransfer(sources).with_gradient(fused)
    assert np.isnan(value)
    assert np.isnan(gradient[10, 10])
    assert np.isfinite(gradient[:5]).all()


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("size", [3, 17])
def test_windowed_means_and_their_adjoint(every: int, size: int) -> None:
    rng = np.random.default_rng(size)
    window = np.array(gaussian_window(size / 5, size // 2))
    planes = rng.random((2, 23, 31))
    means = inner_means(planes, window, every)
    expected = inner_mean(torch.from_numpy(planes), tuple(window), every).numpy()
    np.testing.assert_allclose(means, expected, rtol=1e-12)
    other = rng.random(means.shape)
    back = spread(other, window, every, 23, 31)
    assert np.vdot(back, planes) == pytest.approx(np.vdot(other, means), rel=1e-12)


def test_a_picture_that_runs_against_its_source_tells_nothing_of_it() -> None:
    sources, _ = scene((32, 32), 2, 3)
    seen = VisualFidelity(LEVELS * sources[:1]).seen(LEVELS * (1 - sources[0]))
    assert seen.told()[0] < 0.02
