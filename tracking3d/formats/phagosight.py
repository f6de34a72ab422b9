"""PhagoSight's ``handles.mat``: the node network (a row a cell) and the final network (a column a track).

Columns of ``handles.nodeNetwork`` (PhagoSight, positionNeutrophil.m), counted from 1: 1 to 3 y, x, z of the centroid in
voxels from 1; 5 the frame from 1; 6 the row's own number; 10 the volume in voxels; 13 the track.
``handles.finalNetwork`` holds the rows of each track's cells, in order, padded with 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tracking3d.detections import Detections
from tracking3d.formats.linked import Link, in_file, scaled_um, tracks_of_links
from tracking3d.tracks import Tracks
from volumes.errors import TableError

Y, X, Z, FRAME, VOLUME, TRACK = 0, 1, 2, 4, 9, 12
"""Columns of the node network, counted from 0."""
NEEDED = 5
LARGEST = 2 << 30
"""Bytes of a file that is still read."""


def read_phagosight(path: str | Path, spacing_um: Sequence[float], dt_s: float | None = None) -> Tracks:
    """Tracks from PhagoSight's handles, MATLAB 5 to 7.3 (the last needs h5py).

    Parameters
    ----------
    path : the ``.mat`` that holds ``handles``.
    spacing_um : (z, y, x) µm of a voxel of the reduced data that PhagoSight tracked on; the file does not say it.
    dt_s : seconds from one frame to the next, where known.

    Returns
    -------
    Detections in the order of the node network, voxels and frames counted from 0 now; ids are its rows, counted from 1
    as there. Volumes where the network has them. Cells of no track stand alone.

    Raises
    ------
    TableError : no such file, no networks in it, or networks that break the rules of tracks; an own message where
        h5py is needed and missing.
    UnitError : no voxel size.
    """
    path = Path(path)
    scale = scaled_um("voxel", spacing_um, path, "spacing_um")
    nodes, network = _networks(path)
    if nodes.ndim != 2 or nodes.shape[1] < NEEDED:
        raise TableError(f"needs {NEEDED} columns or more", file=path, field="nodeNetwork", value=nodes.shape)
    n = len(nodes)
    volume = nodes[:, VOLUME] * scale.prod() if nodes.shape[1] > VOLUME else np.full(n, np.nan)
    try:
        cells = Detections.of(
            nodes[:, FRAME] - 1,
            (nodes[:, [Z, Y, X]] - 1) * scale,
            np.where(volume > 0, volume, np.nan),
            dt_s=dt_s,
            id=np.arange(1, n + 1),
        )
    except TableError as error:
        raise in_file(error, path) from error
    return tracks_of_links(cells, _links(nodes, network, path), path)


def _networks(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """The node network, and the final one where there is one."""
    from scipy.io import loadmat

    try:
        if path.stat().st_size > LARGEST:
            raise TableError("is larger than this reader takes", file=path, value=path.stat().st_size)
        # Only numbers are asked for: functions and objects of MATLAB stay what they are, bytes.
        held = loadmat(path, variable_names=["handles"], struct_as_record=True, squeeze_me=False)
    except NotImplementedError:
        return _networks_of_hdf5(path)
    except OSError as error:
        raise TableError(f"cannot be read: {error}", file=path, remedy="Check the path") from error
    except TableError:
        raise
    except Exception as error:  # scipy's parser ends in errors of many kinds on damaged files
        raise TableError(f"is no MATLAB file: {error}", file=path, remedy="Save it again in MATLAB") from error
    handles = held.get("handles")
    names = handles.dtype.names if isinstance(handles, np.ndarray) else None
    if handles is None or names is None or "nodeNetwork" not in names or handles.size != 1:
        raise TableError("holds no handles of PhagoSight", file=path, field="handles.nodeNetwork", value=names)
    one = handles.ravel()[0]
    final = one["finalNetwork"] if "finalNetwork" in names else None
    return _matrix(one["nodeNetwork"], "nodeNetwork", path), None if final is None else _matrix(final, "final", path)


def _networks_of_hdf5(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    try:
        import h5py
    except ImportError as error:
        remedy = "pip install h5py, or save it in MATLAB with save(…, '-v7')"
        raise TableError("is of MATLAB 7.3, which needs h5py", file=path, remedy=remedy) from error
    try:
        with h5py.File(path, "r") as file:
            handles = file["handles"]
            # MATLAB writes its columns as HDF5's rows.
            nodes = _matrix(handles["nodeNetwork"][()].T, "nodeNetwork", path)
            final = _matrix(handles["finalNetwork"][()].T, "final", path) if "finalNetwork" in handles else None
    except (KeyError, OSError, AttributeError, ValueError) as error:
        field = "handles.nodeNetwork"
        raise TableError(f"holds no handles of PhagoSight: {error}", file=path, field=field) from error
    return nodes, final


def _matrix(values: object, name: str, path: Path) -> NDArray[np.float64]:
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise TableError("holds no numbers", file=path, field=name, value=str(array.dtype))
    return array.astype(np.float64)


def _links(nodes: NDArray[np.float64], network: NDArray[np.float64] | None, path: Path) -> list[Link]:
    """Links from each cell of a track to its next, by their numbers from 1."""
    if network is not None:
        columns = [column[column > 0] for column in np.atleast_2d(network).T]
    elif nodes.shape[1] > TRACK:
        rows = np.arange(1, len(nodes) + 1)
        columns = []
        for track in np.unique(nodes[nodes[:, TRACK] > 0, TRACK]):
            own = rows[nodes[:, TRACK] == track]
            columns.append(own[np.argsort(nodes[own - 1, FRAME], kind="stable")].astype(np.float64))
    else:
        raise TableError("holds no tracks", file=path, field="handles.finalNetwork", remedy="Run its tracking first")
    for column in columns:
        bad = (column != np.rint(column)) | (column > len(nodes))
        if bad.any():
            raise TableError(
                "names no row of nodeNetwork", file=path, field="finalNetwork", value=float(column[bad][0])
            )
    return [
        Link(a, b)
        for column in columns
        for a, b in zip(column[:-1].astype(int).tolist(), column[1:].astype(int).tolist(), strict=True)
    ]
