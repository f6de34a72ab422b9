"""A hinge that keeps the strong edges of every source.

mean over strong voxels of m⁺ d⁺ with m = 1 − |∇F| / (a |∇S|) and d = 1 − ∇F·∇S / (a |∇S|²): nothing is asked of an edge
that has the share a of its own gradient, in whatever direction. Where |∇F| falls short, d says which way to go: |∇F|
alone has no gradient where F is flat, as it is where another source is saturated. Strong are the voxels with the
largest quarter of |∇S|. :func:`fusion.metrics.edges_kept` counts a tenth of a whole picture, which is about that share
of the body in it where most is black, as it is around a head.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from fusion.losses.gradient import gradient, gradient_magnitude

STRONG = 0.75
"""Quantile of a source's gradients from which on they count."""
ASKED = 0.5
"""a, more than the 0.3 by which an edge is counted as kept."""
FAINT = 1e-6


def strong_edge_hinge(fused: Tensor, source: Tensor) -> Tensor:
    """What is missing at the strong edges of one source (batch,): 0 for none, 1 where F is flat, more against them.

    Parameters
    ----------
    fused, source : (batch, 1, z, y, x), on one scale of about 1.
    """
    before = gradient_magnitude(source)
    flat = before.flatten(1)
    rank = max(1, round((1 - STRONG) * flat.shape[1]))
    least = flat.topk(rank, dim=1).values[:, -1].clamp_min(FAINT).view(-1, 1, 1, 1, 1)
    strong = (before >= least).to(before.dtype)
    missing = _missing(fused, source, ASKED * before.clamp_min(FAINT))
    return (missing * strong).flatten(1).sum(1) / strong.flatten(1).sum(1).clamp_min(1)


def _missing(fused: Tensor, source: Tensor, asked: Tensor) -> Tensor:
    along = sum(f * s for f, s in zip(gradient(fused), gradient(source), strict=True)) * ASKED
    return functional.relu(1 - gradient_magnitude(fused) / asked) * functional.relu(1 - along / asked.square())
