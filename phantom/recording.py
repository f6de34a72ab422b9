"""A phantom on disk: volumes as their instruments would write them, and the truth beside them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from phantom.acquisition import Acquisition
from phantom.config import PhantomConfig
from phantom.instruments.config import InstrumentKind
from phantom.transform_files import write_transforms
from phantom.true_cells import true_cells
from phantom.truth import FOLDER, INDEX, VERSION, Truth, pose_as_dict, read_truth
from volumes import write
from volumes.atomic import replacing_folder, write_text
from volumes.errors import ConfigError, OutputError

Watcher = Callable[[str, int, int], None]
"""Told of (instrument, its place, how many): the progress bar."""


def write_phantom(config: PhantomConfig, out: str | Path, watch: Watcher | None = None) -> Truth:
    """Draw a phantom into a folder: ``NAME.ome.zarr`` (``.ome.tif``, ``.nii.gz``) for each instrument, and ``truth/``.

    Parameters
    ----------
    config : what to draw.
    out : a folder that is missing, empty, or holds a phantom, which is then replaced; all or nothing.
    watch : told of each instrument as its turn comes.

    Returns
    -------
    What :func:`~phantom.truth.read_truth` reads there.

    Raises
    ------
    OutputError : the folder holds something else, or cannot be written.
    ConfigError : numbers that contradict each other, or a format that cannot hold what an instrument records.
    """
    folder = Path(out)
    _refuse_foreign(folder)
    suffixes = {name: _suffix(name, instrument) for name, instrument in config.instruments.items()}
    phantom = config.build()
    with replacing_folder(folder) as temporary:
        entries = {}
        for place, (name, acquisition) in enumerate(phantom.acquisitions.items()):
            if watch:
                watch(name, place, len(phantom.acquisitions))
            entries[name] = _record(acquisition, name + suffixes[name], temporary)
        write_transforms(phantom, temporary / FOLDER / "transforms")
        index = {"version": VERSION, "seed": config.seed, "difficulty": config.difficulty, "instruments": entries}
        write_text(temporary / FOLDER / "phantom.json", config.model_dump_json(indent=2) + "\n")
        write_text(temporary / FOLDER / INDEX, json.dumps(index, indent=1) + "\n")
    return read_truth(folder)


def _record(acquisition: Acquisition, file: str, root: Path) -> dict[str, Any]:
    """Write one instrument's volumes and truth; gives its entry of the index, paths relative to ``root``."""
    beside = Path(FOLDER) / acquisition.name
    single = len(acquisition.times_s) == 1
    places = {"file": file, "labels": f"{beside}/labels.ome.zarr", "clean": f"{beside}/clean.ome.zarr"}
    movies = {"file": acquisition.image(), "labels": acquisition.labels(), "clean": acquisition.clean()}
    for key, movie in movies.items():
        write(movie[0] if single else movie, root / places[key])
    write_text(root / beside / "cells.csv", true_cells(acquisition).csv())
    _write_drift(acquisition, root / beside / "drift.csv")
    return {
        **places,
        "modality": acquisition.instrument.channel.modality,
        "projection": acquisition.instrument.projects,
        "times_s": list(acquisition.times_s),
        "cells": f"{beside}/cells.csv",
        "pose": pose_as_dict(acquisition.pose.to_world),
    }


def _write_drift(acquisition: Acquisition, path: Path) -> None:
    """What the stage moved by since frame 0: to be added to the world points of frame 0."""
    rows = [f"{t},{z!r},{y!r},{x!r}" for t, (z, y, x) in enumerate(acquisition.pose.drift_um.tolist())]
    write_text(path, "\n".join(["t,z_um,y_um,x_um", *rows]) + "\n")


def _suffix(name: str, instrument: InstrumentKind) -> str:
    """Suffix of an instrument's file; refused before anything is drawn where the format cannot hold its volumes."""
    chosen = instrument.format or ("nii.gz" if instrument.kind in ("ct", "mri") else "ome.zarr")
    if chosen in ("nii.gz", "nrrd") and instrument.frames > 1:
        problem, remedy = (
            f"{chosen} holds one volume, not {instrument.frames} frames",
            "ome.zarr or ome.tif, or one frame",
        )
    elif chosen == "ome.tif" and instrument.axes != ("z", "y", "x"):
        problem, remedy = f"ome.tif cannot say that the axes are {', '.join(instrument.axes)}", "ome.zarr"
    else:
        return f".{chosen}"
    raise ConfigError(problem, field=f"instruments.{name}.format", value=chosen, remedy=f"Use {remedy}")


def _refuse_foreign(folder: Path) -> None:
    """Raise OutputError unless the folder may be replaced: missing, empty, or a phantom with nothing else beside it."""
    if folder.exists() and not folder.is_dir():
        raise OutputError("is a file where a folder is to be written", file=folder, remedy="Choose another --out")
    found = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if not found:
        return
    if not (folder / FOLDER / INDEX).is_file():
        raise OutputError("holds what is no phantom", file=folder, remedy="Choose an empty or a new folder with --out")
    try:
        entries = json.loads((folder / FOLDER / INDEX).read_text(encoding="utf-8"))["instruments"].values()
        foreign = found - {FOLDER} - {Path(entry["file"]).name for entry in entries}
    except (ValueError, KeyError, TypeError, AttributeError):
        foreign = found
    if foreign:
        raise OutputError(
            "holds more than a phantom, which would be lost",
            file=folder,
            value=sorted(foreign),
            remedy="Move that away, or choose a new folder with --out",
        )
