"""How good a registration is, and whether its result may be used."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum

import numpy as np

DOUBTFUL_OVERLAP = 0.5
"""Share of the smaller specimen; a result that overlaps less is doubtful."""
OVER_CHANCE = 2.0
"""The gain over NMI = 1 must be this many times that of unrelated intensities."""
CLEARLY_OVER_CHANCE = 5.0
"""And this many times for a result to be beyond doubt."""
LOST = 1e-6
"""NMI that a result may lie below its start by, for rounding."""
DOUBTFUL_FOLDS, FAILED_FOLDS = 1e-4, 0.01
"""Share of the voxels at which space is turned inside out; a result with more is doubtful, or failed."""


class Status(Enum):
    """Whether a result may be used: GOOD; DOUBTFUL, to be looked at; FAILED, not to be used."""

    GOOD = "good"
    DOUBTFUL = "doubtful"
    FAILED = "failed"


@dataclass(frozen=True)
class Quality:
    """What is known of a registration's result.

    Parameters
    ----------
    similarity_before : NMI at the start (identity, or the start given); 1 where the volumes hardly overlap there.
    similarity_after : NMI at the result, on the same samples.
    similarity_chance : NMI of the same intensities drawn together at random.
    overlap : share of the smaller specimen that falls inside the other's field, 0–1.
    rotation_deg : angle of the rotation.
    shift_um : length of the shift at the middle of the fixed field.
    jacobian_min, jacobian_max : the least and the largest local change of volume; both 1 for a rigid transform.
    spread_um : the uncertainty, of the order of the error to be expected, the mean over the specimen: how far other
        starts that came out nearly as good lie from the result, the furthest of them, and how far the poses that
        either half of the specimen comes to alone.
    evaluations : how often the similarity and its derivative were computed.
    folded_fraction : share of the fixed field's voxels at which space is turned inside out; 0 for a linear transform.
    cycle_um : how far points come back from where they began when they go to the moving volume by this transform and
        back by one found the other way round, the mean over the specimen; None where it was not measured.
    halves_um : how far the poses that either half of the specimen comes to alone lie from the result at the coarsest
        resolution, where a wrong pose shows; None where it was not measured.
    dispute_um : with a mask, how far from the result the search with or without it ended that did not prevail; 0 where
        they agree, or where the result is clearly the more likely with the mask and without; None without a mask.
    fiducial_um : root mean square distance of the landmarks that gave the transform; None where there are none.
    """

    similarity_before: float
    similarity_after: float
    similarity_chance: float
    overlap: float
    rotation_deg: float
    shift_um: float
    jacobian_min: float
    jacobian_max: float
    spread_um: float
    evaluations: int
    folded_fraction: float = 0.0
    cycle_um: float | None = None
    halves_um: float | None = None
    dispute_um: float | None = None
    fiducial_um: float | None = None

    def as_dict(self) -> dict[str, float | int]:
        """The same as plain numbers, for JSON; what was not measured is left out."""
        return {key: value for key, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Bounds:
    """What a result must meet.

    Parameters
    ----------
    least_overlap : below it the result failed.
    doubtful_spread_um : a spread above it is doubtful, and so are halves that come further apart.
    mirrored : whether the result may be a mirror image.
    at_most_stretch : whether the result stretches as much as it may.
    """

    least_overlap: float
    doubtful_spread_um: float
    mirrored: bool = False
    at_most_stretch: bool = False


def judge(quality: Quality, bounds: Bounds) -> tuple[Status, tuple[str, ...]]:
    """The status of a result, and each reason against it with what to try."""
    failed = _failures(quality, bounds)
    doubts = _doubts(quality, bounds)
    if bounds.at_most_stretch:
        doubts.append("it stretches as much as it may: look at the result; give a start, or a larger most_stretch")
    status = Status.FAILED if failed else Status.DOUBTFUL if doubts else Status.GOOD
    return status, (*failed, *doubts)


def _failures(quality: Quality, bounds: Bounds) -> list[str]:
    out = []
    if not np.isfinite(list(quality.as_dict().values())).all():
        out.append("the result is not finite: check the intensities and give a start")
    if not (quality.jacobian_max > 0 or (bounds.mirrored and quality.jacobian_max < 0)):
        out.append(f"the result mirrors or flattens space (determinant {quality.jacobian_max:.3g}): give a start")
    if quality.folded_fraction > FAILED_FOLDS:
        out.append(f"space is folded at {quality.folded_fraction:.2%} of the voxels: smooth the deformation more")
    if not quality.overlap >= bounds.least_overlap:
        out.append(f"only {quality.overlap:.0%} of the smaller specimen overlaps: give a start or a mask")
    if not quality.similarity_after >= quality.similarity_before - LOST:
        out.append(
            f"the similarity fell from {quality.similarity_before:.4f} to {quality.similarity_after:.4f}: "
            "where it began was better; give that as the start"
        )
    if not quality.similarity_after - 1 > OVER_CHANCE * (quality.similarity_chance - 1):
        out.append(
            f"the likeness is no more than chance (NMI {quality.similarity_after:.4f}, {quality.similarity_chance:.4f} "
            "by chance): check that both show one specimen, or choose other channels"
        )
    return out


def _doubts(quality: Quality, bounds: Bounds) -> list[str]:
    out = []
    if quality.overlap < DOUBTFUL_OVERLAP:
        out.append(f"{quality.overlap:.0%} of the smaller specimen overlaps: look at the result")
    gain, chance = quality.similarity_after - 1, quality.similarity_chance - 1
    if OVER_CHANCE * chance < gain <= CLEARLY_OVER_CHANCE * chance:
        out.append(f"the likeness is only {gain / chance:.1f} times that of chance: look at the result")
    if quality.spread_um > bounds.doubtful_spread_um:
        out.append(
            f"other starts, or halves of the specimen, end {quality.spread_um:.3g} µm away and are nearly as good: "
            "give a start or a mask, or try more rotations"
        )
    elif quality.halves_um and quality.halves_um > bounds.doubtful_spread_um:
        out.append(
            f"either half of the specimen alone comes to a pose {quality.halves_um:.3g} µm away: look at the result; "
            "give a start or a mask, or let it stretch if it may have"
        )
    if FAILED_FOLDS >= quality.folded_fraction > DOUBTFUL_FOLDS:
        out.append(f"space is folded at {quality.folded_fraction:.2%} of the voxels: smooth the deformation more")
    if quality.dispute_um:
        out.append(
            f"with and without the mask the best poses lie {quality.dispute_um:.3g} µm apart: give a start, or a mask "
            "that leaves more background around the specimen"
        )
    return out
