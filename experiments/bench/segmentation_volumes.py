"""Real volumes with labels, as the segmentation benchmark takes them; all in the folder ``FUSETRACK_DATA``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from volumes.errors import ConfigError
from volumes.shapes import AnyArray
from volumes.volume import Volume, from_array

EVERY = 4
"""Frames of the movie from one that is scored to the next."""
CHO_SHAPE, CHO_UM = (20, 5, 443, 512), (1.0, 0.202, 0.202)


@dataclass(frozen=True)
class Case:
    """One or more frames of one specimen.

    Parameters
    ----------
    images, truths : frame by frame.
    note : what kind of truth it is.
    """

    images: tuple[Volume, ...]
    truths: tuple[Volume, ...]
    note: str

    @property
    def voxels(self) -> int:
        """Of all frames."""
        return sum(image.array.size for image in self.images)


def read_case(name: str, data: Path) -> Case:
    """A case by its name, one of :data:`CASES`.

    Raises
    ------
    ConfigError : no such case.
    OSError : the data lacks it.
    """
    if name not in CASES:
        raise ConfigError("is no case", field="case", value=name, remedy=f"Known: {', '.join(CASES)}")
    return CASES[name](data / "segmentation") if name != "CHO" else _cho(data / "tracking" / "movies")


def _qcanet(folder: Path) -> Case:
    import cc3d
    import tifffile

    raw, mask = (
        tifffile.imread(folder / "qcanet" / f"example_datasets_images_{name}_8_cell_stage.tif")
        for name in ("raw", "nsn")
    )
    truth = cc3d.connected_components(np.ascontiguousarray(mask > 0), connectivity=26)
    return _case([raw], [truth], (1.75, 0.8, 0.8), "manual; nuclei are the parts of its mask")


def _bbbc033(folder: Path) -> Case:
    with np.load(folder / "bbbc033" / "bbbc033_xyds4.npz") as held:
        return _case([held["raw"]], [held["label"]], held["voxel"].tolist(), "manual")


def _cells3d(folder: Path) -> Case:
    import tifffile

    raw, truth = (tifffile.imread(folder / "cells3d" / name) for name in ("nuclei.tif", "nuclei_label.tif"))
    return _case([raw], [truth], (0.29, 0.26, 0.26), "silver: made by a program")


def _gonuclear(folder: Path) -> Case:
    import h5py

    with h5py.File(folder / "gonuclear" / "1135_mini.h5") as file:
        raw, truth = file["raw"], file["label"]
        return _case([raw[()]], [truth[()]], raw.attrs["element_size_um"].tolist(), "manual")


def _cho(folder: Path) -> Case:
    import tifffile

    raw, truth = (
        tifffile.imread(folder / f"Fluo-N3DH-CHO_02_{name}.tif").reshape(CHO_SHAPE)[::EVERY]
        for name in ("img", "ERR_SEG")
    )
    return _case(raw, truth, CHO_UM, f"silver, misses dim and border nuclei; every {EVERY}th frame")


def _case(raw: Sequence[AnyArray], truth: Sequence[AnyArray], spacing_um: Sequence[float], note: str) -> Case:
    images = tuple(from_array(frame, spacing_um, modality="fluorescence") for frame in raw)
    # Labels in 32 bits, whatever their file has.
    labels = tuple(from_array(frame.astype(np.uint32), spacing_um, modality="labels") for frame in truth)
    return Case(images, labels, note)


CASES: dict[str, Callable[[Path], Case]] = {
    "qcanet-8": _qcanet,
    "bbbc033": _bbbc033,
    "cells3d": _cells3d,
    "gonuclear-1135": _gonuclear,
    "CHO": _cho,
}
"""Reads each case. The plant ovule of the same folder is left out: its membranes shine, not its nuclei."""
