"""The table of detected cells: one row a cell, positions in world µm, times as frame numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from volumes.errors import TableError
from volumes.shapes import Points

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("id", "t", "z", "y", "x", "volume")
"""Names of the table's own columns; no feature may take one of them."""


@dataclass(frozen=True, eq=False)
class Detections:
    """Cells that were found, in any order; an empty table is legal. All arrays are read-only.

    Parameters
    ----------
    id : (n,) whole numbers, each once.
    t : (n,) frame number, from 0.
    zyx_um : (n, 3) centres in the world, (z, y, x) µm.
    volume_um3 : (n,) volume, µm³; NaN where it is not known.
    features : further columns by name, (n,) each.
    dt_s : seconds from one frame to the next, where known.

    Raises
    ------
    TableError : coordinates that are not finite, an id or a place (frame and position) that occurs twice, a frame
        that is negative or not whole, a negative volume, or columns of other lengths.
    """

    id: NDArray[np.int64]
    t: NDArray[np.int64]
    zyx_um: Points
    volume_um3: NDArray[np.float64]
    features: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    dt_s: float | None = None

    def __post_init__(self) -> None:
        centres = _numbers(self.zyx_um, "zyx_um")
        centres = centres.reshape(-1, 3) if centres.size == 0 else centres
        if centres.ndim != 2 or centres.shape[1] != 3:
            raise TableError("needs one row (z, y, x) a detection", field="zyx_um", value=centres.shape)
        ids, t = _whole(self.id, "id"), _whole(self.t, "t")
        volume = _numbers(self.volume_um3, "volume_um3")
        features = {name: np.array(column) for name, column in self.features.items()}
        columns: dict[str, NDArray[Any]] = {"id": ids, "t": t, "volume_um3": volume, **features}
        _check_names(features)
        _check_lengths(len(centres), columns)
        _check_values(ids, t, centres, volume)
        if self.dt_s is not None and not (np.isfinite(self.dt_s) and self.dt_s > 0):
            raise TableError("must be above zero", field="dt_s", value=self.dt_s, remedy="State seconds per frame")
        for array in (centres, *columns.values()):
            array.flags.writeable = False
        for name, value in {"id": ids, "t": t, "zyx_um": centres, "volume_um3": volume, "features": features}.items():
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.id)

    @classmethod
    def of(
        cls,
        t: ArrayLike,
        zyx_um: ArrayLike,
        volume_um3: ArrayLike | None = None,
        features: Mapping[str, ArrayLike] | None = None,
        dt_s: float | None = None,
        id: ArrayLike | None = None,  # noqa: A002 - the column's name
    ) -> Detections:
        """A table of what is known; left out, volumes are NaN and ids count the rows from 0."""
        n = np.size(zyx_um) // 3
        volume = np.full(n, np.nan) if volume_um3 is None else volume_um3
        ids = np.arange(n) if id is None else id
        further = {name: np.asarray(column) for name, column in (features or {}).items()}
        return cls(_array(ids), _array(t), _array(zyx_um), _array(volume), further, dt_s)

    @cached_property
    def frames(self) -> NDArray[np.int64]:
        """Frame numbers that hold a detection, sorted, each once."""
        return np.unique(self.t)

    @cached_property
    def _by_frame(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        order = np.argsort(self.t, kind="stable")
        return order, self.t[order]

    def rows_at(self, frame: int) -> NDArray[np.int64]:
        """Row numbers of one frame's detections, growing; empty where there is none."""
        order, times = self._by_frame
        first, last = np.searchsorted(times, (frame, frame + 1))
        return order[first:last]

    def take(self, rows: ArrayLike) -> Detections:
        """The table of these rows (row numbers or a boolean mask), in the order asked for."""
        rows = np.asarray(rows)
        chosen = rows if rows.dtype == bool else rows.astype(np.int64)
        features = {name: column[chosen] for name, column in self.features.items()}
        return Detections(
            self.id[chosen], self.t[chosen], self.zyx_um[chosen], self.volume_um3[chosen], features, self.dt_s
        )

    def as_frame(self) -> pd.DataFrame:
        """A pandas table of id, t, z, y, x (µm), volume (µm³) and the features."""
        import pandas as pd

        z, y, x = self.zyx_um.T
        own = dict(zip(COLUMNS, (self.id, self.t, z, y, x, self.volume_um3), strict=True))
        return pd.DataFrame({**own, **self.features})


def _array(values: ArrayLike) -> NDArray[Any]:
    return np.asarray(values)


def _numbers(values: ArrayLike, column: str) -> NDArray[np.float64]:
    """A private copy as float64; text is refused even where it reads as a number."""
    array = np.asarray(values)
    text = array.dtype.kind not in "biufO" or (array.dtype.kind == "O" and any(isinstance(v, str) for v in array.flat))
    try:
        if text:
            raise TypeError(array.dtype)
        return np.array(array, dtype=np.float64, order="C")
    except (TypeError, ValueError) as error:
        raise TableError(
            "holds what is not a number", field=column, value=array.ravel()[:3].tolist(), remedy="Give numbers alone"
        ) from error


def _whole(values: ArrayLike, column: str) -> NDArray[np.int64]:
    """A private copy as int64; whole numbers that came as floats are taken, others refused."""
    array = np.asarray(values)
    if np.issubdtype(array.dtype, np.integer) and np.can_cast(array.dtype, np.int64):
        return array.astype(np.int64)
    numbers = _numbers(array, column)
    # Past 2⁵³ a float no longer tells neighbouring whole numbers apart.
    bad = ~(np.isfinite(numbers) & (np.rint(numbers) == numbers) & (np.abs(numbers) < 2.0**53))
    if bad.any():
        _refuse("is not a whole number", column, numbers, bad, "Give whole numbers; seconds per frame go to dt_s")
    return numbers.astype(np.int64)


def _check_names(features: Mapping[str, NDArray[Any]]) -> None:
    taken = sorted(set(features) & set(COLUMNS))
    if taken:
        raise TableError("is a column of the table itself", field=taken[0], remedy="Give the feature another name")


def _check_lengths(n: int, columns: Mapping[str, NDArray[Any]]) -> None:
    for name, column in columns.items():
        if column.shape != (n,):
            raise TableError(f"needs {n} values, as many as there are positions", field=name, value=column.shape)


def _check_values(ids: NDArray[np.int64], t: NDArray[np.int64], centres: Points, volume: NDArray[np.float64]) -> None:
    lost = ~np.isfinite(centres).all(axis=1)
    if lost.any():
        _refuse("is not finite", "zyx_um", centres, lost, "Leave the row out or mend its position")
    if (t < 0).any():
        _refuse("is negative", "t", t, t < 0, "Count frames from 0")
    wrong = (volume < 0) | np.isinf(volume)
    if wrong.any():
        _refuse("is negative or infinite", "volume_um3", volume, wrong, "Give NaN where it is not known")
    twice = _repeated(ids)
    if twice is not None:
        raise TableError("occurs more than once", field="id", value=int(ids[twice]), remedy="Give each row its own")
    same = _repeated_place(t, centres)
    if same is not None:
        raise TableError(
            "two detections share one frame and one position",
            field="zyx_um",
            value=(int(t[same]), *centres[same].tolist()),
            remedy="Drop the repeated row",
        )


def _refuse(problem: str, column: str, values: NDArray[Any], bad: NDArray[np.bool_], remedy: str) -> None:
    row = int(np.flatnonzero(bad)[0])
    raise TableError(f"row {row} {problem}", field=column, value=values[row].tolist(), remedy=remedy)


def _repeated(keys: NDArray[Any]) -> int | None:
    """A row whose key occurs in an earlier row as well."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    at = np.flatnonzero(ordered[1:] == ordered[:-1])
    return int(order[at[0] + 1]) if len(at) else None


def _repeated_place(t: NDArray[np.int64], centres: Points) -> int | None:
    """A row of the same frame and position as another; hashes first, since four sort keys cost ten times one."""
    mixed = t.astype(np.uint64)
    for axis in range(3):
        # Adding zero makes −0.0 equal to 0.0 in its bits as well.
        bits = np.ascontiguousarray(centres[:, axis] + 0.0).view(np.uint64)
        mixed = (mixed * np.uint64(0x9E3779B97F4A7C15)) ^ (bits + (mixed >> np.uint64(29)))
    if _repeated(mixed) is None:
        return None
    order = np.lexsort((*centres.T, t))
    same = (t[order][1:] == t[order][:-1]) & (centres[order][1:] == centres[order][:-1]).all(axis=1)
    at = np.flatnonzero(same)
    return int(order[at[0] + 1]) if len(at) else None
