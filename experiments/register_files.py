"""What ``fusetrack register`` reads, does and leaves: files in, one folder of transforms, volumes and figures out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from experiments.entries import Closed
from experiments.loading import override, validated
from experiments.run_folder import write_json
from experiments.transforms import write_both_ways
from registration.config import RegistrarConfig
from registration.result import Registered
from volumes.errors import ConfigError
from volumes.io import read, read_transform, write
from volumes.resample import resample
from volumes.shapes import Mask
from volumes.transform import Transform
from volumes.volume import Volume


@dataclass(frozen=True)
class Given:
    """A file and what it does not say itself."""

    path: Path
    modality: str | None
    unit: str | None

    def open(self) -> Volume:
        """The volume."""
        return read(self.path, modality=self.modality, unit=self.unit)


@dataclass(frozen=True)
class Hints:
    """What is known of how two volumes lie, as files: masks on each one's own grid, and a transform to begin from."""

    fixed_mask: Path | None = None
    moving_mask: Path | None = None
    start: Path | None = None


def register_files(
    fixed: Given, moving: Sequence[Given], out: Path, how: RegistrarConfig, hints: Hints
) -> dict[str, dict[str, Any]]:
    """Register each moving file to the fixed one and write what was found, whatever its status.

    Parameters
    ----------
    fixed, moving : the files.
    out : folder for one moving file's results; of several each has a folder of its file's name in it.
    how : the way to register.
    hints : masks and a start; those of the moving volume only go with a single one.

    Returns
    -------
    The facts of each, by the folder they lie in.

    Raises
    ------
    ConfigError : hints for one of several moving files, or two files of one name.
    FusetrackError : what reading, registering and writing raise.
    """
    folders = _folders([given.path for given in moving], out)
    if len(moving) > 1 and (hints.start or hints.moving_mask):
        raise ConfigError("goes with a single moving volume", field="--start or --moving-mask", value=len(moving))
    still = fixed.open()
    seen = mask_of(hints.fixed_mask, still)
    facts = {}
    for folder, given in zip(folders, moving, strict=True):
        moved = given.open()
        result = how.build().register(
            still,
            moved,
            fixed_mask=seen,
            moving_mask=mask_of(hints.moving_mask, moved),
            start=start_of(hints.start),
        )
        facts[str(folder)] = _written(result, still, moved, folder)
    return facts


def registrar_config(kind: str, changes: Mapping[str, str]) -> RegistrarConfig:
    """The settings of a kind with some of them changed, by dotted key and value as text.

    Raises
    ------
    ConfigError : an unknown kind or key, or a value out of range.
    """
    values: dict[str, object] = {"kind": kind}
    override(values, changes)
    return validated(_Asked, {"register": values}, Path("--kind, --set")).register_


def mask_of(path: Path | None, volume: Volume) -> Mask | None:
    """A mask file, True where it is above 0; None for no file.

    Raises
    ------
    ConfigError : it lies on another grid than its volume.
    """
    if path is None:
        return None
    mask = read(path, modality="labels")
    if not mask.grid.is_close(volume.grid):
        raise ConfigError(
            f"the mask {path} lies on another grid than its volume",
            field="mask",
            value=(mask.grid.shape, volume.grid.shape),
            remedy="Resample it onto the volume's grid, by nearest neighbour",
        )
    inside: Mask = np.asarray(mask.channel() > 0)
    return inside


def start_of(path: Path | None) -> Transform | None:
    """A transform file; None for no file."""
    return None if path is None else read_transform(path)


class _Asked(Closed):
    register_: RegistrarConfig = Field(alias="register")


def _written(result: Registered, still: Volume, moved: Volume, folder: Path) -> dict[str, Any]:
    files = write_both_ways(result.transform, still.grid, moved.grid, folder, "transform", "inverse")
    write(resample(moved, like=still, transform=result.transform), folder / "registered.ome.zarr")
    facts = {
        "status": result.status.value,
        "reasons": list(result.reasons),
        **result.quality.as_dict(),
        "files": [path.name for path in files],
    }
    write_json(folder / "quality.json", facts)
    return facts


def _folders(paths: Sequence[Path], out: Path) -> list[Path]:
    if len(paths) == 1:
        return [out]
    names = [path.name.split(".")[0] for path in paths]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ConfigError("two moving files have one name", field="MOVING", value=twice[0], remedy="Rename one of them")
    return [out / name for name in names]
