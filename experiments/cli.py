"""The ``fusetrack`` command: files in, files out; exit code 0 only when the result can be trusted.

Heavy packages are imported inside the verbs, so that ``fusetrack --help`` answers at once.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

if TYPE_CHECKING:
    from experiments.config import Config
    from experiments.pipeline import RunResult
    from volumes.io import Layout

app = App(
    name="fusetrack",
    help="Brings volumes of one specimen onto one grid, fuses them, finds the cells and follows them. Lengths in µm.",
    version_flags=["--version"],
)
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print the result as JSON, for machines.")]
Modality = Annotated[str | None, Parameter(help="What took it; left out: what an OME-Zarr says, else optical.")]
Unit = Annotated[str | None, Parameter(help="Unit of length of the file, where it states none.")]


@app.command
def run(
    config: Path,
    *,
    out: Annotated[Path | None, Parameter(help="The run's folder; left out: results/<name>.")] = None,
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative="", help="KEY=VALUE, e.g. fuse.base=max.")] = (),
    json: Json = False,
) -> None:
    """Run an experiment: register, fuse, segment, link, evaluate and report, as its YAML asks.

    Parameters
    ----------
    config
        The experiment's YAML file.
    """
    from experiments.config import load

    _run(load(config, dict(_pair(item) for item in set_)), out, json)


@app.command
def phantom(
    config: Path,
    *,
    out: Path,
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative="", help="KEY=VALUE, e.g. difficulty=0.2.")] = (),
    json: Json = False,
) -> None:
    """Draw a phantom: one specimen before several instruments, and the exact truth beside what they record.

    Parameters
    ----------
    config
        The phantom's YAML file.
    out
        A folder that is missing, empty, or holds a phantom, which is then replaced.
    """
    from experiments.phantom_file import load_phantom
    from experiments.progress import drawing
    from phantom.recording import write_phantom

    chosen = load_phantom(config, dict(_pair(item) for item in set_))
    with drawing(quiet=json) as watch:
        truth = write_phantom(chosen, out, watch)
    files = [str(recorded.file) for recorded in truth.instruments.values()]
    _say({"folder": str(out), "instruments": [*truth.instruments], "files": files}, json)


@app.command
def evaluate(
    run: Path,
    *,
    json: Json = False,
) -> None:
    """Score a run's results again, against the truth that its config carries; nothing else is run.

    Parameters
    ----------
    run
        The folder of a complete run.
    """
    from dataclasses import asdict

    from experiments.progress import progress
    from experiments.rescore import rescored
    from experiments.scoring.table import as_text

    with progress(quiet=json) as watch:
        parts = rescored(run, watch)
    if json:
        _say({part: [asdict(row) for row in rows] for part, rows in parts.items()}, json)
        return
    for part, rows in parts.items():
        print(f"{part}\n{as_text(rows)}" if rows else f"{part}\nno figure")


@app.command
def demo(
    *,
    out: Annotated[Path | None, Parameter(help="The run's folder; left out: results/demo.")] = None,
    json: Json = False,
) -> None:
    """Run the demonstration on real data that comes with the package; takes a few minutes."""
    import importlib.resources

    from experiments.config import load

    with importlib.resources.as_file(importlib.resources.files("configs") / "demo.yaml") as path:
        _run(load(path), out, json)


@app.command
def register(
    fixed: Path,
    moving: Annotated[list[Path], Parameter(negative="")],
    *,
    out: Path,
    kind: Annotated[
        Literal["auto", "rigid", "similarity", "affine", "deformable", "projection"],
        Parameter(help="What the transform may do; auto: by the two modalities."),
    ] = "auto",
    start: Annotated[Path | None, Parameter(help="ITK transform, fixed to moving points, to begin from.")] = None,
    fixed_mask: Annotated[
        Path | None, Parameter(help="Volume on FIXED's grid, above 0 where it may be looked at.")
    ] = None,
    moving_mask: Annotated[Path | None, Parameter(help="The same on MOVING's grid.")] = None,
    set_: Annotated[
        tuple[str, ...], Parameter(name="--set", negative="", help="KEY=VALUE: another setting of the kind.")
    ] = (),
    fixed_modality: Modality = None,
    moving_modality: Annotated[
        tuple[str, ...], Parameter(negative="", consume_multiple=True, help="One for each MOVING.")
    ] = (),
    fixed_unit: Unit = None,
    moving_unit: Unit = None,
    json: Json = False,
) -> None:
    """Find the transform from FIXED to each MOVING; write it, its inverse and the resampled volume into OUT.

    Parameters
    ----------
    fixed
        The volume that stays (NIfTI, NRRD, OME-TIFF or OME-Zarr).
    moving
        What is to be brought onto its grid; of several, each has a folder of its name in OUT.
    out
        Folder for transform and inverse (.tfm, or .h5 where not linear), registered.ome.zarr and quality.json.
    """
    from experiments.register_files import Given, Hints, register_files, registrar_config
    from volumes.errors import ConfigError, StageError

    names: tuple[str | None, ...] = moving_modality or tuple(_modality(path, None) for path in moving)
    if len(names) != len(moving):
        raise ConfigError(
            f"needs one value for each of the {len(moving)} volumes", field="--moving-modality", value=names
        )
    found = register_files(
        Given(fixed, _modality(fixed, fixed_modality), fixed_unit),
        [Given(path, name, moving_unit) for path, name in zip(moving, names, strict=True)],
        out,
        registrar_config(kind, dict(map(_pair, set_))),
        Hints(fixed_mask, moving_mask, start),
    )
    if len(found) == 1 or json:
        _say(next(iter(found.values())) if len(found) == 1 else found, json)
    else:
        for folder, facts in found.items():
            _say({"folder": folder, **facts}, json)
    failed = [folder for folder, facts in found.items() if facts["status"] == "failed"]
    if failed:
        reasons = "; ".join(str(reason) for reason in found[failed[0]]["reasons"])
        raise StageError("registration failed", file=failed[0], field="status", remedy=reasons)


@app.command
def fuse(
    sources: Annotated[list[Path], Parameter(negative="")],
    *,
    out: Path,
    modality: Annotated[
        tuple[str, ...], Parameter(negative="", consume_multiple=True, help="One for each source.")
    ] = (),
    unit: Unit = None,
    base: Literal["mean", "max"] = "mean",
    json: Json = False,
) -> None:
    """Fuse volumes that lie on one grid into one; the suffix of OUT decides its format.

    Parameters
    ----------
    sources
        Two or more volumes on one grid.
    out
        The fused volume: .nii.gz, .nrrd, .ome.tif or .ome.zarr.
    base
        How the coarsest level is taken: mean or max.
    """
    import fusion
    import volumes
    from fusion.lpf import LPFConfig
    from volumes.errors import ConfigError

    names: tuple[str | None, ...] = modality or tuple(_modality(path, None) for path in sources)
    if len(names) != len(sources):
        raise ConfigError(f"needs one value for each of the {len(sources)} sources", field="--modality", value=names)
    read = [volumes.read(path, modality=name, unit=unit) for path, name in zip(sources, names, strict=True)]
    volumes.write(fusion.fuse(read, LPFConfig(base=base)), out)
    _say({"fused": str(out), "sources": [str(path) for path in sources]}, json)


@app.command
def segment(
    image: Path,
    *,
    out: Path,
    modality: str = "fluorescence",
    unit: Unit = None,
    movie: bool = False,
    axes: Annotated[str | None, Parameter(help="Axes of a stack without metadata, e.g. TZYX.")] = None,
    sizes: Annotated[tuple[int, ...], Parameter(negative="", consume_multiple=True, help="One for each axis.")] = (),
    spacing_um: Annotated[
        tuple[float, ...], Parameter(negative="", consume_multiple=True, help="Of its voxels: z y x.")
    ] = (),
    dt: Annotated[float | None, Parameter(help="Seconds between frames of such a stack.")] = None,
    json: Json = False,
) -> None:
    """Find the cells of a volume, or with --movie of every frame; write labels and a table of cells beside them.

    Parameters
    ----------
    image
        The volume or movie.
    out
        The labels: .ome.zarr or .ome.tif (volumes and movies), .nii.gz or .nrrd (volumes). The table is OUT.csv.
    """
    import tracking3d
    import volumes
    from tracking3d.formats.table import write_detections
    from volumes.errors import OutputError

    if movie and not out.name.endswith((".zarr", ".tif", ".tiff")):
        raise OutputError("this format holds no movie", file=out, remedy="Use .ome.zarr or .ome.tif")
    described = _layout(axes, sizes, spacing_um, dt) if axes else None
    opener = volumes.read_timelapse if movie else volumes.read
    source = opener(image, modality=modality, unit=unit, layout=described)
    labels = tracking3d.segment(source)
    cells = tracking3d.detect(labels, source)
    volumes.write(labels, out)
    write_detections(cells, Path(f"{out}.csv"))
    _say({"labels": str(out), "table": f"{out}.csv", "cells": len(cells)}, json)


@app.command
def link(
    detections: Path,
    *,
    out: Path,
    unit: Annotated[str, Parameter(help="Unit of z, y, x (and radius) in the table.")] = "um",
    dt: Annotated[float | None, Parameter(help="Seconds between frames.")] = None,
    max_distance_um: Annotated[float | None, Parameter(help="Longest step; left out: estimated.")] = None,
    json: Json = False,
) -> None:
    """Link a table of detections (t, z, y, x) over time; every row and column is kept, track_id and parent added.

    Parameters
    ----------
    detections
        CSV, plain or gzipped.
    out
        CSV for the tracks.
    """
    import tracking3d
    from tracking3d.formats.table import read_detections, write_linked_rows
    from tracking3d.link.assignment import AssignmentConfig

    cells = read_detections(detections, unit=unit, dt_s=dt)
    tracks = tracking3d.link(cells, AssignmentConfig(max_distance_um=max_distance_um))
    write_linked_rows(tracks, detections, out)
    _say({"tracks": len(set(tracks.track_id.tolist())), "divisions": len(tracks.divisions), "out": str(out)}, json)


def main() -> None:
    """Entry point: run one verb; a typed error becomes one message and exit code 1."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        app()
    except Exception as error:
        from volumes.errors import FusetrackError

        if not isinstance(error, FusetrackError):
            raise
        _fail(error)


def _fail(error: Exception) -> None:
    if "--json" in sys.argv:
        print(json.dumps({"error": type(error).__name__, "message": str(error)}), file=sys.stderr)
    else:
        print(f"fusetrack: {error}", file=sys.stderr)
    sys.exit(1)


def _run(config: Config, out: Path | None, as_json: bool) -> None:
    from experiments.pipeline import run as run_pipeline
    from experiments.progress import progress

    folder = out or Path("results") / config.name
    with progress(quiet=as_json) as watch:
        result = run_pipeline(config, folder, watch)
    _say(_facts(result), as_json)


def _facts(result: RunResult) -> dict[str, Any]:
    return {"report": str(result.report), "folder": str(result.folder), "stages_run": list(result.worked)}


def _say(facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(facts, ensure_ascii=False))
        return
    for key, value in facts.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else value
        print(f"{key.replace('_', ' '):>12}  {text if text != '' else 'none'}")


def _modality(path: Path, stated: str | None) -> str | None:
    """What was stated, or nothing for a format that may say so itself, or else the most general one."""
    return stated if stated or path.suffix == ".zarr" else "optical"


def _layout(axes: str, sizes: tuple[int, ...], spacing_um: tuple[float, ...], dt: float | None) -> Layout:
    from pydantic import ValidationError

    from volumes.errors import ConfigError
    from volumes.io import Layout

    values = {"axes": axes, "sizes": sizes, "spacing_um": spacing_um, "dt_s": dt}
    try:
        return Layout.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = "--" + str(first["loc"][0] if first["loc"] else "axes").replace("_", "-")
        raise ConfigError(first["msg"], field=field, value=first["input"], remedy="See segment --help") from error


def _pair(item: str) -> tuple[str, str]:
    from volumes.errors import ConfigError

    key, sign, value = item.partition("=")
    if not (key and sign):
        raise ConfigError("needs KEY=VALUE", field="--set", value=item, remedy="For example --set fuse.base=max")
    return key, value
