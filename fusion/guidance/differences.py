"""The sum of the correlations of differences, and its gradient: :mod:`fusion.losses.differences` in closed form."""

from __future__ import annotations

import numpy as np

from fusion.losses.differences import FAINT
from volumes.shapes import AnyArray


class Differences:
    """What all sources but one show (sources, y, x), float32 on a scale of about 1."""

    def __init__(self, sources: AnyArray) -> None:
        self.own = [source - source.mean(dtype=np.float64) for source in sources]
        self.others = (sources.sum(0) - sources) / np.float32(len(sources) - 1)

    def with_gradient(self, fused: AnyArray) -> tuple[float, AnyArray]:
        """Σₘ r(F − Rₘ, Sₘ) of a fused plane (y, x), float32, and its gradient: with a, b centred, b/n − r |b|² a/n²."""
        total, gradient = 0.0, np.zeros_like(fused)
        for own, others in zip(self.own, self.others, strict=True):
            added = fused - others
            added -= added.mean(dtype=np.float64)
            squares = float(np.vdot(own, own))
            length = (float(np.vdot(added, added)) * squares + FAINT) ** 0.5
            correlation = float(np.vdot(added, own)) / length
            total += correlation
            gradient += np.float32(1 / length) * own - np.float32(correlation * squares / length**2) * added
        return total, gradient
