"""What ``fusetrack link`` reads, does and leaves: a table of detections in, tracks out in any format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

import tracking3d
import volumes
from experiments.entries import Closed
from experiments.loading import override, validated
from tracking3d.claims import CLAIMS, painted
from tracking3d.config import LinkerConfig
from tracking3d.formats.ctc import write_ctc
from tracking3d.formats.dispatch import WRITTEN, is_plain_csv, writer_of
from tracking3d.formats.table import read_detections, write_linked_rows
from tracking3d.link.constraint import ConstraintConfig, ConstraintLinker
from tracking3d.link.learning import taught_by_few
from tracking3d.tracks import Tracks
from volumes.errors import ConfigError, OutputError
from volumes.timelapse import TimeLapse


def link_files(
    table: Path,
    unit: str,
    dt_s: float | None,
    how: LinkerConfig,
    out: Path,
    labels: Path | None = None,
    taught_by: Path | None = None,
) -> dict[str, Any]:
    """Link the detections of a CSV table; a CSV keeps every row and column, in order.

    Parameters
    ----------
    table : ``.csv`` or ``.csv.gz`` with t, z, y, x.
    unit : of its lengths.
    dt_s : seconds between frames, where known.
    how : the linker.
    out : the same table with track_id and parent; or, by the suffix, another format of tracks; or, with labels, a
        folder of the Cell Tracking Challenge.
    labels : the movie of labels that the table was measured in, for such a folder alone.
    taught_by : tracks of which only a few need to be linked, to learn rates and divisions from beforehand.

    Returns
    -------
    The facts to tell.

    Raises
    ------
    OutputError : a suffix that is not known; a folder without labels, or labels without a folder.
    ConfigError : tracks to learn from for a kind that does not learn.
    """
    write = _writer(out, table, labels)
    linker = how if taught_by is None else _taught(how, taught_by)
    tracks = tracking3d.link(read_detections(table, unit=unit, dt_s=dt_s), linker)
    write(tracks)
    ids = set(tracks.track_id.tolist()) - {0}
    return {"tracks": len(ids), "divisions": len(tracks.divisions), "out": str(out)}


def _taught(how: LinkerConfig, tracks: Path) -> ConstraintLinker:
    if not isinstance(how, ConstraintConfig):
        remedy = "Use kind constraint, or leave --taught-by out"
        raise ConfigError("does not learn from tracks", field="--kind", value=how.kind, remedy=remedy)
    return ConstraintLinker(how, taught_by_few(tracking3d.read_tracks(tracks)))


def _writer(out: Path, table: Path, labels: Path | None) -> Callable[[Tracks], None]:
    """What writes the tracks; found before they are linked, so that a wrong name costs no time."""
    if labels is not None:
        if out.suffix:
            remedy = "Give a folder without a suffix, or leave --labels out"
            raise OutputError("only a folder of the Cell Tracking Challenge holds labels", file=out, remedy=remedy)
        movie = volumes.read_timelapse(labels, modality="labels")
        return lambda tracks: _write_challenge(tracks, movie, out)
    if not out.suffix:
        remedy = f"Give --labels for a folder of the Cell Tracking Challenge, or use {WRITTEN}"
        raise OutputError("has no suffix that names a format", file=out, remedy=remedy)
    writer_of(out)
    if is_plain_csv(out):
        return lambda tracks: write_linked_rows(tracks, table, out)
    return lambda tracks: tracks.write(out)


def _write_challenge(tracks: Tracks, labels: TimeLapse, out: Path) -> None:
    """A folder of the challenge; where hypotheses competed, the labels are those of the pieces that they claim."""
    if CLAIMS in tracks.detections.features:
        tracks, labels = painted(tracks, labels)
    write_ctc(tracks, labels, out)


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
