"""The shifts between the frames of a movie that are compared."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from registration.drift.config import DriftConfig
from registration.drift.phase_correlation import Shift, Spectra, best_shift, padded
from registration.drift.solve import Pairs
from registration.drift.views import BlankError, Lattice, lattice, view
from volumes.errors import ContentError, TransformError
from volumes.timelapse import TimeLapse
from volumes.volume import Volume


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured.

    Parameters
    ----------
    pairs : those whose peak stands high enough.
    voxel_um : the finest axis of the lattice.
    """

    pairs: Pairs
    voxel_um: float


@dataclass(frozen=True)
class _Kept:
    """A frame that is waited for by later ones."""

    number: int
    spectra: Spectra


def measured(movie: TimeLapse, config: DriftConfig, reference: int) -> Measured:
    """Compare the frames as the config says; a frame that shows nothing is in no pair.

    Raises
    ------
    ContentError : NaN in a frame, no such channel, a reference that shows nothing.
    """
    onto = lattice(movie.grid, config.most_voxels, config.finest_um)
    first = _spectra(movie[reference], reference, onto, config)
    if first is None:
        remedy = "Choose another reference, or another channel"
        raise ContentError("the reference shows nothing", field="reference", value=reference, remedy=remedy)
    fixed = _Kept(reference, first)
    gaps = config.gaps if config.chain == "window" else (1,)
    kept: deque[_Kept] = deque(maxlen=max(gaps) + 1)
    found: list[tuple[int, int, Shift]] = []
    for number, volume in enumerate(movie):
        spectra = first if number == reference else _spectra(volume, number, onto, config)
        if spectra is None:
            continue
        partners = [fixed] if config.chain == "reference" else _partners(kept, number, gaps)
        found += _shifts(partners, _Kept(number, spectra), config)
        kept.append(_Kept(number, spectra))
    return Measured(_pairs(found), min(onto.spacing_um))


def _spectra(volume: Volume, number: int, onto: Lattice, config: DriftConfig) -> Spectra | None:
    """None for a frame that shows nothing."""
    try:
        seen = view(volume, onto, config.channel, what=f"frame {number}")
    except BlankError:
        return None
    shape = seen.contrast.shape
    return Spectra(seen, padded(shape, shape, config.least_overlap))


def _partners(kept: Sequence[_Kept], number: int, gaps: Sequence[int]) -> list[_Kept]:
    """For each gap the latest frame that is at least so far back, so that blank frames are bridged."""
    chosen = [next((k for k in reversed(kept) if k.number <= number - gap), None) for gap in gaps]
    return list({k.number: k for k in chosen if k is not None}.values())


def _shifts(partners: Sequence[_Kept], moving: _Kept, config: DriftConfig) -> list[tuple[int, int, Shift]]:
    out = []
    for partner in partners:
        if partner.number == moving.number:
            continue
        try:
            shift = best_shift(partner.spectra, moving.spectra, config.least_overlap, config.largest_um)
        except TransformError:  # their masks share too little at any shift that is allowed
            continue
        if shift.height >= config.least_height and np.isfinite(shift.error_um):
            out.append((partner.number, moving.number, shift))
    return out


def _pairs(found: Sequence[tuple[int, int, Shift]]) -> Pairs:
    return Pairs(
        np.array([a for a, _, _ in found], np.int64),
        np.array([b for _, b, _ in found], np.int64),
        np.array([shift.um for _, _, shift in found], np.float64).reshape(-1, 3),
        np.array([shift.likeness for _, _, shift in found], np.float64),
        np.array([shift.error_um for _, _, shift in found], np.float64),
    )
