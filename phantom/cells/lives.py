"""What is known of each cell while its life is simulated, beyond what a moment shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from phantom.cells.cells import Cells
from phantom.cells.shape import BUMPS, STEEPEST
from volumes.shapes import AnyArray, Points

SWIR_SPREAD = 0.5
"""Deviation of the logarithm of the light in the short-wave infrared."""
SWIR_LACKS = 0.2
"""Share of the cells that took up nothing of that dye."""
BODY_SPREAD = 0.08
"""Deviation of the logarithm of what a cell's body is larger than its nucleus."""
WILTED = 0.3
"""What is left of a nucleus' volume when it is gone."""


@dataclass(frozen=True)
class Looks:
    """How cells differ from one another.

    Parameters
    ----------
    radius_um : median radius of the nuclei.
    size_spread, aspect, brightness_spread : deviation of the logarithm of radius, of each semi-axis, of the brightness.
    bumps : deviation of each coefficient of the surface.
    body : size of a cell relative to its nucleus.
    """

    radius_um: float
    size_spread: float
    aspect: float
    bumps: float
    brightness_spread: float
    body: float


@dataclass(frozen=True, eq=False)
class Lives:
    """One row a cell; what it looks like between divisions, how it moves, and when it was born, divides and dies.

    Parameters
    ----------
    number, mother, centre_um, body, brightness, seed : as in :class:`~phantom.cells.cells.Cells`.
    home_um : the last place where it surely was in living tissue, (n, 3).
    radius_um, full_um : its radius, and that to which it grows, (n,).
    log_axes : logarithm of semi-axis by radius, (n, 3), of sum 0.
    turn : rotation matrices, (n, 3, 3); their columns are the semi-axes' directions.
    bumps : (n, :data:`~phantom.cells.shape.BUMPS`).
    velocity_um_s : (n, 3).
    born_s, divides_s, dies_s : instants, (n,); −inf or inf where they lie beyond the simulation.
    """

    number: NDArray[np.int32]
    mother: NDArray[np.int32]
    centre_um: Points
    home_um: Points
    radius_um: NDArray[np.float64]
    full_um: NDArray[np.float64]
    log_axes: Points
    turn: Float64[np.ndarray, "n 3 3"]
    bumps: Float64[np.ndarray, "n k"]
    body: NDArray[np.float64]
    brightness: Points
    seed: NDArray[np.int64]
    velocity_um_s: Points
    born_s: NDArray[np.float64]
    divides_s: NDArray[np.float64]
    dies_s: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.number)

    def rows(self, which: AnyArray) -> Lives:
        """The cells at these rows (indices or a mask)."""
        return Lives(**{f.name: getattr(self, f.name)[which] for f in fields(self)})

    def seen(self, time_s: float, mitosis_s: float) -> Cells:
        """How they look at one moment: rounded and condensed about a division, wilted at the end.

        ``F = r Q exp((1 − w) diag(log axes))`` and ``(1 − w) b``, w being how condensed a cell is: rounding up leaves
        the volume as it is. A dying cell loses volume, rounds up, and fades.

        Parameters
        ----------
        time_s : the moment.
        mitosis_s : how long a mother rounds up, her daughters flatten again, and a dying cell takes.
        """
        dying = _eased(1 - (self.dies_s - time_s) / mitosis_s)
        divides = _eased(1 - (self.divides_s - time_s) / mitosis_s)
        w = np.maximum.reduce([divides, 1 - _eased((time_s - self.born_s) / mitosis_s), np.minimum(1, 2 * dying)])
        axes = (self.radius_um * (1 - (1 - WILTED) * dying) ** (1 / 3))[:, None] * np.exp(
            (1 - w)[:, None] * self.log_axes
        )
        return Cells(
            self.number,
            self.mother,
            self.centre_um,
            self.turn * axes[:, None, :],
            (1 - w)[:, None] * self.bumps,
            self.body,
            w,
            self.brightness * (1 - dying)[:, None],
            self.seed,
        )


def newborn(n: int, first: int, looks: Looks, rng: np.random.Generator) -> Lives:
    """So many cells without a place, a velocity or a fate.

    Parameters
    ----------
    n : how many.
    first : the first one's number; the others follow.
    looks : how they differ.
    """
    radius = looks.radius_um * np.exp(looks.size_spread * np.clip(rng.standard_normal(n), -2.5, 2.5))
    dyed = np.exp(looks.brightness_spread * rng.standard_normal((n, 2)))
    swir = np.exp(SWIR_SPREAD * rng.standard_normal(n)) * (rng.random(n) >= SWIR_LACKS)
    log_axes, turn, bumps = shaped(n, looks, rng)
    return Lives(
        number=np.arange(first, first + n, dtype=np.int32),
        mother=np.zeros(n, np.int32),
        centre_um=np.zeros((n, 3)),
        home_um=np.zeros((n, 3)),
        radius_um=radius,
        full_um=radius.copy(),
        log_axes=log_axes,
        turn=turn,
        bumps=bumps,
        body=np.maximum(1.0, looks.body * np.exp(BODY_SPREAD * rng.standard_normal(n))),
        brightness=np.column_stack([dyed, swir]),
        seed=rng.integers(0, 2**62, n),
        velocity_um_s=np.zeros((n, 3)),
        born_s=np.full(n, -np.inf),
        divides_s=np.full(n, np.inf),
        dies_s=np.full(n, np.inf),
    )


def shaped(n: int, looks: Looks, rng: np.random.Generator) -> tuple[Points, AnyArray, AnyArray]:
    """Random ``log_axes``, ``turn`` and ``bumps`` of so many cells."""
    log_axes = looks.aspect * np.clip(rng.standard_normal((n, 3)), -2.5, 2.5)
    bumps = looks.bumps * rng.standard_normal((n, BUMPS))
    steep = np.abs(bumps).sum(1, keepdims=True) / (0.9 * STEEPEST)
    turn = Rotation.random(n, rng=rng).as_matrix() if n else np.zeros((0, 3, 3))
    return log_axes - log_axes.mean(1, keepdims=True), turn, bumps / np.maximum(1, steep)


def joined(parts: Sequence[Lives]) -> Lives:
    """All rows, one part after the other."""
    return Lives(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Lives)})


def put(lives: Lives, centre_um: Points) -> Lives:
    """The cells at places in living tissue."""
    return replace(lives, centre_um=centre_um, home_um=centre_um)


def _eased(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 up to 0, 1 from 1, ``3 t² − 2 t³`` between."""
    t = np.clip(share, 0, 1)
    return t * t * (3 - 2 * t)
