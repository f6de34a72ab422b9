"""Entropy of the fused picture and what it shares with its sources, from histograms of the 256 grey levels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fusion.metrics.levels import Byte, Grey, rounded
from volumes.shapes import AnyArray

LEVELS = 256
"""Grey levels, and so bins."""


def entropy(fused: Grey) -> float:
    """EN = −Σ p log₂ p, in bits. Trap: noise and ringing raise it."""
    return _entropy(np.bincount(rounded(fused).ravel(), minlength=LEVELS)) / math.log(2)


def mutual_information(fused: Grey, sources: Sequence[Grey]) -> float:
    """MI = Σₘ H(F) + H(Sₘ) − H(F, Sₘ), in nats, summed over the sources.

    Qu, Zhang & Yan 2002, "Information measure for performance of image fusion". Trap: copying one source maximises it.
    """
    own = rounded(fused)
    return sum(_shared(own, rounded(source))[0] for source in sources)


def normalised_mutual_information(fused: Grey, sources: Sequence[Grey]) -> float:
    """NMI = Σₘ 2 I(F, Sₘ) / (H(F) + H(Sₘ)), 0 to the number of sources.

    Hossny, Nahavandi & Creighton 2008, "Comments on 'Information measure for performance of image fusion'".
    """
    own, total = rounded(fused), 0.0
    for source in sources:
        shared, h_fused, h_source = _shared(own, rounded(source))
        total += 2 * shared / (h_fused + h_source)
    return total


def correlation_entropy(fused: Grey, sources: Sequence[Grey]) -> float:
    """Q_NCIE = 1 + Σₖ (λₖ/K) log₂₅₆ (λₖ/K), 1 − log₂₅₆ K for K unrelated pictures to 1 for equal ones.

    λ are the eigenvalues of the K × K matrix of nonlinear correlations, I(X, Y) / log 256 beside a diagonal of 1, of
    all sources and the fused picture. Wang, Shen & Jin 2008, "Performance evaluation of image fusion techniques".
    Trap: the differences between methods are in the third decimal.
    """
    all_ = [rounded(picture) for picture in (*sources, fused)]
    count = len(all_)
    matrix = np.eye(count)
    for i in range(count):
        for j in range(i):
            matrix[i, j] = matrix[j, i] = _shared(all_[i], all_[j])[0] / np.log(LEVELS)
    shares = np.linalg.eigvalsh(matrix) / count
    shares = shares[shares > 0]
    return float(1 + (shares * np.log(shares)).sum() / np.log(LEVELS))


def _shared(a: Byte, b: Byte) -> tuple[float, float, float]:
    """I(A, B), H(A), H(B) in nats."""
    pairs = np.bincount(a.ravel().astype(np.intp) * LEVELS + b.ravel(), minlength=LEVELS**2)
    joint = pairs.reshape(LEVELS, LEVELS)
    h_a, h_b = _entropy(joint.sum(axis=1)), _entropy(joint.sum(axis=0))
    return max(h_a + h_b - _entropy(pairs), 0.0), h_a, h_b


def _entropy(counts: AnyArray) -> float:
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum())
