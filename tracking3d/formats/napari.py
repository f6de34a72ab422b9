"""Tracks as napari's layer takes them: a CSV of track_id, t, z, y, x, and beside it a JSON of the graph and the units.

napari's ``Tracks`` layer wants rows sorted by track, then time, and a graph from each track to the tracks it came from
(napari, "Using the tracks layer"). A track there has no division inside, as here.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracking3d.detections import Detections
from tracking3d.formats.linked import Link, tracks_of_links
from tracking3d.formats.rows import need, numbers, read_rows, whole_numbers
from tracking3d.formats.table import detections_of_rows, write_frame
from tracking3d.tracks import Tracks
from volumes.atomic import write_text
from volumes.errors import TableError

log = logging.getLogger(__name__)

COLUMNS = ("track_id", "t", "z", "y", "x")
LARGEST = 256 << 20
"""Bytes of a graph that is still read."""


def write_napari(tracks: Tracks, path: str | Path) -> None:
    """Write ``path`` (CSV, µm) and the graph beside it, as :func:`graph_path` names it.

    ``napari.layers.Tracks(table[["track_id", "t", "z", "y", "x"]], graph=json["graph"])``, keys turned into whole
    numbers, shows them; the further columns are properties.

    Raises
    ------
    OutputError : a file cannot be written.
    """
    table = tracks.detections.as_frame().assign(track_id=tracks.track_id)
    if tracks.confidence is not None:
        table = table.assign(link_confidence=tracks.confidence)
    if tracks.merged_into is not None:
        into = np.append(tracks.detections.id, -1)[tracks.merged_into]
        table = table.assign(merged_into_id=into)
    order = np.lexsort((tracks.detections.t, tracks.track_id))
    first = [*COLUMNS, *(name for name in table if name not in COLUMNS)]
    write_frame(table[first].iloc[order], Path(path))
    facts = {"unit": "um", "dt_s": tracks.detections.dt_s, "graph": _graph(tracks)}
    write_text(graph_path(path), json.dumps(facts, indent=1) + "\n")


def read_napari(path: str | Path, unit: str | None = None, dt_s: float | None = None) -> Tracks:
    """Tracks from such a CSV; without a graph beside it every track stands alone, which the log says.

    Parameters
    ----------
    path : ``.csv`` or ``.csv.gz``.
    unit, dt_s : of z, y, x, and seconds a frame, where no JSON says them; left out, µm and not known.

    Raises
    ------
    TableError : missing columns, values that are no numbers, a track with two cells in one frame, a graph that names
        no such track, goes back in time or gives a track two parents.
    """
    rows = read_rows(path)
    need(rows, COLUMNS, path)
    track = whole_numbers(rows, "track_id", path, "Number the tracks")
    facts = _facts(graph_path(path))
    stated = unit or facts.get("unit") or "um"
    trust, into = np.full(len(rows), np.nan), np.full(len(rows), -1)
    if "link_confidence" in rows:
        trust = numbers(rows, "link_confidence", path, unknown=True)
    if "merged_into_id" in rows:
        into = whole_numbers(rows, "merged_into_id", path, "Give ids, −1 for none")
    plain = rows.drop(columns=["link_confidence", "merged_into_id"], errors="ignore")
    cells = detections_of_rows(plain, path, stated, dt_s or facts.get("dt_s"))
    order = np.lexsort((cells.t, track))
    pairs = _links(cells, track, order, facts.get("graph", {}), path)
    own = cells.id.tolist()
    return tracks_of_links(cells, [Link(own[a], own[b], float(trust[b]), int(into[b])) for a, b in pairs], path)


def graph_path(path: str | Path) -> Path:
    """Where the graph of a CSV stands: ``cells.napari.csv`` → ``cells.napari.json``."""
    path = Path(path)
    name = path.name.removesuffix(".gz").removesuffix(".csv")
    return path.with_name(f"{name}.json")


def _graph(tracks: Tracks) -> dict[str, list[int]]:
    """The parent track of each track that begins with a division."""
    edges = tracks.edges
    apart = edges[tracks.track_id[edges[:, 0]] != tracks.track_id[edges[:, 1]]]
    return {str(tracks.track_id[late]): [int(tracks.track_id[early])] for early, late in apart.tolist()}


def _links(
    cells: Detections,
    track: NDArray[np.int64],
    order: NDArray[np.int64],
    graph: Mapping[str, Sequence[int]],
    path: str | Path,
) -> list[tuple[int, int]]:
    """Rows linked inside each track, from each cell to the next, and by the graph, from last cell to first."""
    number = track[order]
    same = number[1:] == number[:-1]
    twice = same & (cells.t[order][1:] == cells.t[order][:-1])
    if twice.any():
        row = int(order[1:][twice][0])
        raise TableError(f"row {row} is its track's second cell in frame {cells.t[row]}", file=path, field="track_id")
    links = list(zip(order[:-1][same].tolist(), order[1:][same].tolist(), strict=True))
    starts = np.flatnonzero(np.r_[True, ~same][: len(order)])
    ends = np.r_[starts[1:], len(order)] - 1
    at = {str(number[start]): (int(start), int(end)) for start, end in zip(starts, ends, strict=len(order) > 0)}
    for child, parents in graph.items():
        for parent in map(str, parents):
            if child not in at or parent not in at:
                raise TableError(
                    f"{child} from {parent}: no such track in {Path(path).name}", file=graph_path(path), field="graph"
                )
            early, late = at[parent][1], at[child][0]
            if cells.t[order[late]] <= cells.t[order[early]]:
                raise TableError(f"{child} begins before {parent} ends", file=graph_path(path), field="graph")
            links.append((int(order[early]), int(order[late])))
    return links


def _facts(path: Path) -> dict[str, Any]:
    """What the JSON says, checked; nothing where there is none."""
    if not path.exists():
        log.warning("%s is missing: no track is another's daughter", path)
        return {}
    try:
        if path.stat().st_size > LARGEST:
            raise TableError("is larger than this reader takes", file=path, value=path.stat().st_size)
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise TableError(f"is no JSON: {error}", file=path, remedy="Write it again, or remove it") from error
    graph = facts.get("graph") if isinstance(facts, dict) else None
    sound = isinstance(graph, dict) and all(
        isinstance(parents, list) and all(isinstance(one, int) for one in parents) for parents in graph.values()
    )
    if not sound:
        remedy = 'Give {"unit": "um", "dt_s": 60, "graph": {"2": [1]}}'
        raise TableError("holds no graph of tracks", file=path, field="graph", remedy=remedy)
    return dict(facts)
