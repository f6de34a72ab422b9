"""Entropy that can be trained: soft histograms, local maps, and hinges that ask for no more than the sources hold.

With B bins and x in [0, 1], p_k = mean max(0, 1 − |x (B − 1) − k|): bin centres at k/(B − 1), so that values quantised
to B levels have the plain histogram's entropy exactly. Centres at (k + ½)/B would split every such value between two
bins and bias a dark background by half a bit.

Entropy is a floor here, never a goal: noise has the most of it, so what is trained is a hinge below the sources'.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from fusion.losses.gradient import gradient_magnitude
from fusion.losses.windows import uniform_window, windowed_mean

BINS = 64
LOCAL_BINS = 16
"""Bins of the local maps: a window of 5³ voxels fills no more."""
TINY = 1e-8
"""Added inside the logarithm: an empty bin then has a finite gradient, and H is changed by less than 4e-6 bit."""
CHUNK = 1 << 14
"""Voxels that are summed into one partial histogram: in float32 a longer sum would lose its last addends."""


def soft_histogram(x: Tensor, bins: int = BINS, mask: Tensor | None = None) -> Tensor:
    """p_k = Σ m max(0, 1 − |x (B − 1) − k|) / Σ m, (batch, channels, bins); they sum to 1, or to 0 where all m are 0.

    A value touches two bins, so that its weights are scattered there: no copy of the volume for each bin.

    Parameters
    ----------
    x : (batch, channels, z, y, x) in [0, 1]; what lies outside counts as the nearer end and gets no gradient.
    bins : B, at least 2.
    mask : m ≥ 0 or bool, of a shape that spreads to that of ``x``; None for everywhere. A constant.
    """
    position = (x.clamp(0, 1) * (bins - 1)).flatten(2)
    weight = torch.ones_like(x) if mask is None else mask.detach().to(x.dtype).expand_as(x)
    position, weight = _in_chunks(position), _in_chunks(weight.flatten(2))
    lower = position.detach().floor().clamp(max=bins - 2)
    above = position - lower
    below, index = weight * (1 - above), lower.long()
    partial = position.new_zeros(*position.shape[:3], bins)
    counts = partial.scatter_add(3, index, below).scatter_add(3, index + 1, weight * above).sum(2)
    total = weight.sum((2, 3)).clamp(min=torch.finfo(x.dtype).tiny)
    histogram: Tensor = counts / total[..., None]
    return histogram


def entropy_bits(x: Tensor, bins: int = BINS, mask: Tensor | None = None) -> Tensor:
    """H = −Σ p_k log₂ p_k of the soft histogram, in bits, (batch, channels); 0 where the mask is empty.

    Parameters
    ----------
    x, bins, mask : as for :func:`soft_histogram`.
    """
    return _plogp(soft_histogram(x, bins, mask)).sum(-1)


def local_entropy(x: Tensor, window: int = 5, bins: int = LOCAL_BINS) -> Tensor:
    """H in bits of the window around each voxel, of the shape of ``x``; the window ends at the border.

    One bin at a time; with a gradient asked for, each bin's maps are made again on the way back.

    Parameters
    ----------
    x : (batch, channels, z, y, x) in [0, 1]; what lies outside counts as the nearer end.
    window : voxels along each axis, odd.
    bins : B, at least 2.
    """
    position = x.clamp(0, 1) * (bins - 1)
    total = torch.zeros_like(x)
    for k in range(bins):
        if position.requires_grad:
            term: Tensor = checkpoint(_local_term, position, k, window, use_reentrant=False)
            total = total + term
        else:
            total += _local_term(position, k, window)
    return total


def entropy_weights(sources: Tensor, temperature: float = 1.0, window: int = 5, bins: int = LOCAL_BINS) -> Tensor:
    """w_m = softmax_m(H_loc(S_m) / τ): how much each source counts at each voxel; they sum to 1.

    Parameters
    ----------
    sources : (batch, sources, z, y, x) in [0, 1].
    temperature : τ, bits; towards 0 the richest source takes all, towards ∞ all count alike.
    window, bins : as for :func:`local_entropy`.
    """
    return torch.softmax(local_entropy(sources, window, bins) / temperature, dim=1)


def entropy_hinge(x: Tensor, sources: Tensor, bins: int = BINS, mask: Tensor | None = None) -> Tensor:
    """relu(max_m H(S_m) − H(x)) / log₂ B of each sample, (batch,), in [0, 1]; 0 where nothing is lost.

    Parameters
    ----------
    x : (batch, 1, z, y, x) in [0, 1].
    sources : (batch, sources, z, y, x), constants.
    bins : B.
    mask : (batch, 1, z, y, x): where to look; None for everywhere.
    """
    wanted = entropy_bits(sources.detach(), bins, mask).amax(1)
    return torch.relu(wanted - entropy_bits(x, bins, mask)[:, 0]) / math.log2(bins)


def boundary_entropy_hinge(
    x: Tensor, sources: Tensor, bins: int = BINS, quantile: float = 0.9, radius: int = 2
) -> Tensor:
    """The hinge of each sample, (batch,), inside the ring around the sources' boundaries.

    Over the whole volume, entropy is blind to place.

    Parameters
    ----------
    x, sources, bins : as for :func:`entropy_hinge`.
    quantile, radius : as for :func:`boundary_ring`.
    """
    return entropy_hinge(x, sources, bins, boundary_ring(sources, quantile, radius))


@torch.no_grad()
def boundary_ring(sources: Tensor, quantile: float = 0.9, radius: int = 2) -> Tensor:
    """Voxels within ``radius`` (a cube) of a strong gradient of any source, bool (batch, 1, z, y, x).

    Strong: above 0 and at least the given quantile of that source's gradient magnitudes.

    Parameters
    ----------
    sources : (batch, sources, z, y, x).
    quantile : 0 to 1.
    radius : voxels.
    """
    steep = gradient_magnitude(sources)
    rank = max(1, math.ceil(quantile * steep[0, 0].numel()))
    threshold = steep.flatten(2).kthvalue(rank, dim=2).values[..., None, None, None]
    strong = ((steep >= threshold) & (steep > 0)).any(1, keepdim=True)
    return windowed_mean(strong.to(sources.dtype), uniform_window(2 * radius + 1)) > 0


def _in_chunks(flat: Tensor) -> Tensor:
    """(batch, channels, n) → (batch, channels, chunks, CHUNK), with zeros at the end."""
    padded = functional.pad(flat, (0, -flat.shape[2] % CHUNK))
    return padded.reshape(*flat.shape[:2], -1, CHUNK)


def _local_term(position: Tensor, k: int, window: int) -> Tensor:
    return _plogp(windowed_mean(torch.relu(1 - (position - k).abs()), uniform_window(window)))


def _plogp(p: Tensor) -> Tensor:
    return -p * torch.log2(p + TINY)
