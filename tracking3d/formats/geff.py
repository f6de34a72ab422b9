"""GEFF, the graph exchange file format for tracks: a Zarr folder of cells (nodes) and links (edges)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracking3d.detections import Detections
from tracking3d.formats.linked import in_file
from tracking3d.tracks import Tracks
from volumes.atomic import replacing_folder
from volumes.errors import TableError, UnitError

UM_PER = {"micrometer": 1.0, "nanometer": 1e-3, "millimeter": 1e3, "centimeter": 1e4, "meter": 1e6}
"""Micrometres in each length unit that is read."""
SECONDS_PER = {"second": 1.0, "millisecond": 1e-3, "minute": 60.0, "hour": 3600.0}

OWN = ("t", "z", "y", "x", "volume", "track_id", "lineage_id")
"""Node properties that are no features."""


def write_geff(tracks: Tracks, path: str | Path) -> None:
    """Write tracks as a GEFF folder (Zarr 2), in place of one that is there.

    Nodes carry the detections' ids, ``t`` (frames, with seconds a frame as the axis' scale), ``z``, ``y``, ``x`` in
    micrometres, ``volume`` in µm³, ``track_id``, and the features; edges run from parent to child.

    Raises
    ------
    TableError : an id below 0, which GEFF cannot hold.
    OutputError : the folder cannot be written.
    """
    from geff.core_io import write_arrays

    cells = tracks.detections
    if len(cells) and int(cells.id.min()) < 0:
        raise TableError("is below 0, which GEFF cannot hold", field="id", value=int(cells.id.min()))
    ids = cells.id.astype(np.uint64)
    with replacing_folder(Path(path)) as temporary:
        write_arrays(
            temporary,
            ids,
            _node_properties(tracks),
            ids[tracks.edges],
            _edge_properties(tracks),
            _metadata(tracks),
            overwrite=True,
        )


def read_geff(path: str | Path) -> Tracks:
    """Tracks from a GEFF folder whose axes are named t, z, y, x and state their units.

    Raises
    ------
    TableError : no GEFF folder, a missing axis, a cell with two parents, or links that break the rules of tracks.
    UnitError : an axis of space without a known unit.
    """
    from geff.core_io import read_to_memory

    path = Path(path)
    try:
        graph = read_to_memory(path, structure_validation=True, data_validation=None)
    except (ValueError, FileNotFoundError, KeyError) as error:
        raise TableError(
            f"is no GEFF: {error}", file=path, remedy="Give the folder that holds nodes/ and edges/"
        ) from error
    axes = {axis.name: axis for axis in graph["metadata"].axes or ()}
    missing = [name for name in ("t", "z", "y", "x") if name not in axes]
    if missing:
        raise TableError("is missing among the axes", file=path, field=", ".join(missing), value=[*axes])
    properties = {name: held["values"] for name, held in graph["node_props"].items()}
    centres = [properties[name] * _um_per(axes[name], path) for name in ("z", "y", "x")]
    further = {name: column for name, column in properties.items() if name not in OWN and column.ndim == 1}
    try:
        cells = Detections.of(
            properties["t"],
            np.column_stack(centres),
            properties.get("volume"),
            further,
            _dt_s(axes["t"]),
            graph["node_ids"].astype(np.int64),
        )
        return _linked(cells, graph["edge_ids"].astype(np.int64), graph["edge_props"], path)
    except TableError as error:
        raise in_file(error, path) from error


def _linked(cells: Detections, edges: NDArray[np.int64], properties: Any, path: Path) -> Tracks:  # noqa: ANN401
    """Tracks from edges (e, 2) of ids; how far each can be trusted and where its cell was merged are properties."""
    order = np.argsort(cells.id)
    parent = np.full(len(cells), -1, dtype=np.int64)
    source, target = order[np.searchsorted(cells.id, edges, sorter=order)].reshape(-1, 2).T
    twice = np.flatnonzero(np.bincount(target, minlength=len(cells)) > 1)
    if len(twice):
        raise TableError(
            "has two parents", file=path, field="id", value=int(cells.id[twice[0]]), remedy="Undo the merge"
        )
    parent[target] = source
    trust, merged = None, None
    if "confidence" in properties:
        trust = np.full(len(cells), np.nan)
        trust[target] = properties["confidence"]["values"]
    if "merged_into" in properties:
        held, merged = properties["merged_into"], np.full(len(cells), -1)
        known = np.ones(len(target), bool) if held["missing"] is None else ~held["missing"]
        merged[target[known]] = order[np.searchsorted(cells.id, held["values"][known], sorter=order)]
    return Tracks(cells, parent, trust, merged)


def _node_properties(tracks: Tracks) -> dict[str, Any]:
    cells = tracks.detections
    z, y, x = cells.zyx_um.T
    known = np.isfinite(cells.volume_um3)
    columns: dict[str, NDArray[Any]] = {
        **cells.features,
        "t": cells.t,
        "z": z,
        "y": y,
        "x": x,
        "track_id": tracks.track_id,
        "lineage_id": tracks.lineage_id,
    }
    properties: dict[str, Any] = {name: {"values": column, "missing": None} for name, column in columns.items()}
    if known.any():
        properties["volume"] = {"values": cells.volume_um3, "missing": None}
    return properties


def _edge_properties(tracks: Tracks) -> dict[str, Any]:
    child = tracks.edges[:, 1]
    out: dict[str, Any] = {}
    if tracks.confidence is not None:
        out["confidence"] = {"values": tracks.confidence[child], "missing": None}
    if tracks.merged_into is not None:
        into = tracks.merged_into[child]
        out["merged_into"] = {"values": np.where(into < 0, 0, tracks.detections.id[into]), "missing": into < 0}
    return out


def _metadata(tracks: Tracks) -> Any:  # noqa: ANN401 - geff is not typed here
    from geff import GeffMetadata
    from geff_spec import Axis

    dt_s = tracks.detections.dt_s
    seconds = {} if dt_s is None else {"scale": dt_s, "scaled_unit": "second"}
    time = Axis(name="t", type="time", unit="frame", **seconds)
    space = [Axis(name=name, type="space", unit="micrometer") for name in ("z", "y", "x")]
    return GeffMetadata(
        directed=True,
        axes=[time, *space],
        node_props_metadata={},
        edge_props_metadata={},
        track_node_props={"tracklet": "track_id", "lineage": "lineage_id"},
    )


def _um_per(axis: Any, path: Path) -> float:  # noqa: ANN401 - geff is not typed here
    unit, scale = (axis.scaled_unit, axis.scale) if axis.scaled_unit else (axis.unit, 1.0)
    if unit not in UM_PER:
        raise UnitError(
            "has no length unit that is known",
            file=path,
            field=axis.name,
            value=unit,
            remedy=f"State one of {[*UM_PER]}",
        )
    return UM_PER[unit] * float(scale)


def _dt_s(axis: Any) -> float | None:  # noqa: ANN401 - geff is not typed here
    known = axis.scaled_unit in SECONDS_PER and axis.scale
    return float(axis.scale) * SECONDS_PER[axis.scaled_unit] if known else None
