"""Soft NMI against numpy's histogram, the linear registration's NMI, and differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.interpolate import BSpline

from registration.deformable import soft_information as module
from registration.deformable.soft_information import joint_histogram, scaled, soft_nmi
from registration.linear.histogram import accumulate, normalised_information
from volumes.errors import ContentError, GridError

SHAPE = (8, 9, 10)
BINS = 16


@pytest.fixture
def pair(rng) -> tuple[torch.Tensor, torch.Tensor]:
    """Alike, but for their tone and some noise; some intensities lie beyond 0–1."""
    fixed = rng.random((1, 1, *SHAPE))
    return torch.from_numpy(fixed), torch.from_numpy(1.1 - 1.2 * fixed**2 + 0.1 * rng.random((1, 1, *SHAPE)))


@pytest.fixture
def weights(rng) -> torch.Tensor:
    return torch.from_numpy((rng.random((1, 1, *SHAPE)) - 0.3).clip(0))


def by_numpy(fixed, warped, weights) -> np.ndarray:
    """numpy's histogram of each voxel's nearest bin, each column of it weighted by scipy's B-spline."""
    bins = 1 + np.clip([fixed.numpy().ravel(), warped.numpy().ravel()], 0, 1) * (BINS - 3)
    spline = BSpline.basis_element([-2, -1, 0, 1, 2], extrapolate=False)
    out = np.zeros((BINS, BINS))
    for column in range(BINS):
        share = weights.numpy().ravel() * np.nan_to_num(spline(column - bins[1]))
        out[:, column] = np.histogram(bins[0], bins=np.arange(BINS + 1) - 0.5, weights=share)[0]
    return out


def entropies(histogram: np.ndarray) -> float:
    p = histogram / histogram.sum()
    return (stats.entropy(p.sum(1)) + stats.entropy(p.sum(0))) / stats.entropy(p.ravel())


def test_histogram_is_numpys_smoothed_by_the_spline(pair, weights):
    found = joint_histogram(*(t[0, 0] for t in (*pair, weights)), BINS)
    np.testing.assert_allclose(found, by_numpy(*pair, weights), atol=1e-12)
    assert found.sum() == pytest.approx(float(weights.sum()))


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_value_is_the_entropies_of_that_histogram(pair, weights, kind):
    wanted = entropies(by_numpy(*pair, weights))
    found = soft_nmi(*(t.to(kind) for t in pair), BINS, weights)
    assert found.dtype == kind
    assert float(found) == pytest.approx(wanted, rel=2e-6 if kind == torch.float32 else 1e-10)


def test_value_is_that_of_the_linear_registration(pair):
    fixed, warped = (1 + t[0, 0].clamp(0, 1).numpy() * (BINS - 3) for t in pair)
    points = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1).reshape(-1, 3).astype(float)
    histogram, table = np.zeros((BINS, BINS)), np.empty((BINS, BINS))
    nearest = np.floor(fixed.ravel() + 0.5).astype(np.uint8)
    kept, none = np.empty((len(points), 8), np.float32), np.zeros((1, 1, 1), np.float32)
    matrix = np.eye(4)[:3].copy()
    total = accumulate(warped.astype(np.float32), none, False, points, nearest, matrix, histogram, kept)
    assert float(soft_nmi(*pair, BINS)) == pytest.approx(normalised_information(histogram, total, table), rel=1e-5)


def test_gradient_by_differences(pair, weights):
    fixed, warped = (t[..., :4, :4, :4] for t in pair)
    inside = weights[..., :4, :4, :4]
    warped = warped.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda w: soft_nmi(fixed, w, BINS, inside), warped)
    assert torch.autograd.gradcheck(lambda w: 3 * soft_nmi(fixed, w, BINS), warped)


def test_what_is_cut_off_or_has_no_weight_pulls_at_nothing(pair, weights):
    fixed, warped = pair
    soft_nmi(fixed, warped.requires_grad_(), BINS, weights).backward()
    out = (weights == 0) | (warped <= 0) | (warped >= 1)
    assert 0 < int(out.sum()) < out.numel()
    assert not warped.grad[out].any()
    assert warped.grad[~out].all()


def test_loops_and_torch_alone_agree(pair, weights, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", 100)
    f, g, w = (t[0, 0] for t in (*pair, weights))
    table = np.random.default_rng(1).random((BINS, BINS))
    np.testing.assert_allclose(module.counted_anywhere(f, g, w, BINS), joint_histogram(f, g, w, BINS), atol=1e-12)
    torch.testing.assert_close(module.pushed_anywhere(f, g, w, table), module._pushed(f, g, w, table))


def test_likeness_of_any_tone_beats_chance(pair, rng):
    fixed, warped = pair
    shuffled = warped.flatten()[torch.from_numpy(rng.permutation(warped.numel()))].view_as(warped)
    assert float(soft_nmi(fixed, warped, BINS)) > float(soft_nmi(fixed, shuffled, BINS)) + 0.1
    assert 1 <= float(soft_nmi(fixed, shuffled, BINS)) < 1.1


def test_no_weight_at_all_is_no_information(pair):
    fixed, warped = pair
    value = soft_nmi(fixed, warped.requires_grad_(), BINS, torch.zeros(1, 1, *SHAPE))
    value.backward()
    assert float(value.detach()) == 1
    assert not warped.grad.any()


def test_scaled_brings_the_robust_range_of_what_has_weight_to_0_and_1(rng):
    volume = torch.from_numpy(rng.normal(300, 20, (1, 2, *SHAPE)))
    inside = torch.zeros(1, 1, *SHAPE)
    inside[..., 2:] = 1
    volume[..., :2] = 1e6
    low, high = np.percentile(volume[0, 1, ..., 2:], [0.5, 99.5])
    found = scaled(volume, inside)[0, 1].numpy()
    np.testing.assert_allclose(found, np.clip((volume[0, 1].numpy() - low) / (high - low), 0, 1))


def test_scaled_takes_the_whole_range_where_almost_all_is_alike():
    volume = torch.zeros(1, 1, *SHAPE)
    volume[0, 0, 3, 3, 3] = 8
    assert float(scaled(volume)[0, 0, 3, 3, 3]) == 1


@pytest.mark.parametrize("value", [3.0, float("nan"), float("inf")])
def test_scaled_refuses_what_has_no_range(value):
    with pytest.raises(ContentError):
        scaled(torch.full((1, 1, *SHAPE), value))


def test_same_bytes_whatever_the_number_of_threads(rng):
    fixed, warped, weights = (torch.from_numpy(rng.random((1, 1, 40, 40, 40), np.float32)) for _ in range(3))
    warped.requires_grad_()

    def found(threads):
        torch.set_num_threads(threads)
        value = soft_nmi(fixed, warped, BINS, weights)
        (slope,) = torch.autograd.grad(value, warped)
        return value.detach().numpy().tobytes(), slope.numpy().tobytes()

    before = torch.get_num_threads()
    try:
        assert found(1) == found(2) == found(1)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    "call",
    [
        lambda f, g: soft_nmi(f, g[..., 1:], BINS),
        lambda f, g: soft_nmi(f, g, 5),
        lambda f, g: soft_nmi(torch.cat([f, f], 1), torch.cat([g, g], 1), BINS),
        lambda f, g: soft_nmi(f.requires_grad_(), g, BINS),
    ],
)
def test_what_does_not_fit_is_refused(pair, call):
    with pytest.raises(GridError):
        call(*pair)
