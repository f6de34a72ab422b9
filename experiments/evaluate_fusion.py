"""The published fusion figures of files: one fused picture or volume beside its sources, or whole folders of them."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.pictures import GreyLevels, Range, is_shown, read_grey_levels
from fusion.metrics import evaluate, per_source
from volumes.atomic import replacing_file
from volumes.errors import ConfigError, FusetrackError, GridError, OutputError, VolumeFileError
from volumes.shapes import AnyArray

TABLES = (".csv",)
Watch = Callable[[str, int, int], None]
"""Told which file is done, how many are, and of how many."""


@dataclass(frozen=True)
class Scores:
    """One row.

    Parameters
    ----------
    file : the fused file's name.
    figures : as :func:`fusion.metrics.evaluate` names them.
    parts : as :func:`fusion.metrics.per_source` names them, one value for each source.
    clipped : the largest share of voxels outside the stated range, of any of the files.
    """

    file: str
    figures: dict[str, float]
    parts: dict[str, list[float]]
    clipped: float = 0.0


def evaluate_files(
    fused: Path, sources: Sequence[Path], value_range: Range | None = None, unit: str | None = None
) -> Scores:
    """The figures of one fused file.

    Voxels that are outside the field of any of the volumes are black in all of them.

    Parameters
    ----------
    fused, sources : as :func:`experiments.pictures.read_grey_levels` takes them; of one shape, and volumes of one grid.
    value_range, unit : as there.

    Raises
    ------
    ConfigError : fewer than two sources.
    GridError : files of two shapes or grids.
    VolumeFileError, ContentError : a file that cannot be read or judged.
    """
    if len(sources) < 2:
        raise ConfigError("needs two files or more", field="--sources", value=[str(s) for s in sources])
    paths = [fused, *sources]
    read = [read_grey_levels(path, value_range, unit) for path in paths]
    _require_one_grid(paths, read)
    levels = _seen_by_all(read)
    spacing = None if read[0].grid is None else read[0].grid.spacing_um
    try:
        figures, parts = evaluate(levels[0], levels[1:], spacing), per_source(levels[0], levels[1:], spacing)
    except FusetrackError as error:
        raise _named(error, paths) from error
    return Scores(fused.name, figures, parts, max(one.clipped for one in read))


def evaluate_folders(
    fused: Path,
    sources: Sequence[Path],
    value_range: Range | None = None,
    unit: str | None = None,
    subset: bool = False,
    watch: Watch | None = None,
) -> list[Scores]:
    """The figures of each fused file in a folder, beside the files of its name in the sources' folders.

    Parameters
    ----------
    fused, sources : folders.
    value_range, unit : as for :func:`evaluate_files`.
    subset : leave out what has sources and was not fused, which otherwise is an error like any other missing partner.
    watch : told after each file.

    Raises
    ------
    VolumeFileError : nothing to read; a file without its partner.
    As :func:`evaluate_files`.
    """
    names = _names(fused)
    for folder in sources:
        own = _names(folder)
        for name in sorted(names - own):
            raise VolumeFileError("is missing", file=folder / name, remedy=f"{fused / name} needs its source")
        for name in sorted(own - names):
            if not subset:
                remedy = f"{folder / name} was not fused; --subset leaves it out"
                raise VolumeFileError("is missing", file=fused / name, remedy=remedy)
    rows = []
    for i, name in enumerate(sorted(names), start=1):
        rows.append(evaluate_files(fused / name, [folder / name for folder in sources], value_range, unit))
        if watch is not None:
            watch(name, i, len(names))
    return rows


def source_names(sources: Sequence[Path]) -> list[str]:
    """What the sources are called in a table: by name; with their folder where names are equal, or else numbered."""
    for names in ([s.name for s in sources], [f"{s.parent.name}/{s.name}" for s in sources]):
        if len(set(names)) == len(names):
            return names
    return [f"{i}:{source.name}" for i, source in enumerate(sources, start=1)]


def columns(row: Scores, names: Sequence[str]) -> dict[str, float]:
    """All figures of a row, those of each source as ``VIF of CT``."""
    parts = {f"{key} of {name}": v for key, of in row.parts.items() for name, v in zip(names, of, strict=True)}
    return {**row.figures, **parts}


def figures_of(rows: Sequence[Scores], names: Sequence[str]) -> dict[str, Any]:
    """The means over the rows, ready for JSON, which knows no infinity: None in its place.

    ``figures`` by name, ``per_source`` by name and source, and ``clipped``, the largest of the rows.
    """
    first = rows[0]
    return {
        "figures": {key: _mean([row.figures[key] for row in rows]) for key in first.figures},
        "per_source": {
            key: {name: _mean([row.parts[key][m] for row in rows]) for m, name in enumerate(names)}
            for key in first.parts
        },
        "clipped": max(row.clipped for row in rows),
    }


def require_suffix(out: Path | None, option: str, suffixes: Sequence[str]) -> None:
    """Raise OutputError where a file is named that is not of these formats; before the work rather than after it."""
    if out is not None and out.suffix.lower() not in suffixes:
        raise OutputError("is of no format known here", file=out, field=option, remedy=f"Name a {', '.join(suffixes)}")


def write_table(rows: Sequence[Scores], names: Sequence[str], out: Path) -> None:
    """Write a CSV of one row a file, in six significant digits.

    Raises
    ------
    OutputError : the file cannot be written; what was there stays.
    """
    require_suffix(out, "--out", TABLES)
    with replacing_file(out) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", *columns(rows[0], names), "clipped"])
        for row in rows:
            writer.writerow(
                [row.file, *(f"{value:.6g}" for value in columns(row, names).values()), f"{row.clipped:.6g}"]
            )


def _mean(values: Sequence[float]) -> float | None:
    mean = math.fsum(values) / len(values) if np.isfinite(values).all() else math.inf
    return mean if math.isfinite(mean) else None


def _names(folder: Path) -> set[str]:
    if not folder.is_dir():
        raise VolumeFileError("is no folder", file=folder, remedy="Give folders for all, or files for all")
    names = {path.name for path in folder.iterdir() if is_shown(path)}
    if not names:
        raise VolumeFileError("holds no picture and no volume", file=folder)
    return names


def _require_one_grid(paths: Sequence[Path], read: Sequence[GreyLevels]) -> None:
    first = read[0]
    for path, other in zip(paths[1:], read[1:], strict=True):
        remedy = f"Bring it onto the grid of {paths[0]} first"
        if other.levels.shape != first.levels.shape:
            problem = f"has shape {other.levels.shape}, {paths[0].name} {first.levels.shape}"
            raise GridError(problem, file=path, remedy=remedy)
        if first.grid is not None and other.grid is not None and not first.grid.is_close(other.grid):
            raise GridError(f"lies on another grid than {paths[0].name}", file=path, remedy=remedy)


def _seen_by_all(read: Sequence[GreyLevels]) -> list[AnyArray]:
    masks = [one.valid for one in read if one.valid is not None]
    if not masks:
        return [one.levels for one in read]
    seen = np.logical_and.reduce(masks)
    return [np.where(seen, one.levels, 0) for one in read]


def _named(error: FusetrackError, paths: Sequence[Path]) -> FusetrackError:
    """The same error with the file that it is about in the place of ``sources[i]``."""
    fields = ["fused", *(f"sources[{i}]" for i in range(len(paths) - 1))]
    at = fields.index(error.field) if error.field in fields else 0
    field = None if error.field in fields else error.field
    return type(error)(error.problem, file=paths[at], field=field, value=error.value, remedy=error.remedy)
