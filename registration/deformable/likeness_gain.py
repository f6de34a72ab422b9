"""Whether one transform makes two volumes more alike than another, on samples that neither was fitted to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from registration.given import AssessmentSettings
from registration.linear.similarity import Samples, Similarity, draw
from registration.prepared import Prepared, prepare
from volumes.shapes import Mask, Points
from volumes.transform import Transform
from volumes.volume import Volume


@dataclass(frozen=True)
class Comparison:
    """Samples of the fixed volume, to be looked up in the moving one under any transform.

    Parameters
    ----------
    fixed, moving : prepared.
    samples : world points and bins of the fixed volume.
    bins, seed : of the histogram, and of the order in which chance draws intensities together.
    """

    fixed: Prepared
    moving: Prepared
    samples: Samples
    bins: int
    seed: int

    @classmethod
    def of(
        cls, fixed: Volume, moving: Volume, masks: tuple[Mask | None, Mask | None], settings: AssessmentSettings
    ) -> Comparison:
        """At the resolution of the coarser volume.

        Raises
        ------
        ContentError : a volume that cannot be looked at: constant, not finite, a single plane, an empty mask.
        """
        f = prepare(fixed, masks[0], settings.bins, settings.fixed_channel, "fixed")
        m = prepare(moving, masks[1], settings.bins, settings.moving_channel, "moving")
        samples = draw(f.at(max(m.grid.spacing_um)), settings.samples, settings.seed, f.scales[0])
        return cls(f, m, samples, settings.bins, settings.seed)

    def nmi(self, transform: Transform) -> float:
        """Normalised mutual information under a transform; 1 where nothing falls inside."""
        return max(self._under(transform).value(np.eye(4))[0], 1.0)

    def chance(self, transform: Transform) -> float:
        """That of the same intensities drawn together at random."""
        return self._under(transform).chance(np.eye(4), self.seed)

    def overlap(self, transform: Transform) -> float:
        """Share of the fixed specimen that falls inside the moving field."""
        return self._inside(transform(self.fixed.foreground_um))

    def _under(self, transform: Transform) -> Similarity:
        scale = self.moving.at(max(self.fixed.grid.spacing_um))
        return Similarity(Samples(transform(self.samples.points_um), self.samples.bins), scale, self.bins)

    def _inside(self, points_um: Points) -> float:
        index = self.moving.grid.to_index(points_um)
        return float(((index >= -0.5) & (index <= np.asarray(self.moving.grid.shape) - 0.5)).all(axis=1).mean())
