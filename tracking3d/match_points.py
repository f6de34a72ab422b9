"""Detections against true cells by where they lie: which is which, within a distance in µm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracking3d.detections import Detections
from tracking3d.match import most_pairs
from volumes.errors import ConfigError, TableError


def matched_nodes(cells: Detections, truth: Detections, distance_um: float) -> NDArray[np.int64]:
    """The true cell that each detection is: frame by frame, the most pairs within a distance, then the nearest ones.

    Parameters
    ----------
    cells, truth : in one world and with one count of frames.
    distance_um : the farthest that a detection may lie from its true cell.

    Returns
    -------
    (n,) row of the true table, −1 for a detection that is none; what :class:`tracking3d.metrics.LinkTruth` takes.

    Raises
    ------
    ConfigError : a distance that is not above zero.
    """
    from scipy.spatial import KDTree

    if not (np.isfinite(distance_um) and distance_um > 0):
        raise ConfigError("must be above zero", field="distance_um", value=distance_um)
    node = np.full(len(cells), -1, dtype=np.int64)
    for frame in np.intersect1d(cells.frames, truth.frames).tolist():
        here, there = cells.rows_at(frame), truth.rows_at(frame)
        near = KDTree(cells.zyx_um[here]).query_ball_tree(KDTree(truth.zyx_um[there]), distance_um)
        row = np.repeat(np.arange(len(here)), [len(found) for found in near])
        column = np.array([other for found in near for other in found], dtype=np.int64)
        apart = np.linalg.norm(cells.zyx_um[here[row]] - truth.zyx_um[there[column]], axis=1)
        pairs = most_pairs(row, column, apart / distance_um)
        node[here[row[pairs]]] = there[column[pairs]]
    return node


def half_spacing_um(truth: Detections) -> float:
    """Half the median distance from a true cell to its nearest neighbour in the frame, µm.

    A detection nearer than this to a true cell is nearer to it than to any other, for most cells.

    Raises
    ------
    TableError : no frame holds two cells.
    """
    from scipy.spatial import KDTree

    nearest = []
    for frame in truth.frames.tolist():
        places = truth.zyx_um[truth.rows_at(frame)]
        if len(places) > 1:
            nearest.append(np.asarray(KDTree(places).query(places, k=2)[0])[:, 1])
    if not nearest:
        raise TableError("has no two cells in one frame", field="truth", remedy="State the distance in µm")
    return float(np.median(np.concatenate(nearest))) / 2
