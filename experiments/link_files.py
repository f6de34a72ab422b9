"""What ``fusetrack link`` reads, does and leaves: a table of detections in, a table of tracks out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

import tracking3d
from experiments.entries import Closed
from experiments.loading import override, validated
from tracking3d.config import LinkerConfig
from tracking3d.formats.table import read_detections, write_linked_rows


def link_files(table: Path, unit: str, dt_s: float | None, how: LinkerConfig, out: Path) -> dict[str, Any]:
    """Link the detections of a CSV table; every row and column is kept, in order.

    Parameters
    ----------
    table : ``.csv`` or ``.csv.gz`` with t, z, y, x.
    unit : of its lengths.
    dt_s : seconds between frames, where known.
    how : the linker.
    out : the same table with track_id and parent.

    Returns
    -------
    The facts to tell.
    """
    tracks = tracking3d.link(read_detections(table, unit=unit, dt_s=dt_s), how)
    write_linked_rows(tracks, table, out)
    return {"tracks": len(set(tracks.track_id.tolist())), "divisions": len(tracks.divisions), "out": str(out)}


def linker_config(kind: str, changes: Mapping[str, str]) -> LinkerConfig:
    """The settings of a kind with some of them changed, by dotted key and value as text.

    Raises
    ------
    ConfigError : an unknown kind or key, or a value out of range.
    """
    values: dict[str, object] = {"kind": kind}
    override(values, changes)
    return validated(_Asked, {"link": values}, Path("--kind, --set")).link


class _Asked(Closed):
    link: LinkerConfig = Field()
