"""Verbs from volumes to cells, and from cells to tracks: ``segment`` and ``link``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from experiments.cli.app import Json, Unit, app, pair, say

if TYPE_CHECKING:
    from volumes.io import Layout


@app.command
def segment(
    image: Path,
    *,
    out: Path,
    kind: Annotated[
        str, Parameter(help="How: watershed needs no training; network has learnt what cells are; others to compare.")
    ] = "watershed",
    set_: Annotated[
        tuple[str, ...], Parameter(name="--set", negative="", help="KEY=VALUE: another setting of the kind.")
    ] = (),
    diameter_um: Annotated[
        float | None, Parameter(help="Of a typical cell; left out: estimated. Short for --set diameter_um=…")
    ] = None,
    hypotheses: Annotated[
        int, Parameter(help="Settings to try; from 2 on, all that they find competes, and link chooses.")
    ] = 1,
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
    import volumes
    from experiments.segment_files import segment_files, segmenter_config
    from volumes.errors import OutputError

    how = segmenter_config(kind, dict(map(pair, set_)), diameter_um)
    if movie and not out.name.endswith((".zarr", ".tif", ".tiff")):
        raise OutputError("this format holds no movie", file=out, remedy="Use .ome.zarr or .ome.tif")
    described = _layout(axes, sizes, spacing_um, dt) if axes else None
    opener = volumes.read_timelapse if movie else volumes.read
    say(segment_files(opener(image, modality=modality, unit=unit, layout=described), how, out, hypotheses), json)


@app.command
def link(
    detections: Path,
    *,
    out: Path,
    kind: Annotated[
        Literal["constraint", "literal", "kalman", "nearest", "trackpy"],
        Parameter(help="How: constraint weighs all links together; others are there to compare with."),
    ] = "constraint",
    set_: Annotated[
        tuple[str, ...], Parameter(name="--set", negative="", help="KEY=VALUE: another setting of the kind.")
    ] = (),
    unit: Annotated[str, Parameter(help="Unit of z, y, x (and radius) in the table.")] = "um",
    dt: Annotated[float | None, Parameter(help="Seconds between frames.")] = None,
    max_distance_um: Annotated[
        float | None, Parameter(help="Longest step; left out: estimated. Short for --set max_distance_um=…")
    ] = None,
    labels: Annotated[
        Path | None, Parameter(help="The movie of labels that the table was measured in, for a CTC folder.")
    ] = None,
    taught_by: Annotated[
        Path | None, Parameter(help="Tracks of such cells, a few linked, to learn rates and divisions from.")
    ] = None,
    json: Json = False,
) -> None:
    """Link a table of detections (t, z, y, x) over time.

    A CSV keeps every row and column and adds track_id and parent; where hypotheses compete (a column claims), also
    chosen.

    Parameters
    ----------
    detections
        CSV, plain or gzipped.
    out
        The tracks: .csv, .csv.gz, .geff, .xml (TrackMate), .napari.csv; or with --labels a folder of the Cell Tracking
        Challenge.
    """
    from experiments.link_files import link_files, linker_config

    short = {} if max_distance_um is None else {"max_distance_um": repr(max_distance_um)}
    how = linker_config(kind, short | dict(map(pair, set_)))
    say(link_files(detections, unit, dt, how, out, labels, taught_by), json)


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
