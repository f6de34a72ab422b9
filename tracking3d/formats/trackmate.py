"""TrackMate XML: spots and directed edges between them, as Fiji's TrackMate reads and writes them (versions 5 to 8).

A track of TrackMate is a whole lineage, divisions included. Spots that were filtered out there stand in the file with
``VISIBILITY="0"``, and tracks that were are missing among ``FilteredTracks``.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from tracking3d.detections import COLUMNS, Detections
from tracking3d.formats.linked import Link, in_file, scaled_um, tracks_of_links
from tracking3d.formats.safe_xml import children, finite_of, number_of, read_xml, text_of, whole_of
from tracking3d.tracks import Tracks
from volumes.errors import TableError

log = logging.getLogger(__name__)

SECONDS_PER = {**dict.fromkeys(("sec", "s", "second", "seconds"), 1.0), "ms": 1e-3, "min": 60.0, "h": 3600.0}
"""Seconds in each unit of time; in any other, as ``frame``, the file does not say how long a frame takes."""
BASIC = ("POSITION_X", "POSITION_Y", "POSITION_Z", "POSITION_T", "FRAME", "RADIUS", "VOLUME", "VISIBILITY")
"""Attributes of a spot that are no features; ``QUALITY`` is one, unless all spots were placed by hand (−1)."""
OTHER = ("ID", "name", "MANUAL_COLOR", "MANUAL_SPOT_COLOR", "ROI_N_POINTS")
BY_HAND = -1.0
"""Quality of a spot that no detector found."""


def read_trackmate(
    path: str | Path,
    *,
    spacing_um: Sequence[float] | None = None,
    dt_s: float | None = None,
    all_tracks: bool = False,
) -> Tracks:
    """Tracks from a TrackMate XML file.

    Parameters
    ----------
    path : the ``.xml``.
    spacing_um : (z, y, x) µm of a voxel, where the file's own unit is the pixel; refused where it is a length.
    dt_s : seconds from one frame to the next, where the file does not say.
    all_tracks : keep the tracks that were filtered out, too. Hidden spots that belong to none are always left out.

    Returns
    -------
    Detections in the order of the file, with TrackMate's ids. A spot's ``VOLUME`` (µm³) is its volume, or else the
    ball of its ``RADIUS``; further numbers are features, by the names of the file; ``CONFIDENCE`` and
    ``MERGED_INTO`` (the id of a spot) of edges are kept.

    Raises
    ------
    TableError : no TrackMate file, or spots or edges that break the rules of tracks; names the element.
    UnitError : a unit of length that is not known, or missing.
    """
    root = read_xml(path)
    if root.tag != "TrackMate":
        raise TableError("is no TrackMate file", file=path, field="root element", value=root.tag)
    model = next(children(root, path, "Model"), None)
    if model is None:
        raise TableError("holds no tracking model", file=path, field="Model", remedy="Save it in TrackMate again")
    links, dropped = _links(model, path, all_tracks)
    spots = _spots(model, path, {row for link in links for row in link[:2]}, dropped)
    if not spots:
        log.warning("%s holds no visible spot", path)
    scale = scaled_um(model.get("spatialunits"), spacing_um, path, "spatialunits")
    return tracks_of_links(_detections(spots, scale, _dt_s(root, model, dt_s), path), links, path)


def _links(model: Element, path: str | Path, all_tracks: bool) -> tuple[list[Link], set[int]]:
    """The edges that are kept, and the ids of the spots of tracks that are not."""
    chosen = model.find("FilteredTracks")
    kept = None if all_tracks or chosen is None else {text_of(e, "TRACK_ID", path) for e in chosen.iter("TrackID")}
    links: list[Link] = []
    dropped: set[int] = set()
    for track in children(model, path, "AllTracks", "Track"):
        edges = [(whole_of(e, "SPOT_SOURCE_ID", path), whole_of(e, "SPOT_TARGET_ID", path), e) for e in track]
        if kept is None or text_of(track, "TRACK_ID", path) in kept:
            links += [Link(a, b, number_of(edge, "CONFIDENCE"), _merged(edge, path)) for a, b, edge in edges]
        else:
            dropped.update(spot for a, b, _ in edges for spot in (a, b))
    # A cell of a track that is left out cannot have been merged into.
    return [link._replace(merged_into=-1) if link.merged_into in dropped else link for link in links], dropped


def _merged(edge: Element, path: str | Path) -> int:
    """The id of the spot that a cell was part of on the way, −1 for none."""
    return -1 if edge.get("MERGED_INTO") is None else whole_of(edge, "MERGED_INTO", path)


def _spots(model: Element, path: str | Path, linked: set[int], dropped: set[int]) -> list[tuple[int, int, Element]]:
    """(id, frame, element) of each spot that is kept: linked ones, and visible ones that belong to no track."""
    out = []
    for frame in children(model, path, "AllSpots", "SpotsInFrame"):
        number = whole_of(frame, "frame", path)
        for spot in frame.iterfind("Spot"):
            own = whole_of(spot, "ID", path)
            if own in linked or (own not in dropped and spot.get("VISIBILITY", "1") != "0"):
                out.append((own, number, spot))
    return out


def _detections(
    spots: list[tuple[int, int, Element]], scale: NDArray[np.float64], dt_s: float | None, path: str | Path
) -> Detections:
    zyx = [[finite_of(spot, f"POSITION_{axis}", path) for axis in "ZYX"] for *_, spot in spots]
    radius = np.array([number_of(spot, "RADIUS") for *_, spot in spots])
    ball = 4 / 3 * np.pi * radius**3 * scale.prod()
    told = np.array([number_of(spot, "VOLUME") for *_, spot in spots]) * scale.prod()
    says = np.array([spot.get("VOLUME") is not None for *_, spot in spots], dtype=bool)
    try:
        return Detections.of(
            np.array([frame for _, frame, _ in spots], dtype=np.int64),
            np.array(zyx, dtype=np.float64).reshape(-1, 3) * scale,
            np.where(says, told, ball),
            _features([spot for *_, spot in spots]),
            dt_s,
            np.array([own for own, *_ in spots], dtype=np.int64),
        )
    except TableError as error:
        raise in_file(error, path) from error


def _features(spots: list[Element]) -> dict[str, NDArray[Any]]:
    """Further attributes that are numbers for at least one spot; whole numbers where all are."""
    names = dict.fromkeys(name for spot in spots for name in spot.attrib)
    out: dict[str, NDArray[Any]] = {}
    for name in names:
        if name in (*BASIC, *OTHER, *COLUMNS):
            continue
        texts = [spot.get(name, "NaN") for spot in spots]
        if all(text.removeprefix("-").isdecimal() and len(text) < 19 for text in texts):
            out[name] = np.array(texts).astype(np.int64)
            continue
        values = np.array([number_of(spot, name) for spot in spots])
        if name == "QUALITY" and (values == BY_HAND).all():
            continue
        if not np.isnan(values).all() or all(text == "NaN" for text in texts):
            out[name] = values
    return out


def _dt_s(root: Element, model: Element, stated: float | None) -> float | None:
    """Seconds a frame: what the file says, if it knows seconds, or else what was stated."""
    image = root.find("Settings/ImageData")
    interval = number_of(image, "timeinterval") if image is not None else np.nan
    seconds = SECONDS_PER.get(model.get("timeunits", ""), np.nan) * interval
    return float(seconds) if np.isfinite(seconds) and seconds > 0 else stated
