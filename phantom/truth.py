"""The truth of a phantom on disk: what lies where, and the exact transform between every two instruments."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from phantom.deformation import Deformation
from volumes.errors import ConfigError, VolumeFileError
from volumes.transform import Affine, Composite, Transform

FOLDER = "truth"
INDEX = "truth.json"
VERSION = 1


@dataclass(frozen=True)
class Recorded:
    """One instrument's files.

    Parameters
    ----------
    name : of the instrument.
    file : what it wrote.
    modality : what it is.
    movie : whether the file holds several frames.
    projection : whether it is a single plane that sums the depth.
    times_s : of its frames, on the specimen's clock.
    labels, clean : label volumes and noise-free pictures on the same grid (OME-Zarr, with a time axis).
    cells : table of the cells in its field, in µm of its own world.
    """

    name: str
    file: Path
    modality: str
    movie: bool
    projection: bool
    times_s: tuple[float, ...]
    labels: Path
    clean: Path
    cells: Path


@dataclass(frozen=True, eq=False)
class Truth:
    """All that is known of a phantom in a folder.

    Parameters
    ----------
    folder : where it lies.
    seed, difficulty : that it was drawn with.
    instruments : the files of each, by name.
    poses : specimen point → world point of each instrument at its first frame.
    """

    folder: Path
    seed: int
    difficulty: float
    instruments: Mapping[str, Recorded]
    poses: Mapping[str, Transform]

    def transform(self, fixed: str, moving: str) -> Transform:
        """Points of one instrument's world → points of another's, at their first frames, exact to rounding.

        Raises
        ------
        ConfigError : no such instrument.
        """
        for name in (fixed, moving):
            if name not in self.poses:
                raise ConfigError("no such instrument", field="instrument", value=name, remedy=f"{[*self.poses]}")
        return Composite((self.poses[moving], self.poses[fixed].inverse()))


def read_truth(folder: str | Path) -> Truth:
    """The truth beside the volumes of a phantom.

    Raises
    ------
    VolumeFileError : no phantom lies there, or its index is damaged or of another version.
    """
    root = Path(folder)
    index = root / FOLDER / INDEX
    if not index.is_file():
        raise VolumeFileError("holds no phantom", file=root, remedy="Draw one with fusetrack phantom CONFIG --out DIR")
    try:
        values = json.loads(index.read_text(encoding="utf-8"))
        return _truth(root, values)
    except (ValueError, KeyError, TypeError) as error:
        raise VolumeFileError(
            f"is damaged: {error!r}", file=index, remedy="Draw the phantom again into a new folder"
        ) from error


def _truth(root: Path, values: dict[str, Any]) -> Truth:
    if values["version"] != VERSION:
        raise ValueError(f"version {values['version']}, {VERSION} is read here")
    recorded = {
        name: Recorded(
            name=name,
            file=root / entry["file"],
            modality=entry["modality"],
            movie=len(entry["times_s"]) > 1,
            projection=bool(entry["projection"]),
            times_s=tuple(float(t) for t in entry["times_s"]),
            labels=root / entry["labels"],
            clean=root / entry["clean"],
            cells=root / entry["cells"],
        )
        for name, entry in values["instruments"].items()
    }
    poses = {name: _pose(entry["pose"]) for name, entry in values["instruments"].items()}
    return Truth(root, int(values["seed"]), float(values["difficulty"]), recorded, poses)


def pose_as_dict(to_world: Transform) -> dict[str, Any]:
    """An instrument's pose as plain numbers, exact to the last bit."""
    parts = to_world.parts if isinstance(to_world, Composite) else (to_world,)
    out: dict[str, Any] = {}
    for part in parts:
        if isinstance(part, Affine):
            out["matrix"] = part.matrix.tolist()
        elif isinstance(part, Deformation):
            out["deformation"] = part.as_dict()
    return out


def _pose(values: dict[str, Any]) -> Transform:
    linear = Affine(np.asarray(values["matrix"], np.float64))
    if "deformation" not in values:
        return linear
    return Composite((linear, Deformation.from_dict(values["deformation"])))
