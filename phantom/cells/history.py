"""The cells of a specimen through time: at any instant, and who comes from whom at the frames of any instrument."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from phantom.cells.cells import Cells
from volumes.errors import ConfigError
from volumes.shapes import AnyArray, Points

SLACK = 1e-9
"""A time beyond the span by this share of it is rounding, not a mistake."""


@dataclass(frozen=True, eq=False)
class Tracks:
    """The true cells at some frames: one row for each cell in each frame, frame after frame.

    Parameters
    ----------
    frame : (n,).
    row : which row of ``History.at`` of that frame's time, (n,).
    number : what the cell is called, (n,).
    parent : row here of the same cell or its last seen ancestor in an earlier frame, (n,); −1 at a root.
    """

    frame: NDArray[np.int64]
    row: NDArray[np.int64]
    number: NDArray[np.int64]
    parent: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class History:
    """Moments that were simulated, and what lies between them.

    Parameters
    ----------
    times_s : of each moment, increasing, (m,).
    moments : the cells then.

    Raises
    ------
    ConfigError : no moment, times that do not increase, or another number of moments than of times.
    """

    times_s: NDArray[np.float64]
    moments: tuple[Cells, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "times_s", checked_times(self.times_s))
        if len(self.moments) != len(self.times_s):
            raise ConfigError("needs one moment for each time", field="times_s", value=len(self.times_s))

    def at(self, time_s: float) -> Cells:
        """The cells at an instant: those of a moment exactly, between two moments interpolated.

        Centres, bodies' sizes, bumps, condensation and brightness go linearly. The frames ``F = Q S`` turn and stretch:
        ``Q_a (Q_aᵀ Q_b)^w exp((1 − w) log S_a + w log S_b)``, so that ``det F = det F_a^(1 − w) det F_b^w``: a volume
        that stays is kept exactly. A cell that is in one of the moments only is there in the half next to it. So a
        mother gives way to her daughters half-way; until then she moves towards their centroid (weighted by volume),
        from then on they move with it, at their later distance from each other. Rows: as in the nearer moment.

        Raises
        ------
        ConfigError : before the first moment, or after the last.
        """
        first, last = float(self.times_s[0]), float(self.times_s[-1])
        beyond = SLACK * max(1.0, last - first)
        if not first - beyond <= time_s <= last + beyond:
            raise ConfigError(
                f"the cells live from {first:g} to {last:g} s",
                field="time_s",
                value=float(time_s),
                remedy="Simulate more moments, or ask within them",
            )
        k = int(np.clip(np.searchsorted(self.times_s, time_s, "right") - 1, 0, len(self.times_s) - 1))
        if k == len(self.times_s) - 1 or time_s <= self.times_s[k]:
            return self.moments[k]
        w = float((time_s - self.times_s[k]) / (self.times_s[k + 1] - self.times_s[k]))
        return _between(self.moments[k], self.moments[k + 1], w)

    def tracks(self, times_s: Sequence[float]) -> Tracks:
        """Which cell is which, and who comes from whom, at the frames of an instrument.

        A row's parent is the same cell in the last frame that shows it, or else the nearest ancestor that any earlier
        frame shows, where it was seen last. So cells that are born and divide between two frames are skipped. No row
        gets more than two children: should more hang on it, one from each of the two branches is taken, the nearest in
        generations and then the lowest number first, and if one branch has died out the next of the other; the rest
        begin anew as roots.

        Parameters
        ----------
        times_s : of each frame, increasing, within the moments.

        Raises
        ------
        ConfigError : frames that do not increase, or lie outside the moments.
        """
        seen = [self.at(t).number.astype(np.int64) for t in checked_times(times_s).tolist()]
        number = np.concatenate(seen)
        frame = np.repeat(np.arange(len(seen)), [len(n) for n in seen])
        row = np.concatenate([np.arange(len(n)) for n in seen])
        parent = np.full(len(number), -1)
        last: dict[int, int] = {}
        heirs: dict[int, list[tuple[int, int, int]]] = {}
        for k, (f, name) in enumerate(zip(frame.tolist(), number.tolist(), strict=True)):
            if name in last:
                parent[k] = last[name]
            else:
                up, branch, generations = self._ancestor(name, last, frame, f)
                if up >= 0:
                    heirs.setdefault(up, []).append((branch, generations, k))
            last[name] = k
        for up, all_heirs in heirs.items():
            parent[_two(all_heirs)] = up
        return Tracks(frame, row, number, parent)

    @cached_property
    def highest(self) -> int:
        """The highest number that any cell ever has; 0 without any."""
        return max(int(cells.number.max(initial=0)) for cells in self.moments)

    @cached_property
    def _mothers(self) -> dict[int, int]:
        """The mother of each cell that any moment shows."""
        return {
            int(n): int(m) for cells in self.moments for n, m in zip(cells.number, cells.mother, strict=True) if m > 0
        }

    def _ancestor(self, name: int, last: dict[int, int], frame: NDArray[np.int64], now: int) -> tuple[int, int, int]:
        """The nearest ancestor's last row (−1: none was seen), which of her daughters leads here, how many steps."""
        steps = 0
        while (mother := self._mothers.get(name, 0)) > 0:
            steps += 1
            if mother in last and frame[last[mother]] < now:
                return last[mother], name, steps
            name = mother
        return -1, 0, 0


def checked_times(times_s: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Times as an array; ConfigError unless there is one or more, and they are finite and increase."""
    times = np.asarray(times_s, np.float64)
    if times.ndim != 1 or not len(times) or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise ConfigError("must be finite and increase", field="times_s", value=times.tolist())
    return times


def _two(heirs: list[tuple[int, int, int]]) -> list[int]:
    """Rows of at most two of them (branch, generations, row), one from each branch first."""
    taken: dict[int, int] = {}
    ranked = []
    for branch, generations, k in sorted(heirs, key=lambda h: (h[1], h[2])):
        taken[branch] = taken.get(branch, 0) + 1
        ranked.append((taken[branch], generations, k))
    return [k for _, _, k in sorted(ranked)[:2]]


def _between(a: Cells, b: Cells, w: float) -> Cells:
    """The cells a share w of the way from moment a to moment b, 0 < w < 1."""
    near = a if w < 0.5 else b
    _, in_a, in_b = np.intersect1d(a.number, b.number, return_indices=True)
    rows = in_a if w < 0.5 else in_b
    out = {name: getattr(near, name).copy() for name in near.__dataclass_fields__}
    for name in ("centre_um", "body", "bumps", "condensed", "brightness"):
        out[name][rows] = (1 - w) * getattr(a, name)[in_a] + w * getattr(b, name)[in_b]
    out["frame_um"][rows] = turned(a.frame_um[in_a], b.frame_um[in_b], w)
    mothers, centroid = _centroids(b, np.setdiff1d(b.number, a.number))
    _, at_mother, of_pair = np.intersect1d(a.number, mothers, return_indices=True)
    shift = centroid[of_pair] - a.centre_um[at_mother]
    if w < 0.5:
        out["centre_um"][at_mother] += w * shift
        return Cells(**out)
    for mother, way in zip(mothers[of_pair], shift, strict=True):
        out["centre_um"][(b.mother == mother) & ~np.isin(b.number, a.number)] -= (1 - w) * way
    return Cells(**out)


def _centroids(cells: Cells, born: AnyArray) -> tuple[NDArray[np.int32], Points]:
    """The mothers of the cells that are new, and the centroid of each one's daughters, weighted by volume."""
    new = np.flatnonzero(np.isin(cells.number, born) & (cells.mother > 0))
    mothers, of = np.unique(cells.mother[new], return_inverse=True)
    weight = cells.volume_um3[new]
    total = np.bincount(of, weight, len(mothers))
    sums = [np.bincount(of, weight * cells.centre_um[new, axis], len(mothers)) for axis in range(3)]
    return mothers, np.stack(sums, -1) / total[:, None] if len(mothers) else np.zeros((0, 3))


def turned(a: Float64[np.ndarray, "n 3 3"], b: Float64[np.ndarray, "n 3 3"], w: float) -> Float64[np.ndarray, "n 3 3"]:
    """Frames a share w of the way from a to b, (n, 3, 3): rotation and logarithm of the stretch, each evenly.

    Parameters
    ----------
    a, b : frames of positive determinant; ``F = Q S`` with Q a rotation and S symmetric.
    w : 0 gives a, 1 gives b, to rounding.
    """
    if not len(a):
        return a
    turn_a, log_a = _polar(a)
    turn_b, log_b = _polar(b)
    step = Rotation.from_matrix(np.swapaxes(turn_a, 1, 2) @ turn_b).as_rotvec()
    values, vectors = np.linalg.eigh((1 - w) * log_a + w * log_b)
    stretch = (vectors * np.exp(values)[:, None, :]) @ np.swapaxes(vectors, 1, 2)
    return np.asarray(turn_a @ Rotation.from_rotvec(w * step).as_matrix() @ stretch)


def _polar(frame: AnyArray) -> tuple[AnyArray, AnyArray]:
    """The rotation Q and log S of ``F = Q S``."""
    u, axes, vt = np.linalg.svd(frame)
    return u @ vt, (np.swapaxes(vt, 1, 2) * np.log(axes)[:, None, :]) @ vt
