"""Registration under masks: searched with and without them, and settled where both measures agree.

A mask takes the background away, and with it the outline, which is what tells a right pose from a wrong one: under a
tight mask the largest likeness of all may lie at a wrong pose, at every resolution. Without the mask, what does not
belong to the specimen has a say. Neither search is trusted alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from registration.linear.align import RIVAL, Ascent, Found, Pair
from registration.linear.halves import Halves
from registration.linear.motion import Candidate
from volumes.shapes import Matrix4
from volumes.transform import Affine

AGREED = 2.0
"""Poses that bring the specimen to within this many voxels of the finest resolution of each other agree."""


@dataclass(frozen=True)
class Masked:
    """A pair as its masks show it, and the same pair without them."""

    inside: Pair
    whole: Pair

    def align(self, start: Affine | None) -> Found:
        """The pose both searches come to, refined under the masks; else the one that both measures together prefer.

        Where they disagree, the result stays disputed unless it is clearly the more likely under either measure. A
        disputed pose of the search without masks is not refined under them, since what led their search astray would
        draw here too, and its similarities are those of all the samples. A start that was given is kept instead if it
        is better under the masks at the end.

        Raises
        ------
        TransformError : the start lays the volumes apart.
        """
        own, wide = self.inside.ascend(start), self.whole.ascend(start)
        beyond = wide.best[0].matrix
        poses = [self._pose(wide, own.best[0]), self._pose(wide, self._settled(own, beyond))]
        best = max(poses, key=Pose.worth) if self._apart(*poses) else poses[0]
        disputed = self._dispute_um(best, poses) > 0
        look = self._seen if disputed else self._settled
        outside = disputed and best is poses[1]
        if outside:
            best = self._pose(wide, look(own, beyond))
        if start is not None:
            begun = self._pose(wide, look(own, start.matrix))
            if begun.candidate.similarity > best.candidate.similarity:
                best, outside = begun, False
        spread = own.spread_um if best is poses[0] else wide.spread_um
        if not disputed:  # each search refutes the other's rivals where both come to one pose
            spread = min(own.spread_um, wide.spread_um)
        own, wide = (replace(ascent, spread_um=spread) for ascent in (own, wide))
        found = self._found(own, wide, best, start, outside=outside)
        steps = own.evaluations + wide.evaluations
        return replace(found, evaluations=steps, dispute_um=self._dispute_um(best, poses))

    def _found(self, own: Ascent, wide: Ascent, best: Pose, start: Affine | None, *, outside: bool) -> Found:
        halves = self._halves(best.candidate.matrix)
        if not outside:
            return self.inside.found(own, best.candidate, start, halves)
        return self.whole.found(wide, replace(best.candidate, similarity=1 + best.whole), start, halves)

    def _halves(self, matrix: Matrix4) -> Halves:
        """The smaller: half of a specimen without its outline slides, half of one with foreign bodies is drawn away."""
        return min((pair.halves(matrix) for pair in (self.inside, self.whole)), key=lambda halves: halves.coarse_um)

    def _settled(self, own: Ascent, matrix: Matrix4) -> Candidate:
        """The peak under the masks near a pose; the pose itself where the masks lead away from it."""
        peak = self.inside.settle(own.field, matrix)
        near = self.inside.apart_um(peak.matrix, matrix) <= self._bound_um
        return peak if near and peak.similarity > 0 else self._seen(own, matrix)

    def _seen(self, own: Ascent, matrix: Matrix4) -> Candidate:
        """The pose itself, as the masks show it."""
        value, overlap = own.field.value(matrix)
        return Candidate(matrix, value if self.inside.allowed(matrix, overlap) else 0.0, overlap)

    def _pose(self, wide: Ascent, candidate: Candidate) -> Pose:
        value, overlap = wide.field.value(candidate.matrix)
        return Pose(candidate, max(value - 1, 0.0) if self.whole.allowed(candidate.matrix, overlap) else 0.0)

    @property
    def _bound_um(self) -> float:
        return AGREED * self.inside.ladder_um[-1]

    def _apart(self, a: Pose, b: Pose) -> bool:
        return self.inside.apart_um(a.candidate.matrix, b.candidate.matrix) > self._bound_um

    def _dispute_um(self, best: Pose, others: list[Pose]) -> float:
        """How far the furthest of the others lies that the best neither agrees with nor clearly beats."""
        far = [o.candidate.matrix for o in others if self._apart(best, o) and not best.beats(o)]
        return max((self.inside.apart_um(best.candidate.matrix, matrix) for matrix in far), default=0.0)


@dataclass(frozen=True)
class Pose:
    """A candidate under the masks, and its likeness without them."""

    candidate: Candidate
    whole: float

    @property
    def inside(self) -> float:
        """Its likeness under the masks."""
        return max(self.candidate.similarity - 1, 0.0)

    def worth(self) -> float:
        """Both likenesses multiplied, that without masks squared: it alone sees the outline."""
        return self.inside * self.whole**2

    def beats(self, other: Pose) -> bool:
        """Whether it is clearly more likely under both measures."""
        return other.inside < RIVAL * self.inside and other.whole < RIVAL * self.whole
