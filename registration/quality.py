"""How good a registration is, and whether its result may be used."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum

import numpy as np

from volumes.transform import Affine

DOUBTFUL_OVERLAP = 0.5
"""Share of the smaller specimen; a result that overlaps less is doubtful."""
OVER_CHANCE = 2.0
"""The gain over NMI = 1 must be this many times that of unrelated intensities."""
LOST = 1e-6
"""NMI that a result may lie below its start by, for rounding."""


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
    jacobian_det : determinant of the linear part; 1 for a rigid transform.
    spread_um : how far the other starts that came out nearly as good lie from the result: the mean over the specimen,
        of the furthest of them; 0 when there is none. An uncertainty.
    evaluations : how often the similarity and its derivative were computed.
    dispute_um : with a mask, how far from the result the search with or without it ended that did not prevail; 0 where
        they agree, or where the result is clearly the more likely with the mask and without.
    """

    similarity_before: float
    similarity_after: float
    similarity_chance: float
    overlap: float
    rotation_deg: float
    shift_um: float
    jacobian_det: float
    spread_um: float
    evaluations: int
    dispute_um: float = 0.0

    def as_dict(self) -> dict[str, float | int]:
        """The same as plain numbers, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Bounds:
    """What a result must meet.

    Parameters
    ----------
    least_overlap : below it the result failed.
    doubtful_spread_um : a spread above it is doubtful.
    """

    least_overlap: float
    doubtful_spread_um: float


def judge(transform: Affine, quality: Quality, bounds: Bounds) -> tuple[Status, tuple[str, ...]]:
    """The status of a result, and each reason against it with what to try."""
    failed = _failures(transform, quality, bounds)
    doubts = _doubts(quality, bounds)
    status = Status.FAILED if failed else Status.DOUBTFUL if doubts else Status.GOOD
    return status, (*failed, *doubts)


def _failures(transform: Affine, quality: Quality, bounds: Bounds) -> list[str]:
    out = []
    if not np.isfinite([*transform.matrix.ravel(), *quality.as_dict().values()]).all():
        out.append("the result is not finite: check the intensities and give a start")
    if not quality.jacobian_det > 0:
        out.append(f"the result mirrors or flattens space (determinant {quality.jacobian_det:.3g}): give a start")
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
    if quality.spread_um > bounds.doubtful_spread_um:
        out.append(
            f"another start ends {quality.spread_um:.3g} µm away and is nearly as good: give a start or a mask, "
            "or try more rotations"
        )
    if quality.dispute_um > 0:
        out.append(
            f"with and without the mask the best poses lie {quality.dispute_um:.3g} µm apart: give a start, or a mask "
            "that leaves more background around the specimen"
        )
    return out
