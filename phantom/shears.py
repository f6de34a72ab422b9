"""Shears: maps that move one coordinate by a smooth function of the other two, and so keep every volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from volumes.errors import ConfigError
from volumes.jit import inlined, kernel
from volumes.shapes import AnyArray

_BLOCK = 256


@dataclass(frozen=True)
class Wave:
    """One cosine over a plane.

    Parameters
    ----------
    amplitude_um : its height A.
    per_um : its wave vector k, in 1/µm, along the two coordinates in the order (z, y, x).
    phase : φ in turns.

    Raises
    ------
    ConfigError : a number that is not finite.
    """

    amplitude_um: float
    per_um: tuple[float, float]
    phase: float

    def __post_init__(self) -> None:
        numbers = finite_numbers((self.amplitude_um, *self.per_um, self.phase), 4, "waves")
        object.__setattr__(self, "amplitude_um", numbers[0])
        object.__setattr__(self, "per_um", (numbers[1], numbers[2]))
        object.__setattr__(self, "phase", numbers[3])


@dataclass(frozen=True)
class Shear:
    """Moves one coordinate by a function of the other two.

    Parameters
    ----------
    axis : which, 0 to 2 for z, y, x.
    shift_um : the constant part s.
    waves : the rest, added up.

    Raises
    ------
    ConfigError : no such axis, or a shift that is not finite.
    """

    axis: int
    shift_um: float
    waves: tuple[Wave, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.axis, int) or self.axis not in (0, 1, 2):
            raise ConfigError("must be 0, 1 or 2 (z, y, x)", field="axis", value=self.axis)
        object.__setattr__(self, "shift_um", finite_numbers((self.shift_um,), 1, "shift_um")[0])

    def scaled(self, factor: float) -> Shear:
        """The same with all heights times ``factor``; −1 gives the inverse."""
        waves = tuple(replace(wave, amplitude_um=wave.amplitude_um * factor) for wave in self.waves)
        return Shear(self.axis, self.shift_um * factor, waves)

    @property
    def slopes(self) -> NDArray[np.float64]:
        """(3,): no derivative of the moved coordinate by z, y, x is larger than this, anywhere."""
        out = np.zeros(3)
        for wave in self.waves:
            out[others(self.axis)] += 2 * np.pi * np.abs(wave.amplitude_um * np.asarray(wave.per_um))
        return out


def move(shears: Sequence[Shear], points: AnyArray) -> None:
    """Send points (n, 3), float64 or float32, through the shears, the first one first, where they stand."""
    _move_kernel(points, *_table(shears))


def finite_numbers(values: Sequence[float], count: int, field: str) -> tuple[float, ...]:
    """So many floats; raises ConfigError, naming ``field``, where there are more or fewer, or one is not finite."""
    numbers = tuple(float(v) for v in values)
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise ConfigError(f"needs {count} finite numbers", field=field, value=tuple(values))
    return numbers


def others(axis: int) -> list[int]:
    """The two axes that span the plane over which ``axis`` is sheared."""
    return [a for a in range(3) if a != axis]


def _table(shears: Sequence[Shear]) -> tuple[AnyArray, AnyArray, AnyArray, AnyArray]:
    """Axes (s,), shifts (s,), where each shear's waves end (s,), and all waves (w, 4): A, k_b, k_c, φ."""
    waves = [(w.amplitude_um, *w.per_um, w.phase) for shear in shears for w in shear.waves]
    return (
        np.asarray([shear.axis for shear in shears], np.int64),
        np.asarray([shear.shift_um for shear in shears], np.float64),
        np.cumsum([len(shear.waves) for shear in shears], dtype=np.int64),
        np.asarray(waves, np.float64).reshape(-1, 4),
    )


@inlined
def _cos_turns(turns: float) -> float:
    """``cos 2πt`` to 3e-15: folded onto a quarter turn of the sine, then its Taylor series; loops over it vectorise."""
    a = 2 * np.pi * (0.25 - abs(turns - np.floor(turns + 0.5)))
    s = a * a
    p = 1.0 - s * (1 / 342.0)
    p = 1.0 - s * (1 / 272.0) * p
    p = 1.0 - s * (1 / 210.0) * p
    p = 1.0 - s * (1 / 156.0) * p
    p = 1.0 - s * (1 / 110.0) * p
    p = 1.0 - s * (1 / 72.0) * p
    p = 1.0 - s * (1 / 42.0) * p
    p = 1.0 - s * (1 / 20.0) * p
    p = 1.0 - s * (1 / 6.0) * p
    return float(a * p)


@kernel
def _move_kernel(points: AnyArray, axes: AnyArray, shifts: AnyArray, ends: AnyArray, waves: AnyArray) -> None:
    """Block by block, each axis in a row of its own, so that the processor takes several points at once."""
    rows = np.zeros((3, _BLOCK), np.float64)
    added = np.empty(_BLOCK, np.float64)
    for start in range(0, points.shape[0], _BLOCK):
        count = min(_BLOCK, points.shape[0] - start)
        for a in range(3):
            for i in range(count):
                rows[a, i] = points[start + i, a]
        first = 0
        for s in range(axes.shape[0]):
            moved, b, c = rows[axes[s]], rows[0 if axes[s] > 0 else 1], rows[2 if axes[s] < 2 else 1]
            added[:] = shifts[s]
            for w in range(first, ends[s]):
                height, kb, kc, phase = waves[w, 0], waves[w, 1], waves[w, 2], waves[w, 3]
                for i in range(_BLOCK):
                    added[i] += height * _cos_turns(kb * b[i] + kc * c[i] + phase)
            first = ends[s]
            for i in range(count):
                moved[i] += added[i]
        for a in range(3):
            for i in range(count):
                points[start + i, a] = rows[a, i]
