"""Icy's tracks (its Track Manager's XML): groups of tracks, each a list of detections in voxels, and their links."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from tracking3d.detections import Detections
from tracking3d.formats.linked import Link, in_file, scaled_um, tracks_of_links
from tracking3d.formats.safe_xml import finite_of, read_xml, text_of, whole_of
from tracking3d.tracks import Tracks
from volumes.errors import TableError

VIRTUAL = "2"
"""The ``type`` of a detection that Icy put where it saw none."""


def read_icy(path: str | Path, spacing_um: Sequence[float], dt_s: float | None = None) -> Tracks:
    """Tracks from Icy's XML: ``trackgroup`` / ``track`` / ``detection`` with t, x, y, z, and ``linklist`` / ``link``.

    Parameters
    ----------
    path : the ``.xml``.
    spacing_um : (z, y, x) µm of a voxel; the file counts voxels from 0 and does not say their size.
    dt_s : seconds from one frame to the next, where known.

    Returns
    -------
    Detections in the order of the file, with the features ``virtual`` (1 where Icy saw nothing and filled a gap),
    ``icy_track`` and ``icy_group`` (which group, from 0). A link leads from the last detection of a track to the first
    of the other.

    Raises
    ------
    TableError : no file of Icy's tracks, or detections or links that break the rules of tracks; names the element.
    UnitError : no voxel size.
    """
    root = read_xml(path)
    scale = scaled_um("pixel", spacing_um, path, "spacing_um")
    found = [
        (group, track) for group, element in enumerate(root.iter("trackgroup")) for track in element.iterfind("track")
    ]
    if not found and root.find(".//trackgroup") is None:
        raise TableError("holds no track group of Icy", file=path, field="trackgroup", value=root.tag)
    spots = [(group, track, spot) for group, track in found for spot in track.iterfind("detection")]
    links = _inside([track for _, track in found], path) + _between(root, found, path)
    zyx = np.array([[finite_of(spot, axis, path) for axis in "zyx"] for *_, spot in spots]).reshape(-1, 3)
    features = {
        "virtual": np.array([spot.get("type") == VIRTUAL for *_, spot in spots], dtype=np.int64),
        "icy_track": np.array([whole_of(track, "id", path) for _, track, _ in spots], dtype=np.int64),
        "icy_group": np.array([group for group, *_ in spots], dtype=np.int64),
    }
    try:
        frames = np.array([whole_of(spot, "t", path) for *_, spot in spots], dtype=np.int64)
        cells = Detections.of(frames, zyx * scale, features=features, dt_s=dt_s)
    except TableError as error:
        raise in_file(error, path) from error
    return tracks_of_links(cells, links, path)


def _inside(tracks: Sequence[Element], path: str | Path) -> list[Link]:
    """Links from each detection of a track to its next in time; ids count the detections of the file."""
    out, first = [], 0
    for track in tracks:
        frames = np.array([whole_of(spot, "t", path) for spot in track.iterfind("detection")], dtype=np.int64)
        order = first + np.argsort(frames, kind="stable")
        out += [Link(a, b) for a, b in zip(order[:-1].tolist(), order[1:].tolist(), strict=True)]
        first += len(frames)
    return out


def _between(root: Element, found: Sequence[tuple[int, Element]], path: str | Path) -> list[Link]:
    """Links from the last detection of a track to the first of another."""
    ends: dict[str, tuple[int, int]] = {}
    twice = set()
    first = 0
    for _, track in found:
        frames = [whole_of(spot, "t", path) for spot in track.iterfind("detection")]
        name = text_of(track, "id", path)
        if name in ends:
            twice.add(name)
        if frames:
            ends[name] = (first + int(np.argmin(frames)), first + int(np.argmax(frames)))
        first += len(frames)
    out = []
    for link in root.iterfind(".//linklist/link"):
        early, late = text_of(link, "from", path), text_of(link, "to", path)
        for name in (early, late):
            if name not in ends:
                raise TableError("<link> names no track with detections", file=path, field="link", value=name)
            if name in twice:
                raise TableError("<link> names two tracks of one id", file=path, field="link", value=name)
        out.append(Link(ends[early][1], ends[late][0]))
    return out
