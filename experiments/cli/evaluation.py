"""The verb ``evaluate`` and those below it: figures for what is there already."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from experiments.cli.app import Json, Unit, app, say

evaluating = App(name="evaluate")
app.command(evaluating)
Spacing = Annotated[
    tuple[float, ...],
    Parameter(negative="", consume_multiple=True, help="z y x, of voxels whose file does not state their size."),
]


@evaluating.default
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
        say({part: [asdict(row) for row in rows] for part, rows in parts.items()}, json)
        return
    for part, rows in parts.items():
        print(f"{part}\n{as_text(rows)}" if rows else f"{part}\nno figure")


@evaluating.command
def fusion(
    *,
    fused: Path,
    sources: Annotated[
        list[Path], Parameter(negative="", consume_multiple=True, help="Two files or folders, or more.")
    ],
    out: Annotated[Path | None, Parameter(help="Table of all figures, one row a file: .csv.")] = None,
    figure: Annotated[Path | None, Parameter(help="Picture of all figures: .png, .pdf or .svg.")] = None,
    range_: Annotated[
        tuple[float, float] | None,
        Parameter(name="--range", negative="", help="LOW HIGH: what is black and white in files of more than 8 bits."),
    ] = None,
    unit: Unit = None,
    subset: Annotated[bool, Parameter(negative="", help="Folders: leave out sources that were not fused.")] = False,
    json: Json = False,
) -> None:
    """Score what was fused beside its sources with the published figures, on grey levels of 0-255.

    Pictures (PNG, JPEG, BMP, TIFF; colours as grey) and volumes (NIfTI, NRRD, OME-TIFF, OME-Zarr) of one grid. Of
    folders, files of one name belong together; a missing partner is an error.

    Parameters
    ----------
    fused
        The fused file, or a folder of them.
    """
    from experiments import evaluate_fusion as work
    from experiments import fusion_figure as drawn
    from experiments.progress import scoring

    work.require_suffix(out, "--out", work.TABLES)
    work.require_suffix(figure, "--figure", drawn.FORMATS)
    names = work.source_names(sources)
    if folders := fused.is_dir() and fused.suffix != ".zarr":
        with scoring(quiet=json) as watch:
            rows = work.evaluate_folders(fused, sources, range_, unit, subset, watch)
    else:
        rows = [work.evaluate_files(fused, sources, range_, unit)]
    if out is not None:
        work.write_table(rows, names, out)
    if figure is not None:
        drawn.write_figure(rows, names, figure)
    facts = work.figures_of(rows, names)
    if json:
        rest = {key: value for key, value in facts.items() if key != "figures"}
        say({"fused": str(fused), "sources": names, "files": len(rows), **facts["figures"], **rest}, json)
        return
    print(f"{f'mean of {len(rows)} files' if folders else fused.name}\n{_as_text(facts, names)}")


def _as_text(facts: dict[str, Any], names: list[str]) -> str:
    """A line for each figure; then a block of those of each source, names above."""
    lines = [f"{key:>14}  {_number(value)}" for key, value in facts["figures"].items()]
    lines.append(" " * 16 + "  ".join(f"{name:>9}" for name in names))
    for key, values in facts["per_source"].items():
        lines.append(f"{key:>14}  " + "  ".join(f"{_number(values[name]):>9}" for name in names))
    if facts["clipped"]:
        lines.append(f"{'clipped':>14}  up to {100 * facts['clipped']:.3g} % of a file's voxels, outside --range")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "infinite" if value is None else f"{value:.5g}"


@evaluating.command
def segmentation(
    *,
    labels: Path,
    truth: Path,
    out: Annotated[Path | None, Parameter(help="Table of all scores, one row a frame: .csv.")] = None,
    min_voxels: Annotated[int, Parameter(help="Smaller objects, of either, are left out.")] = 0,
    movie: Annotated[bool, Parameter(negative="", help="The files hold frames.")] = False,
    subset: Annotated[bool, Parameter(negative="", help="Folders: leave out labels without a truth.")] = False,
    resamples: Annotated[int, Parameter(help="Of the bootstrap over cells.")] = 1000,
    seed: int = 0,
    unit: Unit = None,
    spacing_um: Spacing = (),
    axes: Annotated[str | None, Parameter(help="Axes of a stack without metadata, e.g. TZYX.")] = None,
    sizes: Annotated[tuple[int, ...], Parameter(negative="", consume_multiple=True, help="One for each axis.")] = (),
    dt: Annotated[float | None, Parameter(help="Seconds between frames of such a stack.")] = None,
    json: Json = False,
) -> None:
    """Score labels beside true ones: AP, F1, PQ, SEG, DET, splits, merges, boundary errors, with 95 % intervals.

    Two volumes, two movies, or two folders, whose files belong together by name or by their number.

    Parameters
    ----------
    labels
        What was found: .ome.zarr, .ome.tif, .tif, .nii.gz, .nrrd, or a folder of them.
    truth
        The true labels, on the same grid.
    """
    from experiments import evaluate_segmentation as work
    from experiments.evaluate_fusion import TABLES, require_suffix
    from experiments.progress import scoring

    require_suffix(out, "--out", TABLES)
    stated = work.Stated(movie, unit, spacing_um, axes, sizes, dt)
    with scoring(quiet=json) as watch:
        if labels.is_dir() and labels.suffix != ".zarr":
            rows = work.evaluate_folders(labels, truth, stated, min_voxels, subset, watch)
        else:
            rows = work.evaluate_files(labels, truth, stated, min_voxels, watch)
    figures = work.figures_of(rows, resamples, seed)
    if out is not None:
        work.write_table(rows, figures, out)
    if json:
        say({"labels": str(labels), "truth": str(truth), "min voxels": min_voxels, **figures}, json)
        return
    print(work.as_lines(figures))


@evaluating.command
def tracking(
    *,
    tracks: Path,
    truth: Path,
    out: Annotated[Path | None, Parameter(help="Table of all scores: .csv.")] = None,
    distance_um: Annotated[
        float | None, Parameter(help="From a cell to its true one; left out: half the true cells' spacing.")
    ] = None,
    unit: Annotated[str | None, Parameter(help="Of z, y, x in CSV tables; left out: um.")] = None,
    spacing_um: Spacing = (),
    json: Json = False,
) -> None:
    """Score tracks beside true ones: the Cell Tracking Challenge's scores of its folders, links of tables.

    Folders (01_RES beside 01_GT) need the extra "metrics". Other files are of any format that is read; their cells are
    matched to the true ones of the frame by distance.

    Parameters
    ----------
    tracks
        What was found: a folder, .csv, .geff, .xml (TrackMate, Icy), .napari.csv or .mat (PhagoSight).
    truth
        The true tracks, in any of these.
    """
    from experiments import evaluate_tracking as work
    from experiments.evaluate_fusion import TABLES, require_suffix

    require_suffix(out, "--out", TABLES)
    scores = work.evaluate_tracking(tracks, truth, distance_um, work.Stated(unit, spacing_um or None))
    if out is not None:
        work.write_scores(scores, out)
    if json:
        say({"tracks": str(tracks), "truth": str(truth), "scores": scores}, json)
        return
    print(work.as_lines(scores))
