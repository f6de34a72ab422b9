"""Reading and writing tracks by suffix; each format is one file, imported only when it is used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from volumes.errors import ConfigError, OutputError, TableError, UnitError

if TYPE_CHECKING:
    from tracking3d.tracks import Tracks

NAPARI = (".napari.csv", ".napari.csv.gz")
WRITTEN = ".csv, .csv.gz, .geff, .xml (TrackMate) or .napari.csv"
READ = f"{WRITTEN}, .mat (PhagoSight), .xml of Icy or a folder of the Cell Tracking Challenge"


def read_tracks(
    path: str | Path,
    *,
    unit: str | None = None,
    spacing_um: Sequence[float] | None = None,
    dt_s: float | None = None,
) -> Tracks:
    """Tracks from a file or folder; the format is known by the suffix, of ``.xml`` by its root element.

    Parameters
    ----------
    path : .csv, .csv.gz, .napari.csv, .geff, .xml of TrackMate or Icy, .mat of PhagoSight, or a folder of the Cell
        Tracking Challenge, whose cells are then the centroids of its masks.
    unit : of the lengths in a CSV (µm, unless told otherwise).
    spacing_um : (z, y, x) µm of a voxel, for files that count voxels: Icy, PhagoSight, CTC, TrackMate in pixels.
    dt_s : seconds from one frame to the next, where the file does not say.

    Raises
    ------
    TableError : a suffix that is not known, or a file that is missing, damaged or breaks the rules of tracks.
    UnitError : a length without a unit.
    ConfigError : an option that this format does not have.
    """
    path = Path(path)
    if path.name.endswith((".csv", ".csv.gz")):
        _without(path, spacing_um=spacing_um)
        return _read_csv(path, unit, dt_s)
    _without(path, unit=unit)
    if path.suffix == ".geff":
        from tracking3d.formats.geff import read_geff

        _without(path, spacing_um=spacing_um, dt_s=dt_s)
        return read_geff(path)
    if path.suffix == ".xml":
        return _read_xml(path, spacing_um, dt_s)
    if path.suffix == ".mat":
        from tracking3d.formats.phagosight import read_phagosight

        return read_phagosight(path, _spacing(spacing_um, path), dt_s)
    if path.is_dir():
        from tracking3d.formats.ctc_reader import read_ctc

        return read_ctc(path, _spacing(spacing_um, path), dt_s)[0]
    raise TableError("is no known format of tracks", file=path, remedy=f"Give {READ}")


def write_tracks(tracks: Tracks, path: str | Path) -> None:
    """Write tracks at once, in the format of the suffix; of competing hypotheses all but a CSV hold the chosen alone.

    Raises
    ------
    OutputError : a suffix that is not known, or a place that cannot be written.
    TableError : tracks that the format cannot hold.
    """
    path = Path(path)
    write = writer_of(path)
    write(tracks if is_plain_csv(path) else tracks.cells(), path)


def is_plain_csv(path: Path) -> bool:
    """Whether a file of this name is a table of its own, and not napari's."""
    return path.name.endswith((".csv", ".csv.gz")) and not path.name.endswith(NAPARI)


def writer_of(path: Path) -> Callable[[Tracks, Path], None]:
    """What writes tracks to a file of this name.

    Raises
    ------
    OutputError : a suffix that is not known.
    """
    if is_plain_csv(path):
        from tracking3d.formats.table import write_tracks_csv

        return write_tracks_csv
    if path.name.endswith(NAPARI):
        from tracking3d.formats.napari import write_napari

        return write_napari
    if path.suffix == ".geff":
        from tracking3d.formats.geff import write_geff

        return write_geff
    if path.suffix == ".xml":
        from tracking3d.formats.trackmate_writer import write_trackmate

        return write_trackmate
    raise OutputError("is no known format of tracks", file=path, remedy=f"Use {WRITTEN}")


def _read_csv(path: Path, unit: str | None, dt_s: float | None) -> Tracks:
    if path.name.endswith(NAPARI):
        from tracking3d.formats.napari import read_napari

        return read_napari(path, unit, dt_s)
    from tracking3d.formats.table import read_tracks as read_table

    return read_table(path, unit or "um", dt_s)


def _read_xml(path: Path, spacing_um: Sequence[float] | None, dt_s: float | None) -> Tracks:
    from tracking3d.formats.icy import read_icy
    from tracking3d.formats.safe_xml import root_of
    from tracking3d.formats.trackmate import read_trackmate

    if root_of(path) == "TrackMate":
        return read_trackmate(path, spacing_um=spacing_um, dt_s=dt_s)
    return read_icy(path, _spacing(spacing_um, path), dt_s)


def _spacing(spacing_um: Sequence[float] | None, path: Path) -> Sequence[float]:
    if spacing_um is None:
        raise UnitError(
            "positions are in voxels of a size that the file does not say",
            file=path,
            field="spacing_um",
            remedy="State spacing_um=(z, y, x), µm",
        )
    return spacing_um


def _without(path: Path, **options: object) -> None:
    for name, value in options.items():
        if value is not None:
            raise ConfigError("is not for this format, which says it itself", file=path, field=name, value=value)
