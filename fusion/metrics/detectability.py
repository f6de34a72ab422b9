"""d′: how well a lesion or a nucleus can be told from background, by an observer who sees through a few channels.

Each of n patches g around a place is seen through C channels, v = Uᵀg. With v̄ the means with and without the object and
K the mean of the two covariances of v, d′² = (v̄₁ − v̄₀)ᵀ K⁻¹ (v̄₁ − v̄₀): the channelised Hotelling observer (Myers &
Barrett 1987; Gallas & Barrett 2003, "Validating the use of channels to estimate the ideal linear observer"). Channels
are Laguerre–Gauss, u_p(r) ∝ exp(−π r²/a²) L_p(2π r²/a²), round, centred on the place. A denoiser may raise SSIM and
lose d′.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from volumes.errors import ConfigError, ContentError, GridError
from volumes.shapes import AnyArray

Patches = Float64[np.ndarray, "n ..."]
Channels = Float64[np.ndarray, "c voxels"]
Seen = Float64[np.ndarray, "n c"]


def detectability(
    present: AnyArray, absent: AnyArray, width: float, channels: int = 5, spacing: Sequence[float] | None = None
) -> float:
    """d′ of an object that is in the middle of the patches of one set and in none of the other's; 0 for none.

    With few patches d′² comes out too large, since the observer fits their noise: the expected excess is taken away
    (unbiased estimate of Mahalanobis' distance for normal v), and what falls below 0 is 0.

    Parameters
    ----------
    present, absent : (n, y, x) or (n, z, y, x), more patches in all than ``channels`` + 3, at least 2 in each.
    width : a of the channels, in the unit of ``spacing``; about 2.5 times the object's full width at half maximum.
    channels : how many, from the roundest on.
    spacing : of the voxels along each axis; left out: 1.

    Raises
    ------
    GridError : patches of two shapes.
    ContentError : too few patches, NaN, or patches whose channels do not vary, or only together.
    ConfigError : a width or a number of channels not above zero, or a spacing of another number of axes.
    """
    one, other = (np.asarray(p, np.float64) for p in (present, absent))
    if one.shape[1:] != other.shape[1:] or one.ndim < 2:
        raise GridError(f"has patches of {one.shape[1:]}, absent {other.shape[1:]}", field="present")
    if min(len(one), len(other)) < 2 or len(one) + len(other) <= channels + 3:
        remedy = "Give more patches, or take fewer channels"
        raise ContentError("are too few patches", field="present, absent", value=(len(one), len(other)), remedy=remedy)
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        raise ContentError("hold NaN or infinite values", field="present, absent")
    seen = laguerre_gauss(one.shape[1:], width, channels, spacing)
    return math.sqrt(max(_distance2(_through(one, seen), _through(other, seen)), 0.0))


def laguerre_gauss(
    shape: Sequence[int], width: float, channels: int, spacing: Sequence[float] | None = None
) -> Channels:
    """The channels, of length 1 each, around the middle of a patch of this shape.

    Raises
    ------
    ConfigError : as for :func:`detectability`.
    """
    from scipy.special import eval_laguerre

    steps = (1.0,) * len(shape) if spacing is None else tuple(spacing)
    if width <= 0 or channels < 1 or len(steps) != len(shape):
        value = {"width": width, "channels": channels, "spacing": steps}
        raise ConfigError(
            "need a width and a number above zero, and a spacing for each axis", field="channels", value=value
        )
    axes = [(np.arange(n) - (n - 1) / 2) * step for n, step in zip(shape, steps, strict=True)]
    x = 2 * math.pi * sum(a**2 for a in np.meshgrid(*axes, indexing="ij")) / width**2
    out = np.stack([np.ravel(np.exp(-x / 2) * eval_laguerre(p, x)) for p in range(channels)])
    return np.asarray(out / np.linalg.norm(out, axis=1, keepdims=True))


def patches_around(image: AnyArray, centres: AnyArray, radius: Sequence[int]) -> Patches:
    """Patches of 2 · radius + 1 voxels along each axis around each centre.

    Parameters
    ----------
    image : (y, x) or (z, y, x).
    centres : (n, axes), indices; rounded to whole voxels.
    radius : in voxels, for each axis; 0 for a slice alone.

    Raises
    ------
    ContentError : a patch that leaves the image.
    """
    whole, out = np.rint(np.asarray(centres, np.float64)).astype(int), []
    for centre in whole:
        if any(c - r < 0 or c + r >= n for c, r, n in zip(centre, radius, image.shape, strict=True)):
            remedy = "Leave this place out, or take a smaller radius"
            raise ContentError(
                "lies too near the border for its patch", field="centres", value=tuple(centre), remedy=remedy
            )
        out.append(image[tuple(slice(c - r, c + r + 1) for c, r in zip(centre, radius, strict=True))])
    return np.asarray(out, np.float64)


def _through(patches: Patches, channels: Channels) -> Seen:
    return np.asarray(patches.reshape(len(patches), -1) @ channels.T)


def _distance2(one: Seen, other: Seen) -> float:
    n1, n0, c = len(one), len(other), one.shape[1]
    scatter = sum((v - v.mean(axis=0)).T @ (v - v.mean(axis=0)) for v in (one, other))
    pooled = np.asarray(scatter) / (n1 + n0 - 2)
    spread = np.sqrt(np.diag(pooled))
    if not (spread > 0).all() or np.linalg.matrix_rank(pooled / np.outer(spread, spread)) < c:
        raise ContentError(
            "do not vary, or only together", field="channels", remedy="Take fewer channels, or more patches"
        )
    apart = one.mean(axis=0) - other.mean(axis=0)
    naive = float(apart @ np.linalg.solve(pooled, apart))
    return float(naive * (n1 + n0 - c - 3) / (n1 + n0 - 2) - c * (n1 + n0) / (n1 * n0))
