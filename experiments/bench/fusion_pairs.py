"""The registered 2-D pairs that fusion is scored on, and whose they are: CT, PET and SPECT beside MRI, 256², 8 bits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.pictures import read_grey_levels
from volumes import Volume, from_array
from volumes.errors import VolumeFileError
from volumes.shapes import AnyArray

SETS = ("CT", "PET", "SPECT")
"""What is beside MRI."""
SEEN = {"CT": ("28", "41"), "PET": ("25",), "SPECT": ("10", "11")}
"""Patients that were looked at while the fusers were made; they stand in a table of their own."""
FOLDER = Path("fusion") / "harvard"
DIGITS = 3
"""Of a slice's number, at the end of a name; what is before it is the patient."""
PIXEL_UM = 1000.0
"""About a millimetre; in two dimensions no fuser here depends on it."""


@dataclass(frozen=True)
class Pair:
    """Two registered pictures of one slice.

    Parameters
    ----------
    other : the modality beside MRI: CT, PET or SPECT.
    name : of both files.
    files : of that modality, and of MRI.
    """

    other: str
    name: str
    files: tuple[Path, Path]

    @property
    def patient(self) -> str:
        """Whose slice it is."""
        return patient_of(self.name)

    @property
    def part(self) -> str:
        """``seen`` while fusers were made, or ``reported``."""
        return "seen" if self.patient in SEEN[self.other] else "reported"

    def levels(self) -> tuple[AnyArray, AnyArray]:
        """Both as (y, x) uint8, colours as grey.

        Raises
        ------
        VolumeFileError, ContentError : a file that cannot be read, or is not of 8 bits.
        """
        one, other = (np.asarray(read_grey_levels(file).levels, np.uint8) for file in self.files)
        return one, other

    def volumes(self) -> list[Volume]:
        """Both as volumes of one slice, float32 on 0–255."""
        spacing = (PIXEL_UM,) * 3
        kinds = (self.other, "MRI")
        return [
            from_array(levels[None].astype(np.float32), spacing, modality=kind)
            for levels, kind in zip(self.levels(), kinds, strict=True)
        ]


def patient_of(name: str) -> str:
    """The name of a file before its last three digits."""
    return name.partition(".")[0][:-DIGITS]


def pairs(
    data: Path, other: str, every: int = 1, parts: Sequence[str] = ("reported", "seen"), patients: Sequence[str] = ()
) -> list[Pair]:
    """The pairs of one set, by patient and slice.

    Parameters
    ----------
    data : the data folder.
    other : CT, PET or SPECT.
    every : take so many slices of a patient as one: the first, and each that is a multiple of this after it.
    parts : ``reported``, ``seen`` or both.
    patients : only these; none for all.

    Raises
    ------
    VolumeFileError : no such folder, or a picture without its partner.
    """
    found = [pair for pair in _all(data / FOLDER / f"{other}-MRI", other) if pair.part in parts]
    chosen = [pair for pair in found if not patients or pair.patient in patients]
    by_patient: dict[str, list[Pair]] = {}
    for pair in chosen:
        by_patient.setdefault(pair.patient, []).append(pair)
    return [pair for own in by_patient.values() for pair in own[::every]]


def _all(folder: Path, other: str) -> Iterator[Pair]:
    if not (folder / other).is_dir():
        raise VolumeFileError("is missing", file=folder / other, remedy="Name the data folder in FUSETRACK_DATA")
    for file in sorted((folder / other).glob("*.png")):
        partner = folder / "MRI" / file.name
        if not partner.is_file():
            raise VolumeFileError("is missing", file=partner, remedy=f"{file} needs its partner")
        yield Pair(other, file.name, (file, partner))
