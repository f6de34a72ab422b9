"""Cell Tracking Challenge folders: a mask a frame whose labels are tracks, and ``res_track.txt`` (L B E P).

A track of the challenge has no gaps: a track that misses a frame is written as two, the later one with the earlier as
its parent. Labels are therefore those of :func:`tracking3d.tracks.runs`: the track ids, where nothing was missed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tracking3d.tracks import Tracks, runs
from volumes.atomic import replacing_folder
from volumes.errors import TableError
from volumes.shapes import Voxels
from volumes.timelapse import TimeLapse

MOST = np.iinfo(np.uint16).max
"""Tracks that the format's 16-bit masks can tell apart."""


def write_ctc(tracks: Tracks, labels: TimeLapse, folder: str | Path) -> None:
    """Write ``mask000.tif``, … (Z, Y, X, uint16) and ``res_track.txt``, in place of a folder that is there.

    Parameters
    ----------
    tracks : over detections of these labels; the feature ``label`` says which label each one is, and where it is
        missing the label at the cell's centre does.
    labels : integers, one frame a frame of the tracks; labels that no detection stands for are left out.
    folder : where to.

    Raises
    ------
    TableError : a detection outside the movie or on no label, two on one label, or more than 65535 tracks.
    OutputError : the folder cannot be written.
    """
    import tifffile

    digits = max(3, len(str(len(labels) - 1)))
    with replacing_folder(Path(folder)) as temporary:
        for frame, mask in enumerate(track_masks(tracks, labels)):
            file = temporary / f"mask{frame:0{digits}}.tif"
            # Three or four planes would be taken for colours otherwise.
            tifffile.imwrite(file, mask, photometric="minisblack", compression="zlib", metadata={"axes": "ZYX"})
        lines = [" ".join(map(str, line)) + "\n" for line in track_table(tracks).tolist()]
        (temporary / "res_track.txt").write_text("".join(lines), encoding="ascii")


def track_masks(tracks: Tracks, labels: TimeLapse) -> Iterator[NDArray[np.uint16]]:
    """Each frame's labels (Z, Y, X) turned into the numbers of the tracks' runs, 0 where no detection stands.

    Raises
    ------
    TableError : as :func:`write_ctc`.
    """
    run = runs(tracks)
    if run.max(initial=0) > MOST:
        raise TableError(
            f"{run.max()} tracks do not fit the format's 16 bits", field="tracks", remedy="Write .geff or .csv instead"
        )
    late = tracks.detections.t >= len(labels)
    if late.any():
        raise TableError(f"lies past the movie's {len(labels)} frames", field="t", value=int(tracks.detections.t.max()))
    for frame, volume in enumerate(labels):
        yield _relabelled(tracks, run, frame, volume.channel(0), labels)


def _relabelled(
    tracks: Tracks, run: NDArray[np.int64], frame: int, voxels: Voxels, labels: TimeLapse
) -> NDArray[np.uint16]:
    """One frame's labels (Z, Y, X) turned into the numbers of the runs."""
    rows = tracks.detections.rows_at(frame)
    label = _label_of(tracks, rows, voxels, labels)
    values, place = np.unique(voxels, return_inverse=True)
    at = np.minimum(np.searchsorted(values, label), len(values) - 1)
    lost = (values[at] != label) | (label == 0)
    if lost.any():
        row = int(rows[np.flatnonzero(lost)[0]])
        raise TableError(f"row {row} stands on no label of frame {frame}", field="label", remedy="Give its own labels")
    if len(np.unique(at)) < len(at):
        raise TableError(
            f"two detections share a label of frame {frame}", field="label", remedy="Split the label first"
        )
    new = np.zeros(len(values), dtype=np.uint16)
    new[at] = run[rows]
    return new[place].reshape(voxels.shape)


def _label_of(tracks: Tracks, rows: NDArray[np.int64], voxels: Voxels, labels: TimeLapse) -> NDArray[np.int64]:
    cells = tracks.detections
    if "label" in cells.features:
        return cells.features["label"][rows].astype(np.int64)
    index = np.rint(labels.grid.to_index(cells.zyx_um[rows])).astype(np.int64)
    inside = ((index >= 0) & (index < voxels.shape)).all(axis=1)
    out = np.zeros(len(rows), dtype=np.int64)
    out[inside] = voxels[tuple(index[inside].T)]
    return out


def track_table(tracks: Tracks) -> NDArray[np.int64]:
    """(k, 4) a row a run: label, first frame, last frame, label of the parent (0 at a root)."""
    run, t, parent = runs(tracks), tracks.detections.t, tracks.parent
    n = int(run.max(initial=0))
    begin, end, mother = np.full(n + 1, np.iinfo(np.int64).max), np.full(n + 1, -1), np.zeros(n + 1, np.int64)
    np.minimum.at(begin, run, t)
    np.maximum.at(end, run, t)
    child = np.flatnonzero(parent >= 0)
    first = child[run[child] != run[parent[child]]]
    mother[run[first]] = run[parent[first]]
    return np.column_stack([np.arange(n + 1), begin, end, mother])[1:]
