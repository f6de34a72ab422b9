"""How right labels in files are: one volume, a movie, or a folder of them, beside true labels."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import volumes
from experiments.loading import validated
from tracking3d.cell_scores import SCORES, Outcomes, interval, outcomes, pooled, scores
from volumes.atomic import replacing_file
from volumes.errors import FusetrackError, GridError, VolumeFileError
from volumes.timelapse import TimeLapse
from volumes.volume import Volume

Watch = Callable[[str, int, int], None]
"""Told which file is done, how many are, and of how many."""
SUFFIXES = (".tif", ".tiff", ".nii", ".nii.gz", ".nrrd", ".zarr")
NUMBER = re.compile(r"(\d+)\D*$")
"""The frame in a name: ``mask012.tif`` and ``man_seg012.tif`` are one frame."""


@dataclass(frozen=True)
class Stated:
    """What the caller says of files that do not say it themselves.

    Parameters
    ----------
    movie : whether a file holds frames.
    unit : of lengths, where a file states none.
    spacing_um : (z, y, x) µm of a voxel of plain TIFF; alone, its pages are the planes of one volume.
    axes, sizes, dt_s : of plain TIFF, as :class:`volumes.Layout` takes them.
    """

    movie: bool = False
    unit: str | None = None
    spacing_um: Sequence[float] = ()
    axes: str | None = None
    sizes: Sequence[int] = ()
    dt_s: float | None = None


@dataclass(frozen=True, eq=False)
class Scored:
    """The outcomes of one frame, and its name."""

    name: str
    outcomes: Outcomes


def evaluate_files(
    labels: Path, truth: Path, stated: Stated | None = None, min_voxels: int = 0, watch: Watch | None = None
) -> list[Scored]:
    """The outcomes of a volume, or of each frame of a movie.

    Raises
    ------
    VolumeFileError, HeaderError, ContentError : a file that cannot be read, or holds no labels.
    GridError : two grids, or movies of two lengths.
    """
    told = stated or Stated()
    found, true = (_frames(path, told) for path in (labels, truth))
    if len(found) != len(true):
        raise GridError(f"holds {len(found)} frames, {truth.name} {len(true)}", file=labels, field="T")
    out = []
    for frame, (a, b) in enumerate(zip(true, found, strict=True)):
        name = labels.name if len(found) == 1 else f"{labels.name} {frame}"
        try:
            out.append(Scored(name, outcomes(a, b, min_voxels)))
        except FusetrackError as error:
            raise _in_file(error, labels, truth) from error
        if watch is not None:
            watch(name, frame + 1, len(found))
    return out


def evaluate_folders(
    labels: Path,
    truth: Path,
    stated: Stated | None = None,
    min_voxels: int = 0,
    subset: bool = False,
    watch: Watch | None = None,
) -> list[Scored]:
    """The outcomes of every file beside the true one of its name, or where names differ, of its number.

    Parameters
    ----------
    subset : leave out labels without a truth, which otherwise are an error; a truth without labels always is one.

    Raises
    ------
    VolumeFileError : nothing to read, two files of one number, or a missing partner.
    As :func:`evaluate_files`.
    """
    pairs = list(_pairs(labels, truth, subset))
    out = []
    for i, (one, other) in enumerate(pairs, start=1):
        out += evaluate_files(one, other, stated, min_voxels)
        if watch is not None:
            watch(one.name, i, len(pairs))
    return out


def figures_of(rows: Sequence[Scored], resamples: int = 1000, seed: int = 0) -> dict[str, Any]:
    """What was found, all frames together, ready for JSON, which knows no NaN: None in its place."""
    table = pooled([row.outcomes for row in rows])
    values, (low, high) = scores(table), interval(table, resamples, seed)
    return {
        "frames": len(rows),
        "true cells": int(table.true.sum()),
        "found cells": int(table.found.sum()),
        "scores": {
            name: {"value": _known(values[name]), "low": _known(low[name]), "high": _known(high[name])}
            for name in SCORES
        },
    }


def as_lines(figures: dict[str, Any]) -> str:
    """A line for each score with its interval."""
    lines = [f"{name:>16}  {figures[name]}" for name in ("frames", "true cells", "found cells")]
    for name, one in figures["scores"].items():
        if one["value"] is not None:
            lines.append(f"{name:>16}  {one['value']:.4f}   95 %: {one['low']:.4f} … {one['high']:.4f}")
    return "\n".join(lines)


def write_table(rows: Sequence[Scored], figures: dict[str, Any], out: Path) -> None:
    """Write a CSV: a row a frame, then all together with both ends of the interval; empty where not defined.

    Raises
    ------
    OutputError : the file cannot be written; what was there stays.
    """
    with replacing_file(out) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["frame", "true cells", "found cells", *SCORES])
        for row in rows:
            values = scores(row.outcomes)
            counts = [int(row.outcomes.true.sum()), int(row.outcomes.found.sum())]
            writer.writerow([row.name, *counts, *(_cell(_known(values[name])) for name in SCORES)])
        for title, key in (("all", "value"), ("low 2.5 %", "low"), ("high 97.5 %", "high")):
            counts = [figures["true cells"], figures["found cells"]]
            writer.writerow([title, *counts, *(_cell(figures["scores"][name][key]) for name in SCORES)])


def _frames(path: Path, stated: Stated) -> TimeLapse | list[Volume]:
    layout = _layout(path, stated)
    if stated.movie:
        return volumes.read_timelapse(path, modality="labels", unit=stated.unit, layout=layout)
    return [volumes.read(path, modality="labels", unit=stated.unit, layout=layout)]


def _layout(path: Path, stated: Stated) -> volumes.Layout | None:
    if not stated.spacing_um or not path.name.lower().endswith((".tif", ".tiff")):
        return None
    from tracking3d.formats.ctc_reader import stack_shape

    axes, sizes = (stated.axes, list(stated.sizes)) if stated.axes else ("ZYX", list(stack_shape(path)))
    values = {"axes": axes, "sizes": sizes, "spacing_um": list(stated.spacing_um), "dt_s": stated.dt_s}
    return validated(volumes.Layout, values, path)


def _pairs(labels: Path, truth: Path, subset: bool) -> Iterator[tuple[Path, Path]]:
    found, true = _files(labels), _files(truth)
    if not set(true) <= set(found):
        found, true = _numbered(found.values()), _numbered(true.values())
    for key, file in true.items():
        if key not in found:
            raise VolumeFileError("has no labels beside it", file=file, field=key, remedy=f"Segment it into {labels}")
    for key, file in found.items():
        if key in true:
            yield file, true[key]
        elif not subset:
            raise VolumeFileError("has no truth beside it", file=file, field=key, remedy="--subset leaves it out")


def _files(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise VolumeFileError("is no folder", file=folder, remedy="Give folders for both, or files for both")
    files = {file.name: file for file in sorted(folder.iterdir()) if file.name.lower().endswith(SUFFIXES)}
    if not files:
        raise VolumeFileError("holds no volume", file=folder)
    return files


def _numbered(files: Any) -> dict[str, Path]:  # noqa: ANN401 - a dictionary's values
    out: dict[str, Path] = {}
    for file in files:
        number = NUMBER.search(file.name.split(".")[0])
        key = str(int(number[1])) if number else file.name
        if key in out:
            raise VolumeFileError(f"and {out[key].name} are of one number", file=file, field=key)
        out[key] = file
    return out


def _in_file(error: FusetrackError, labels: Path, truth: Path) -> FusetrackError:
    file = truth if error.field == "truth" else labels
    return type(error)(error.problem, file=file, field=error.field, value=error.value, remedy=error.remedy)


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
