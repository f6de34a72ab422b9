"""Trainable entropy equals the plain one on quantised data; its hinges ask for no more than the sources hold."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.stats import entropy as plain_entropy
from torch import Tensor

from fusion.losses import entropy as module
from fusion.losses.entropy import (
    boundary_entropy_hinge,
    boundary_ring,
    entropy_bits,
    entropy_hinge,
    entropy_weights,
    local_entropy,
    soft_histogram,
)


def dark_picture(rng: np.random.Generator, shape: tuple[int, ...] = (1, 96, 96)) -> np.ndarray:
    """Most voxels 0, the rest a smooth bright blob, as medical pictures are."""
    noise = ndimage.gaussian_filter(rng.normal(size=shape), 3)
    return np.clip(noise / noise.max() - 0.2, 0, 1)


def as_tensor(array: np.ndarray, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.as_tensor(array, dtype=dtype)[None, None]


def counted_entropy(levels: np.ndarray, bins: int) -> float:
    return float(plain_entropy(np.bincount(levels.ravel(), minlength=bins), base=2))


@pytest.mark.parametrize("shape", [(1, 96, 96), (17, 23, 31)])
@pytest.mark.parametrize("bins", [32, 64, 256])
def test_quantised_data_have_the_plain_entropy_to_four_decimals(rng: np.random.Generator, bins: int, shape) -> None:
    levels = np.rint(dark_picture(rng, shape) * (bins - 1)).astype(int)
    got = entropy_bits(as_tensor(levels / (bins - 1)), bins)
    assert got.shape == (1, 1)
    assert abs(got.item() - counted_entropy(levels, bins)) < 5e-5


@pytest.mark.parametrize("bins", [32, 64, 256])
def test_centres_in_the_middle_of_bins_would_be_biased_and_these_are_not(rng: np.random.Generator, bins: int) -> None:
    """The same data, with centres at (k + ½)/B: the bias that the choice of centres avoids is there to be seen."""
    levels = np.rint(dark_picture(rng) * (bins - 1)).astype(int)
    x = (levels / (bins - 1)).ravel()
    true = counted_entropy(levels, bins)
    halves = np.maximum(0, 1 - np.abs(x[:, None] * bins - 0.5 - np.arange(bins))).mean(0)
    assert plain_entropy(halves, base=2) - true > 0.2
    assert abs(entropy_bits(as_tensor(x.reshape(1, 1, -1)), bins).item() - true) < 5e-5


def test_continuous_data_come_out_a_little_high_only(rng: np.random.Generator) -> None:
    x = rng.beta(2, 5, size=(1, 256, 256))
    bins = 64
    near = counted_entropy(np.rint(x * (bins - 1)).astype(int), bins)
    assert 0 < entropy_bits(as_tensor(x), bins).item() - near < 0.1


def test_the_histogram_is_the_one_that_the_equation_says(rng: np.random.Generator) -> None:
    x = torch.as_tensor(rng.uniform(-0.2, 1.2, (2, 3, 4, 5, 6)))
    mask = torch.as_tensor(rng.uniform(size=(2, 1, 4, 5, 6)))
    at = x.clamp(0, 1)[..., None] * 8 - torch.arange(9)
    share = torch.relu(1 - at.abs())
    torch.testing.assert_close(soft_histogram(x, 9), share.mean((2, 3, 4)))
    expected = (share * mask[..., None]).sum((2, 3, 4)) / mask.sum((2, 3, 4))[..., None]
    torch.testing.assert_close(soft_histogram(x, 9, mask), expected)


def test_a_mask_is_the_same_as_leaving_the_rest_out(rng: np.random.Generator) -> None:
    x = as_tensor(rng.uniform(size=(3, 20, 20)))
    mask = as_tensor(rng.uniform(size=(3, 20, 20))) > 0.7
    cut = x[mask].reshape(1, 1, 1, 1, -1)
    torch.testing.assert_close(entropy_bits(x, 32, mask), entropy_bits(cut, 32))
    assert entropy_bits(x, 32, torch.zeros_like(mask)).item() == 0


def test_many_voxels_lose_nothing_in_float32() -> None:
    """2²⁵ voxels in one bin: a float32 counter would stop at 2²⁴, and the other bin's share come out wrong."""
    x = torch.zeros(1, 1, 1, 4096, 8192)
    x[..., 1024:2048, :] = 1
    torch.testing.assert_close(soft_histogram(x, 2), torch.tensor([[[0.75, 0.25]]]))


def test_the_gradient_stays_finite_where_bins_are_empty() -> None:
    x = torch.zeros(1, 1, 1, 8, 8, requires_grad=True)
    entropy_bits(x + 0.0, 16).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("shape", [(1, 9, 11), (5, 7, 6)])
def test_a_local_map_is_the_entropy_of_each_window(rng: np.random.Generator, shape) -> None:
    x = rng.uniform(size=shape)
    got = local_entropy(as_tensor(x, torch.float64), window=3, bins=8)[0, 0].numpy()
    for at in np.ndindex(shape):
        window = x[tuple(slice(max(i - 1, 0), i + 2) for i in at)]
        share = np.maximum(0, 1 - np.abs(window.ravel()[:, None] * 7 - np.arange(8))).mean(0)
        assert got[at] == pytest.approx(plain_entropy(share, base=2), abs=1e-6)


def test_one_plane_has_the_map_of_a_volume_that_repeats_it(rng: np.random.Generator) -> None:
    plane = as_tensor(rng.uniform(size=(1, 12, 12)))
    torch.testing.assert_close(local_entropy(plane.expand(-1, -1, 7, -1, -1))[:, :, 3:4], local_entropy(plane))


def test_weights_sum_to_one_and_favour_the_richer_source(rng: np.random.Generator) -> None:
    rich, flat = rng.uniform(size=(4, 16, 16)), np.full((4, 16, 16), 0.3)
    sources = torch.cat([as_tensor(rich), as_tensor(flat)], 1)
    weights = entropy_weights(sources, temperature=0.5)
    torch.testing.assert_close(weights.sum(1), torch.ones(1, 4, 16, 16))
    assert (weights[:, 0] > 0.9).all()
    warm = entropy_weights(sources, temperature=1e4)
    torch.testing.assert_close(warm, torch.full_like(warm, 0.5), atol=1e-3, rtol=0)
    swapped = entropy_weights(sources.flip(1), temperature=0.5)
    torch.testing.assert_close(swapped.flip(1), weights)


def test_the_hinge_is_zero_where_no_entropy_is_lost_and_noise_earns_nothing(rng: np.random.Generator) -> None:
    sources = torch.cat([as_tensor(dark_picture(rng)) for _ in range(2)], 1)
    poorest = entropy_bits(sources, 64).argmin(1).item()
    richest = sources[:, [1 - poorest]]
    assert entropy_hinge(richest, sources, 64).item() == 0
    noisy = (richest + 0.1 * torch.as_tensor(rng.normal(size=richest.shape), dtype=torch.float32)).requires_grad_()
    hinge = entropy_hinge(noisy, sources, 64)
    hinge.backward()
    assert hinge.item() == 0
    assert noisy.grad is not None
    assert (noisy.grad == 0).all()


def test_the_hinge_is_the_lost_share_of_the_bits(rng: np.random.Generator) -> None:
    levels = rng.integers(0, 32, (1, 32, 32))
    source, grey = as_tensor(levels / 31), torch.full((1, 1, 1, 32, 32), 0.5)
    expected = (counted_entropy(levels, 32) - 1) / 5  # 0.5 lies between two bins: one bit
    assert entropy_hinge(grey, source, 32).item() == pytest.approx(expected, abs=1e-5)


def test_each_sample_of_a_batch_has_its_own_hinge(rng: np.random.Generator) -> None:
    sources = torch.as_tensor(rng.uniform(size=(3, 2, 2, 9, 9)))
    x = torch.as_tensor(rng.uniform(0.3, 0.6, size=(3, 1, 2, 9, 9)))
    for hinge in (entropy_hinge, boundary_entropy_hinge):
        each = torch.cat([hinge(x[[i]], sources[[i]]) for i in range(3)])
        assert (each > 0).all()
        torch.testing.assert_close(hinge(x, sources), each)


def test_the_ring_lies_around_the_edge_and_its_hinge_sees_that_the_edge_is_gone(rng: np.random.Generator) -> None:
    """The edge moved elsewhere keeps the volume's entropy, so the global hinge is blind to it; the ring's is not."""
    half = rng.uniform(0, 0.1, size=(1, 64, 64)) + 0.7 * (np.arange(64) >= 32)
    source, moved = as_tensor(half), as_tensor(np.roll(half, 20, axis=2))
    columns = boundary_ring(source, quantile=0.97, radius=2)[0, 0, 0].float().mean(0)
    assert (columns[30:34] == 1).all()
    assert columns[:28].sum() == columns[36:].sum() == 0
    assert entropy_hinge(moved, source, 256).item() == pytest.approx(0, abs=1e-6)
    assert boundary_entropy_hinge(moved, source, 256, quantile=0.97).item() > 0.1
    assert boundary_entropy_hinge(source, source, 256, quantile=0.97).item() == 0


def test_without_any_edge_there_is_no_ring_and_no_hinge() -> None:
    flat = torch.full((1, 2, 3, 8, 8), 0.5)
    assert not boundary_ring(flat).any()
    assert boundary_entropy_hinge(flat[:, :1], flat).item() == 0


TERMS = {
    "histogram": lambda x, _: soft_histogram(x, 5),
    "bits": lambda x, _: entropy_bits(x, 5),
    "local": lambda x, _: local_entropy(x, 3, 5),
    "weights": lambda x, _: entropy_weights(torch.cat([x, 0.5 * x + 0.2], 1), 1.0, 3, 5),
    "hinge": lambda x, sources: entropy_hinge(0.3 * x + 0.2, sources, 5),
    "ring": lambda x, sources: boundary_entropy_hinge(0.3 * x + 0.2, sources, 5, radius=1),
}


@pytest.mark.parametrize("term", TERMS.values(), ids=TERMS)
@pytest.mark.parametrize("shape", [(1, 6, 5), (3, 4, 5)])
def test_gradients_are_those_of_finite_differences(rng: np.random.Generator, term, shape) -> None:
    # Values keep 1e-3 off the bins' centres, where the triangles have a kink.
    cells = rng.integers(0, 4, shape) + rng.uniform(0.1, 0.9, shape)
    x = as_tensor(cells / 4, torch.float64).requires_grad_()
    sources = torch.as_tensor(rng.uniform(size=(1, 2, *shape)))
    assert term(x, sources).abs().sum() > 0
    assert torch.autograd.gradcheck(lambda v: term(v, sources), (x,), eps=1e-7, atol=1e-5)


def test_local_maps_hold_no_copy_for_each_bin(rng: np.random.Generator) -> None:
    """What autograd keeps does not grow with the number of bins."""
    kept: list[int] = []

    def pack(tensor: Tensor) -> Tensor:
        kept.append(tensor.untyped_storage().data_ptr())
        return tensor

    x = as_tensor(rng.uniform(size=(3, 8, 8))).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        for bins in (4, 16):
            kept.clear()
            local_entropy(x, 3, bins)
            assert len(set(kept)) <= 3


def test_bins_of_the_hinges_are_powers_of_two_by_default() -> None:
    assert math.log2(module.BINS).is_integer()
