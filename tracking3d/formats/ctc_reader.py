"""Reading Cell Tracking Challenge folders: results (``mask000.tif``, ``res_track.txt``) and truths (``TRA/``)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tracking3d.detect import detect
from tracking3d.detections import Detections
from tracking3d.formats.linked import in_file
from tracking3d.tracks import Tracks
from volumes.errors import TableError
from volumes.timelapse import TimeLapse

TABLES = ("res_track.txt", "man_track.txt")
NAME = re.compile(r"(?:mask|man_track)(\d+)\.tif")


@dataclass(frozen=True, eq=False)
class CtcFolder:
    """What lies in such a folder.

    Parameters
    ----------
    path : the folder itself, which may lie in the one that was asked for.
    table : (n, 4) label, first frame, last frame, label of the parent (0 at a root).
    masks : the file of each frame, from 0.
    table_file : the file that the table was read from.
    """

    path: Path
    table: NDArray[np.int64]
    masks: tuple[Path, ...]
    table_file: Path


def open_ctc(folder: str | Path) -> CtcFolder:
    """Find the table and the masks; of ``01_GT`` those in its ``TRA``.

    Raises
    ------
    TableError : no table, a table that breaks the format's rules, no masks, or a frame without one.
    """
    path = Path(folder)
    if not path.is_dir():
        raise TableError("is no folder", file=path, remedy="Give the folder that holds res_track.txt or man_track.txt")
    path = path / "TRA" if (path / "TRA").is_dir() else path
    found = [path / name for name in TABLES if (path / name).is_file()]
    if len(found) != 1:
        problem = "holds two tables of tracks" if found else f"holds neither {TABLES[0]} nor {TABLES[1]}"
        raise TableError(problem, file=path, remedy="Give a folder of the Cell Tracking Challenge")
    masks = {int(match[1]): file for file in path.iterdir() if (match := NAME.fullmatch(file.name))}
    lost = next((frame for frame in range(max(masks, default=0) + 1) if frame not in masks), None)
    if lost is not None:
        raise TableError(
            f"frame {lost} has no mask", file=path, field="mask*.tif", remedy="Every frame from 0 needs one"
        )
    table = _table(found[0])
    if len(table) and table[:, 2].max() >= len(masks):
        raise TableError(f"names a frame past the {len(masks)} masks", file=found[0], value=int(table[:, 2].max()))
    return CtcFolder(path, table, tuple(masks[frame] for frame in sorted(masks)), found[0])


def read_ctc(folder: str | Path, spacing_um: Sequence[float], dt_s: float | None = None) -> tuple[Tracks, TimeLapse]:
    """The tracks of a folder, and its masks as a movie whose frames are read when they are asked for.

    Parameters
    ----------
    folder : results, or a truth (``01_GT`` or its ``TRA``).
    spacing_um : (z, y, x) µm of a voxel; 2-D masks have one z. The files do not say it.
    dt_s : seconds from one frame to the next, where known; the movie's times are frame numbers without it.

    Returns
    -------
    Detections are the masks' labels as :func:`tracking3d.detect` measures them, with ``label``. A track that a frame
    misses is linked over the gap; a child's first cell hangs on the last cell of its parent.

    Raises
    ------
    TableError : as :func:`open_ctc`; a label that the table does not know, or outside the frames that it names.
    VolumeFileError, HeaderError, ContentError : a mask that cannot be read, or holds no labels.
    """
    opened = open_ctc(folder)
    labels = masks_of(opened, spacing_um, dt_s)
    found = detect(labels)
    cells = Detections(found.id, found.t, found.zyx_um, found.volume_um3, found.features, dt_s)
    try:
        return Tracks(cells, _parents(opened, cells)), labels
    except TableError as error:
        raise in_file(error, opened.table_file) from error


def masks_of(opened: CtcFolder, spacing_um: Sequence[float], dt_s: float | None = None) -> TimeLapse:
    """The masks as a movie of labels."""
    from dataclasses import replace

    from volumes.io import Layout, read
    from volumes.volume import Volume

    spacing = (float(spacing_um[0]), float(spacing_um[1]), float(spacing_um[2]))

    def load(frame: int) -> Volume:
        file = opened.masks[frame]
        layout = Layout(axes="ZYX", sizes=stack_shape(file), spacing_um=spacing)
        return replace(read(file, modality="labels", layout=layout), time_s=frame * (dt_s or 1.0))

    first = load(0)
    times = tuple(frame * (dt_s or 1.0) for frame in range(len(opened.masks)))
    return TimeLapse(first.grid, first.channels, times, load)


def stack_shape(file: Path) -> tuple[int, int, int]:
    """Pages, rows and columns of a TIFF stack.

    Raises
    ------
    TableError : no TIFF, or one without a page.
    """
    import tifffile

    try:
        with tifffile.TiffFile(file) as tif:
            rows, columns = tif.pages[0].shape[:2]
            return len(tif.pages), int(rows), int(columns)
    except (OSError, ValueError, IndexError, TypeError) as error:
        raise TableError(f"is no TIFF stack: {error}", file=file, remedy="Fetch the file again") from error


def _table(file: Path) -> NDArray[np.int64]:
    try:
        rows = [[int(value) for value in line.split()] for line in file.read_text("ascii").splitlines() if line.strip()]
    except (ValueError, OSError) as error:
        raise TableError(f"is no table of tracks: {error}", file=file, remedy="Four whole numbers a line") from error
    bad = next((row for row in rows if len(row) != 4 or min(row) < 0 or row[0] == 0 or row[2] < row[1]), None)
    if bad is not None:
        raise TableError("has a line that is no track", file=file, field="L B E P", value=bad)
    table = np.array(rows, dtype=np.int64).reshape(-1, 4)
    line_of = {label: line for line, label in enumerate(table[:, 0].tolist())}
    if len(line_of) < len(table):
        raise TableError("two lines are of one label", file=file, field="L", remedy="Give each track its own label")
    for label, begin, _, parent in table.tolist():
        if parent and (parent not in line_of or table[line_of[parent], 2] >= begin):
            problem = f"track {label} begins in frame {begin}, and its parent is not there before"
            raise TableError(problem, file=file, field="P", value=parent)
    return table


def _parents(opened: CtcFolder, cells: Detections) -> NDArray[np.int64]:
    """(n,) row of the parent: the label's cell before, or the last one of the parent label."""
    label = np.asarray(cells.features["label"], dtype=np.int64)
    lines = {int(line[0]): line for line in opened.table}
    parent = np.full(len(cells), -1, dtype=np.int64)
    last: dict[int, int] = {}
    for row in np.lexsort((label, cells.t)).tolist():
        own, frame = int(label[row]), int(cells.t[row])
        if own not in lines or not lines[own][1] <= frame <= lines[own][2]:
            where = f"label {own} stands in frame {frame}, in which {opened.table_file.name} knows no such track"
            raise TableError(where, file=opened.masks[frame], field="label", value=own)
        parent[row] = last.get(own, last.get(int(lines[own][3]), -1))
        last[own] = row
    return parent
