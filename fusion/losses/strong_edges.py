"""A hinge that keeps the strong edges of every source.

mean over strong voxels of relu(1 − |∇F| / (a |∇S|)): nothing is asked of an edge that has the share a of its own
gradient. Strong are the voxels with the largest tenth of |∇S|, as :func:`fusion.metrics.edges_kept` counts them.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from fusion.losses.gradient import gradient_magnitude

STRONG = 0.9
"""Quantile of a source's gradients from which on they count."""
ASKED = 0.4
"""a, a little more than the 0.3 by which an edge is counted as kept."""
FAINT = 1e-6


def strong_edge_hinge(fused: Tensor, source: Tensor) -> Tensor:
    """What is missing at the strong edges of one source (batch,), 0 to 1.

    Parameters
    ----------
    fused, source : (batch, 1, z, y, x), on one scale of about 1.
    """
    before, after = gradient_magnitude(source), gradient_magnitude(fused)
    flat = before.flatten(1)
    rank = max(1, round((1 - STRONG) * flat.shape[1]))
    least = flat.topk(rank, dim=1).values[:, -1].clamp_min(FAINT).view(-1, 1, 1, 1, 1)
    strong = (before >= least).to(before.dtype)
    missing = functional.relu(1 - after / (ASKED * before.clamp_min(FAINT)))
    return (missing * strong).flatten(1).sum(1) / strong.flatten(1).sum(1).clamp_min(1)
