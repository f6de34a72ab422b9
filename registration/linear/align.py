"""From a search to a result: refine the best starts at a coarse resolution, and what may still win at finer ones."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool
from pydantic import BaseModel, ConfigDict, Field

from registration.linear.halves import Halves, halves_um
from registration.linear.motion import Candidate, CentredMotion, RigidMotion, refine
from registration.linear.similarity import Samples, Similarity, draw
from registration.linear.start import disagreement, distinct, nudged, promising
from registration.prepared import Prepared, rebinned
from volumes.errors import TransformError
from volumes.grid import Grid
from volumes.shapes import Matrix3, Matrix4, Points
from volumes.transform import Affine

FINALISTS = 5
"""Starts that are refined to the end at the coarsest resolution."""
APART = 0.1
"""Two candidates nearer than this share of the specimen's radius count as one."""
RIVAL = 0.87
"""A candidate whose gain over NMI = 1 reaches this share of the winner's is nearly as good."""
RIVALS = 3
"""Of the winner and those nearly as good, how many are taken on to the next finer resolution."""
FEWEST_INSIDE = 0.25
"""Share of the samples that must lie inside the moving field, unless ``least_overlap`` asks for less."""
FEW_INSIDE, WHOLE = 0.1, 0.9
"""The same where this share of the smaller specimen lies in the other's field: long fields may lie crosswise."""
FIRST_TOLERANCE, COARSE_TOLERANCE, FINE_TOLERANCE = 1e-4, 1e-6, 1e-7
"""NMI that a step must gain: for the first look at a start, at the coarsest resolution, and at finer ones."""
MIDDLE_TOLERANCE = 1e-5
"""The same for the specimen's halves at the middle resolution."""
FEWEST_POINTS = 50
"""Points of the specimen that are enough to halve it by."""
FIRST_ITERATIONS, ITERATIONS = 12, 60
"""Steps of a climb at most: for the first look at a start, and after it."""


class LinearSettings(BaseModel):
    """How much work a linear registration puts in.

    Parameters
    ----------
    rotations : how many the global search tries besides the identity and small ones; 0 for volumes that hardly turned.
    starts : the best of each search that are looked at more closely.
    bins : of the histogram, for either volume.
    fine_bins : of the histogram at the finest of several resolutions, where noise is strongest; not with masks.
    samples : of the fixed volume at the finest resolution.
    coarse_samples : of the fixed volume at the coarsest resolution, at least.
    search_samples : of the fixed volume in the search.
    finest_um : the finest resolution worked on, µm; left out, the volumes' own, within ``most_voxels``.
    most_voxels : how many voxels of the finest resolution the smaller field may hold.
    least_overlap : share of the smaller specimen that must lie inside the other's field.
    most_field_ratio : the fields of view may differ by this factor; more is taken for a mistaken unit.
    fixed_channel, moving_channel : which channels are registered, by position or name.
    seed : of the samples' places.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rotations: int = Field(default=800, ge=0, le=100_000)
    starts: int = Field(default=12, ge=1, le=100)
    bins: int = Field(default=32, ge=8, le=256)
    fine_bins: int = Field(default=18, ge=8, le=256)
    samples: int = Field(default=150_000, ge=500)
    coarse_samples: int = Field(default=12_000, ge=500)
    search_samples: int = Field(default=3_000, ge=200)
    finest_um: float | None = Field(default=None, gt=0)
    most_voxels: int = Field(default=4_000_000, ge=1000)
    least_overlap: float = Field(default=0.25, gt=0, lt=1)
    most_field_ratio: float = Field(default=50.0, ge=1)
    fixed_channel: int | str = 0
    moving_channel: int | str = 0
    seed: int = Field(default=0, ge=0)


@dataclass(frozen=True)
class Freedom:
    """What a transform may do besides turning and shifting.

    Parameters
    ----------
    motion : what the climbs vary, once they have begun with rigid motions.
    most_stretch : no length may grow or shrink by more than this factor.
    mirrored : whether mirror images are searched too.
    """

    motion: type[CentredMotion] = RigidMotion
    most_stretch: float = 1.0
    mirrored: bool = False

    @property
    def is_rigid(self) -> bool:
        """Whether it is none at all."""
        return self.motion is RigidMotion

    def allows(self, linear: Matrix3) -> bool:
        """Whether the linear part lies within the bounds."""
        if self.is_rigid:
            return True
        return self._stretch(linear) <= self.most_stretch

    def is_at_bound(self, linear: Matrix3) -> bool:
        """Whether the bound is what ended the stretching, to within a hundredth."""
        return not self.is_rigid and self._stretch(linear) > 0.99 * self.most_stretch

    @staticmethod
    def _stretch(linear: Matrix3) -> float:
        """The largest factor by which a length grows or shrinks."""
        stretches = np.linalg.svd(linear, compute_uv=False)
        return float(max(stretches[0], 1 / max(stretches[2], 1e-12)))


@dataclass(frozen=True)
class Found:
    """What the climb came to.

    Parameters
    ----------
    matrix : fixed points → moving points, 4×4, µm.
    before, after, chance : NMI at the start, at the result, and of unrelated intensities, on the same samples.
    overlap : share of the smaller specimen inside the other's field.
    spread_um : how far the nearly as good starts end from the result, the furthest of them, together with how far the
        specimen's halves do (:mod:`registration.linear.halves`) at the middle resolution.
    halves_um : how far they do at the coarsest resolution.
    evaluations : of the similarity and its derivative.
    dispute_um : how far from the result the search that did not prevail ended, of two that differ by a mask; 0 where
        they agree, or both measures clearly prefer the result; None without masks.
    """

    matrix: Matrix4
    before: float
    after: float
    chance: float
    overlap: float
    spread_um: float
    halves_um: float
    evaluations: int
    dispute_um: float | None = None


@dataclass(frozen=True)
class Ascent:
    """Where the climbs ended at the finest resolution.

    Parameters
    ----------
    field : the similarity there.
    best : the candidates, best first.
    spread_um : how far the nearly as good starts end from the best, the furthest of them.
    evaluations : as in :class:`Found`.
    """

    field: Similarity
    best: list[Candidate]
    spread_um: float
    evaluations: int


@dataclass(frozen=True)
class Pair:
    """Two prepared volumes; samples are drawn from the fixed one. ``masked``: whether either has hidden voxels."""

    fixed: Prepared
    moving: Prepared
    settings: LinearSettings
    freedom: Freedom = Freedom()
    masked: bool = False

    def align(self, start: Affine | None) -> Found:
        """Climb, and go back to a start that is better than what the climbs came to.

        Raises
        ------
        TransformError : the start lays the volumes apart.
        """
        ascent = self.ascend(start)
        best = ascent.best[0]
        if start is not None and ascent.field.value(start.matrix)[0] > best.similarity:
            best = self.settle(ascent.field, start.matrix)
            ascent = replace(ascent, evaluations=ascent.evaluations + best.evaluations)
        return self.found(ascent, best, start, self.halves(best.matrix))

    def ascend(self, start: Affine | None) -> Ascent:
        """Search, or begin at ``start``; refine the starts coarsely, and what may still win at each finer resolution.

        Raises
        ------
        TransformError : the start lays the volumes apart.
        """
        ladder = self.ladder_um
        coarse = self._similarity(ladder[0], self.settings.coarse_samples)
        tried = self._first_look(coarse, start)
        finalists = self._apart(tried)[:FINALISTS]
        refined = [self._climb(coarse, c.matrix, ladder[0], COARSE_TOLERANCE) for c in finalists]
        steps = [*tried, *refined]
        if not self.freedom.is_rigid:
            refined = [self._loosen(coarse, c.matrix, ladder[0], COARSE_TOLERANCE) for c in refined]
            steps += refined
        field, refined = coarse, sorted(refined, key=_fall)
        spread = self._spread(refined)
        for spacing in ladder[1:]:
            count = int(self.settings.samples * (ladder[-1] / spacing) ** 1.5)
            field = self._similarity(spacing, max(self.settings.coarse_samples, count))
            rivals = self._apart(self._rivals(refined))[:RIVALS]
            refined = sorted((self._loosen(field, c.matrix, spacing, FINE_TOLERANCE) for c in rivals), key=_fall)
            now = spread if len(rivals) == 1 else self._spread(refined)
            # Noise may part at the finest resolution what the one before cannot tell apart.
            spread = max(now, spread) if spacing == ladder[-1] else now
            steps += refined
        return Ascent(field, refined, spread, sum(candidate.evaluations for candidate in steps))

    def settle(self, finest: Similarity, matrix: Matrix4) -> Candidate:
        """The nearest peak at the finest resolution."""
        return self._loosen(finest, matrix, self.ladder_um[-1], FINE_TOLERANCE)

    def apart_um(self, a: Matrix4, b: Matrix4) -> float:
        """The mean distance between where two transforms bring the fixed specimen."""
        return disagreement(a, b, self.fixed.foreground_um)

    @property
    def ladder_um(self) -> list[float]:
        """Resolutions from coarse to fine, each half of the one before, the finest as fine as both volumes are."""
        own = max(min(self.fixed.grid.spacing_um), min(self.moving.grid.spacing_um))
        volume = min(self.fixed.volume_um3, self.moving.volume_um3)
        finest = max(own, (volume / self.settings.most_voxels) ** (1 / 3), self.settings.finest_um or 0.0)
        coarsest = max(finest, (volume / self.settings.coarse_samples) ** (1 / 3))
        return [finest * 2.0**i for i in range(round(np.log2(coarsest / finest)), -1, -1)]

    def _first_look(self, coarse: Similarity, start: Affine | None) -> list[Candidate]:
        """The starts, each climbed a little on few samples, best first."""
        spacing, settings = self.ladder_um[0], self.settings
        few = Similarity(self._samples(spacing, settings.search_samples), coarse.moving, coarse.bins)
        if start is None:
            hands = (False, True) if self.freedom.mirrored else (False,)
            starts = [start for hand in hands for start in self._searched(few, mirrored=hand)]
        elif coarse.value(start.matrix)[1] <= 0:
            raise _lie_apart(start.matrix)
        else:
            starts = nudged(start.matrix, self.fixed)
        tried = [self._climb(few, matrix, spacing, FIRST_TOLERANCE, FIRST_ITERATIONS) for matrix in starts]
        return sorted(tried, key=_fall)

    def _searched(self, few: Similarity, *, mirrored: bool) -> list[Matrix4]:
        rotations, count = self.settings.rotations, self.settings.starts
        return promising(few, self.fixed, self.moving, rotations, count, self.allowed, mirrored=mirrored)

    def _apart(self, candidates: list[Candidate]) -> list[Candidate]:
        return distinct(candidates, self.fixed.foreground_um, APART * self.fixed.radius_um, len(candidates))

    def _rivals(self, refined: list[Candidate]) -> list[Candidate]:
        """The winner and those nearly as good, of candidates sorted by their similarity."""
        best = refined[0]
        return [best, *(c for c in refined[1:] if c.similarity - 1 > RIVAL * (best.similarity - 1))]

    def _samples(self, spacing_um: float, count: int) -> Samples:
        scale = rebinned(self.fixed.at(spacing_um), self.settings.bins, self._bins(spacing_um))
        return draw(scale, count, self.settings.seed, self.fixed.scales[0])

    def _similarity(self, spacing_um: float, count: int) -> Similarity:
        bins = self._bins(spacing_um)
        moving = rebinned(self.moving.at(spacing_um), self.settings.bins, bins)
        return Similarity(self._samples(spacing_um, count), moving, bins)

    def _bins(self, spacing_um: float) -> int:
        """Of the histogram: fewer at the finest resolution, unless it is the one that is searched too.

        Nor where there are masks: the range of the bins spans what they hide, and leaves few for what they show.
        """
        ladder = self.ladder_um
        finest = len(ladder) > 1 and spacing_um == ladder[-1] and not self.masked
        return self.settings.fine_bins if finest else self.settings.bins

    def _climb(
        self,
        similarity: Similarity,
        start: Matrix4,
        unit_um: float,
        tolerance: float,
        iterations: int = ITERATIONS,
    ) -> Candidate:
        motion = RigidMotion(start, self.fixed.centre_um, self.fixed.radius_um, unit_um)
        return refine(similarity, motion, self.allowed, iterations, tolerance)

    def _loosen(self, similarity: Similarity, start: Matrix4, unit_um: float, tolerance: float) -> Candidate:
        """A climb in all that may vary."""
        motion = self.freedom.motion(start, self.fixed.centre_um, self.fixed.radius_um, unit_um)
        return refine(similarity, motion, self.allowed, ITERATIONS, tolerance)

    def _spread(self, refined: list[Candidate]) -> float:
        best, *others = self._rivals(refined)
        return max((disagreement(best.matrix, c.matrix, self.fixed.foreground_um) for c in others), default=0.0)

    def found(self, ascent: Ascent, best: Candidate, start: Affine | None, halves: Halves) -> Found:
        """The account of a candidate of the finest resolution."""
        begun = np.eye(4) if start is None else start.matrix
        first, inside = ascent.field.value(begun)
        return Found(
            matrix=best.matrix,
            before=first if self.allowed(begun, inside) else 1.0,
            after=best.similarity,
            chance=ascent.field.chance(best.matrix, self.settings.seed),
            overlap=self.overlap(best.matrix),
            spread_um=float(np.hypot(ascent.spread_um, halves.middle_um)),
            halves_um=halves.coarse_um,
            evaluations=ascent.evaluations,
        )

    def halves(self, matrix: Matrix4) -> Halves:
        """How far the poses that the specimen's halves come to lie from this one, by what both fields hold."""
        points, ladder = self.fixed.foreground_um, self.ladder_um
        seen = _inside(self.moving.grid, points, matrix)
        points = points[seen] if seen.sum() >= FEWEST_POINTS else points
        pose = RigidMotion(matrix, self.fixed.centre_um, self.fixed.radius_um, ladder[0])
        count = self.settings.coarse_samples
        coarse = halves_um(self._similarity(ladder[0], count), pose, points, COARSE_TOLERANCE)
        if len(ladder) == 1:
            return Halves(coarse, coarse)
        middle = self._similarity(ladder[len(ladder) // 2], count)
        return Halves(coarse, halves_um(middle, pose, points, MIDDLE_TOLERANCE))

    def allowed(self, matrix: Matrix4, inside: float) -> bool:
        """Whether enough of the samples lie inside the moving field, and of the smaller specimen where more is asked.

        Samples lie in the background too, so that a share of them says little of the specimen; but with few of them
        any two volumes seem alike.
        """
        least = self.settings.least_overlap
        if inside < min(least, FEW_INSIDE) or not self.freedom.allows(matrix[:3, :3]):
            return False
        if inside < min(least, FEWEST_INSIDE):
            return self.overlap(matrix) >= max(least, WHOLE)
        return least <= FEWEST_INSIDE or self.overlap(matrix) >= least

    def overlap(self, matrix: Matrix4) -> float:
        """Share of the smaller specimen inside the other's field."""
        return max(
            _share_inside(self.moving.grid, self.fixed.foreground_um, matrix),
            _share_inside(self.fixed.grid, self.moving.foreground_um, np.linalg.inv(matrix)),
        )


def _fall(candidate: Candidate) -> float:
    return -candidate.similarity


def _share_inside(grid: Grid, points_um: Points, matrix: Matrix4) -> float:
    return float(_inside(grid, points_um, matrix).mean())


def _inside(grid: Grid, points_um: Points, matrix: Matrix4) -> Bool[np.ndarray, " n"]:
    index = grid.to_index(points_um @ matrix[:3, :3].T + matrix[:3, 3])
    out: Bool[np.ndarray, " n"] = np.all((index >= -0.5) & (index <= np.asarray(grid.shape) - 0.5), axis=1)
    return out


def _lie_apart(matrix: Matrix4) -> TransformError:
    return TransformError(
        "lays the volumes apart: they do not overlap",
        field="start",
        value=matrix.round(3).tolist(),
        remedy="It must map fixed points to moving points in µm; leave it out to search",
    )
