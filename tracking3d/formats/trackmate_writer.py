"""Writing TrackMate XML, for Fiji's TrackMate to open, and for :mod:`tracking3d.formats.trackmate` to read whole."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray

from tracking3d.detections import Detections
from tracking3d.formats.trackmate import BASIC, BY_HAND, OTHER
from tracking3d.tracks import Tracks
from volumes.atomic import replacing_file
from volumes.errors import TableError

log = logging.getLogger(__name__)

LARGEST_ID = np.iinfo(np.int32).max
"""TrackMate's ids are Java's ints."""
DIMENSIONS = {"QUALITY": "QUALITY", "RADIUS": "LENGTH", "FRAME": "NONE", "VISIBILITY": "NONE", "POSITION_T": "TIME"}


def write_trackmate(tracks: Tracks, path: str | Path) -> None:
    """Write tracks as a TrackMate XML file, replaced at once.

    Positions are in µm and named so (``spatialunits="micron"``); times in seconds, or in frames where the seconds of
    a frame are not known. A radius is that of a ball of the cell's volume; ``VOLUME`` (µm³) is written beside it, NaN
    where it is not known, and the radius is then the median of the others, or 1 µm. Features of text are left out,
    which the log says; letters that XML does not allow in a name become ``_``.

    Raises
    ------
    TableError : an id that is negative or past 2³¹ − 1, or two features of one name there.
    OutputError : the file cannot be written.
    """
    cells = tracks.detections
    bad = (cells.id < 0) | (cells.id > LARGEST_ID)
    if bad.any():
        problem = f"must lie in 0 … {LARGEST_ID} in a TrackMate file"
        raise TableError(problem, field="id", value=int(cells.id[bad][0]), remedy="Number the cells anew, or use .geff")
    features = _features(cells)
    with replacing_file(Path(path)) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        units = {"spatialunits": "micron", "timeunits": "frame" if cells.dt_s is None else "sec"}
        file.write(f'<?xml version="1.0" encoding="UTF-8"?>\n<TrackMate version="7.11.1">\n  {_tag("Model", units)}\n')
        _declare(file, features)
        _write_spots(file, cells, features)
        _write_tracks(file, tracks)
        file.write(f"  </Model>\n  <Settings>\n    {_tag('ImageData', _image(cells))}</ImageData>\n  </Settings>\n")
        file.write("</TrackMate>\n")


def _features(cells: Detections) -> dict[str, NDArray[Any]]:
    """Columns of numbers by the names that they get in the file."""
    out: dict[str, NDArray[Any]] = {}
    for name, column in cells.features.items():
        if column.dtype.kind not in "biuf":
            log.warning("TrackMate knows no features of text: %s is left out", name)
            continue
        key = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
        key = key if re.match(r"[A-Za-z_]", key) and key not in (*BASIC, *OTHER) else f"FEATURE_{key}"
        if key in out:
            raise TableError(f"two features are called {key} in a TrackMate file", field=name, remedy="Rename one")
        out[key] = column.astype(np.int64) if column.dtype.kind == "b" else column
    return out


def _declare(file: TextIO, features: Mapping[str, NDArray[Any]]) -> None:
    """The names of all spot and edge features, without which TrackMate shows none."""
    file.write("    <FeatureDeclarations>\n      <SpotFeatures>\n")
    for name in dict.fromkeys(("QUALITY", *BASIC, *features)):
        whole = name in ("FRAME", "VISIBILITY") or (name in features and features[name].dtype.kind in "iu")
        dimension = DIMENSIONS.get(name, "POSITION" if name.startswith("POSITION") else "NONE")
        file.write(f"        {_tag('Feature', _declared(name, dimension, whole), end=True)}\n")
    file.write("      </SpotFeatures>\n      <EdgeFeatures>\n")
    for name in ("SPOT_SOURCE_ID", "SPOT_TARGET_ID", "CONFIDENCE", "MERGED_INTO"):
        file.write(f"        {_tag('Feature', _declared(name, 'NONE', name != 'CONFIDENCE'), end=True)}\n")
    file.write("      </EdgeFeatures>\n      <TrackFeatures>\n")
    for name in ("TRACK_INDEX", "TRACK_ID"):
        file.write(f"        {_tag('Feature', _declared(name, 'NONE', True), end=True)}\n")
    file.write("      </TrackFeatures>\n    </FeatureDeclarations>\n")


def _declared(name: str, dimension: str, whole: bool) -> dict[str, object]:
    shown = name.replace("_", " ").capitalize()
    return {
        "feature": name,
        "name": shown,
        "shortname": shown,
        "dimension": dimension,
        "isint": "true" if whole else "false",
    }


def _write_spots(file: TextIO, cells: Detections, features: Mapping[str, NDArray[Any]]) -> None:
    file.write(f'    <AllSpots nspots="{len(cells)}">\n')
    radius = _radii(cells.volume_um3)
    second = 1.0 if cells.dt_s is None else cells.dt_s
    for frame in cells.frames.tolist():
        file.write(f'      <SpotsInFrame frame="{frame}">\n')
        for row in cells.rows_at(frame).tolist():
            z, y, x = cells.zyx_um[row].tolist()
            own = int(cells.id[row])
            spot: dict[str, object] = {
                "ID": own,
                "name": f"ID{own}",
                "QUALITY": BY_HAND,
                "POSITION_X": x,
                "POSITION_Y": y,
                "POSITION_Z": z,
                "POSITION_T": frame * second,
                "FRAME": frame,
                "RADIUS": float(radius[row]),
                "VOLUME": float(cells.volume_um3[row]),
                "VISIBILITY": 1,
            }
            spot |= {name: column[row].item() for name, column in features.items()}
            file.write(f"        {_tag('Spot', spot, end=True)}\n")
        file.write("      </SpotsInFrame>\n")
    file.write("    </AllSpots>\n")


def _write_tracks(file: TextIO, tracks: Tracks) -> None:
    """Each lineage with a link as a track; a cell without one belongs to none."""
    numbers = []
    file.write("    <AllTracks>\n")
    for number, edges in _lineages(tracks):
        numbers.append(number)
        track = {"name": f"Track_{number}", "TRACK_INDEX": len(numbers) - 1, "TRACK_ID": number}
        file.write(f"      {_tag('Track', track)}\n")
        for early, late in edges.tolist():
            edge: dict[str, object] = {"SPOT_SOURCE_ID": int(tracks.detections.id[early])}
            edge["SPOT_TARGET_ID"] = int(tracks.detections.id[late])
            if tracks.confidence is not None:
                edge["CONFIDENCE"] = float(tracks.confidence[late])
            if tracks.merged_into is not None and tracks.merged_into[late] >= 0:
                edge["MERGED_INTO"] = int(tracks.detections.id[tracks.merged_into[late]])
            file.write(f"        {_tag('Edge', edge, end=True)}\n")
        file.write("      </Track>\n")
    file.write("    </AllTracks>\n    <FilteredTracks>\n")
    for number in numbers:
        file.write(f'      <TrackID TRACK_ID="{number}" />\n')
    file.write("    </FilteredTracks>\n")


def _lineages(tracks: Tracks) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """(lineage, its edges) in growing order."""
    edges = tracks.edges
    lineage = tracks.lineage_id[edges[:, 1]]
    edges = edges[np.argsort(lineage, kind="stable")]
    numbers, starts = np.unique(np.sort(lineage), return_index=True)
    yield from zip(numbers.tolist(), np.split(edges, starts[1:]), strict=len(numbers) > 0)


def _radii(volume: NDArray[np.float64]) -> NDArray[np.float64]:
    radius = np.cbrt(3 * volume / (4 * np.pi))
    known = radius[np.isfinite(radius)]
    return np.where(np.isfinite(radius), radius, np.median(known) if len(known) else 1.0)


def _image(cells: Detections) -> dict[str, object]:
    """An image of 1 µm voxels that holds all cells, since TrackMate asks for one."""
    size = np.ceil(cells.zyx_um.max(axis=0, initial=0)).astype(int) + 1
    return {
        "filename": "",
        "folder": "",
        "width": int(size[2]),
        "height": int(size[1]),
        "nslices": int(size[0]),
        "nframes": int(cells.t.max(initial=0)) + 1,
        "pixelwidth": 1.0,
        "pixelheight": 1.0,
        "voxeldepth": 1.0,
        "timeinterval": 1.0 if cells.dt_s is None else cells.dt_s,
    }


def _tag(name: str, attributes: Mapping[str, object], end: bool = False) -> str:
    inside = "".join(f" {key}={quoteattr(_text(value))}" for key, value in attributes.items())
    return f"<{name}{inside}{' />' if end else '>'}"


def _text(value: object) -> str:
    """A value as Java reads it; floats in the fewest digits that bring back the same number."""
    if isinstance(value, float) and not np.isfinite(value):
        return "NaN" if np.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return repr(value) if isinstance(value, float) else str(value)
