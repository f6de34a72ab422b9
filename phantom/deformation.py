"""Smooth maps that keep every volume, with an exact inverse: how soft tissue lies differently before each instrument.

A map is a chain of shears. Each moves one coordinate by a smooth function of the other two,

    ``x_a ↦ x_a + s + Σ_i A_i cos 2π (k_i · (x_b, x_c) + φ_i)``,

so that its Jacobian is triangular with ones on the diagonal: its determinant is 1 everywhere, it cannot fold, and
taking the same function away again undoes it to rounding. Chains of shears have all of this too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from phantom.shears import Shear, Wave, finite_numbers, move, others
from volumes.errors import ConfigError
from volumes.shapes import Points, Triple
from volumes.transform import Composite, Transform

WAVES = 4
"""Cosines in each shear of a random map."""
LONGEST = 3.0
"""The longest wavelength of a random map, in its shortest."""
STEEPEST = 0.5
"""A random map whose ``|∂u/∂x|`` passes this anywhere in its sample is refused: tissue would rather tear."""
SAMPLE = 24
"""A random map is measured at one point in each cell of a lattice of this many cells a side."""
_TRIES = 50
_ROUNDING_UM = 1e-9


@dataclass(frozen=True)
class Deformation:
    """A chain of shears, the first applied first: a :class:`~volumes.transform.Transform` over world (z, y, x) µm.

    Parameters
    ----------
    shears : none at all is the identity.
    """

    shears: tuple[Shear, ...]

    @classmethod
    def random(
        cls,
        rms_um: float,
        shortest_um: float,
        rng: np.random.Generator,
        *,
        extent_um: Triple,
        centre_um: Triple = (0.0, 0.0, 0.0),
        rounds: int = 2,
    ) -> Deformation:
        """A random map of a given strength over a box, without a mean displacement there.

        Directions and phases are uniform, wavelengths log-uniform from the shortest to three times it, and heights
        proportional to them, so that no wave bends more than another.

        Parameters
        ----------
        rms_um : root mean square of the displacement's length over the box; 0 gives the identity.
        shortest_um : shortest wavelength.
        rng : draws the waves, and the points at which the strength is measured.
        extent_um, centre_um : the box, sides along (z, y, x).
        rounds : how often each of the three axes is sheared.

        Raises
        ------
        ConfigError : numbers out of range, or a map steeper than ``STEEPEST`` somewhere in the box.
        """
        _require(rms_um >= 0, "must be finite and not below 0", "rms_um", rms_um)
        _require(shortest_um > 0, "must be finite and above 0", "shortest_um", shortest_um)
        _require(rounds >= 1, "must be at least 1", "rounds", rounds)
        sides = np.asarray(finite_numbers(extent_um, 3, "extent_um"))
        _require(bool((sides > 0).all()), "must be above 0", "extent_um", float(sides.min()))
        if rms_um == 0:
            return cls(())
        points = _spread(sides, np.asarray(finite_numbers(centre_um, 3, "centre_um")), rng)
        drawn = [_drawn(axis, shortest_um, rng) for _ in range(rounds) for axis in rng.permutation(3)]
        return _not_too_steep(_of_strength(drawn, rms_um, points), points, rms_um)

    def __call__(self, points: ArrayLike) -> Points:
        """Moved points (n, 3) of points (n, 3), float64."""
        moved = np.array(points, dtype=np.float64, order="C")
        self.move(moved)
        return moved

    def move(self, points: Float[np.ndarray, "*shape 3"]) -> None:
        """Move points where they stand, in memory of their own: float64 or float32, (…, 3), contiguous.

        The sums are float64 whatever the type, so that float32 loses only its last rounding.

        Raises
        ------
        ConfigError : another type or shape, or an array that is not contiguous or may not be written.
        """
        flags = points.flags
        if points.dtype not in (np.float32, np.float64) or not flags.c_contiguous or not flags.writeable:
            raise ConfigError("needs a contiguous, writeable float array", field="points", value=str(points.dtype))
        if points.shape[-1:] != (3,):
            raise ConfigError("needs (z, y, x) along the last axis", field="points", value=points.shape)
        move(self.shears, points.reshape(-1, 3))

    def inverse(self) -> Deformation:
        """The map back, exact to rounding."""
        return Deformation(tuple(shear.scaled(-1.0) for shear in reversed(self.shears)))

    def __matmul__(self, other: Transform) -> Composite:
        return Composite((self, other))

    def jacobian(self, points: ArrayLike) -> NDArray[np.float64]:
        """(n, 3, 3): ``∂y/∂x`` at points (n, 3), by the chain rule."""
        moved = np.array(points, dtype=np.float64, order="C")
        out = np.tile(np.eye(3), (len(moved), 1, 1))
        for shear in self.shears:
            plane = others(shear.axis)
            for wave in shear.waves:
                turns = moved[:, plane] @ np.asarray(wave.per_um) + wave.phase
                slope = -2 * np.pi * wave.amplitude_um * np.sin(2 * np.pi * turns)
                out[:, shear.axis] += slope[:, None] * np.einsum("b,nbj->nj", np.asarray(wave.per_um), out[:, plane])
            Deformation((shear,)).move(moved)
        return out

    def steepness(self, points: ArrayLike) -> NDArray[np.float64]:
        """(n,): ``|∂u/∂x|``, the spectral norm of the displacement's gradient, at points (n, 3)."""
        largest: NDArray[np.float64] = np.linalg.norm(self.jacobian(points) - np.eye(3), ord=2, axis=(1, 2))
        return largest

    @property
    def steepness_bound(self) -> float:
        """``|∂u/∂x|`` is nowhere in space larger than this; as a rule two to three times what a sample shows."""
        product = np.eye(3)
        for shear in self.shears:
            product[shear.axis] += shear.slopes @ product
        return float(np.linalg.norm(product - np.eye(3), ord=2))

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, lists and dictionaries, for JSON or YAML; :meth:`from_dict` reads them."""
        shears = [asdict(shear) for shear in self.shears]
        for shear in shears:
            shear["waves"] = [{**wave, "per_um": list(wave["per_um"])} for wave in shear["waves"]]
        return {"shears": shears}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Deformation:
        """What :meth:`as_dict` gave, to the last bit.

        Raises
        ------
        ConfigError : missing, unknown or mistyped keys, numbers that are not finite.
        """
        try:
            shears = [{**shear, "waves": tuple(Wave(**wave) for wave in shear["waves"])} for shear in values["shears"]]
            _require(values.keys() == {"shears"}, "has unknown keys", "deformation", sorted(values))
            return cls(tuple(Shear(**shear) for shear in shears))
        except (TypeError, KeyError, ValueError) as error:
            raise ConfigError(
                "is no deformation", field="deformation", value=str(error), remedy="Take it from as_dict"
            ) from error


def _require(holds: bool, problem: str, field: str, value: object) -> None:
    if not holds or (isinstance(value, float) and not np.isfinite(value)):
        raise ConfigError(problem, field=field, value=value)


def _spread(sides: NDArray[np.float64], centre: NDArray[np.float64], rng: np.random.Generator) -> Points:
    """One random point in each cell of a lattice over the box, (n, 3): no wavelength can hide from them all."""
    cells = np.stack(np.meshgrid(*[np.arange(SAMPLE)] * 3, indexing="ij"), -1).reshape(-1, 3)
    points: Points = ((cells + rng.random(cells.shape)) / SAMPLE - 0.5) * sides + centre
    return points


def _drawn(axis: int, shortest_um: float, rng: np.random.Generator) -> Shear:
    lengths = shortest_um * LONGEST ** rng.random(WAVES)
    angles, phases = 2 * np.pi * rng.random(WAVES), rng.random(WAVES)
    rows = np.stack([lengths, np.cos(angles) / lengths, np.sin(angles) / lengths, phases], -1).tolist()
    return Shear(int(axis), 0.0, tuple(Wave(a, (b, c), phase) for a, b, c, phase in rows))


def _of_strength(drawn: Sequence[Shear], rms_um: float, points: Points) -> Deformation:
    """Scaled until the root mean square fits: nearly proportional, so that a few proportional steps end it."""
    factor = rms_um / sum(wave.amplitude_um for shear in drawn for wave in shear.waves)
    for _ in range(_TRIES):
        found = _centred([shear.scaled(factor) for shear in drawn], points)
        rms = float(np.sqrt(((found(points) - points) ** 2).sum(1).mean()))
        if abs(rms - rms_um) <= 1e-6 * rms_um + _ROUNDING_UM:
            return found
        factor *= rms_um / rms
    raise ConfigError("cannot be reached", field="rms_um", value=rms_um, remedy="Ask for less, or longer waves")


def _centred(shears: Sequence[Shear], points: Points) -> Deformation:
    """Each shear with the shift that makes its mean 0 over the points, as the shears before it left them."""
    moved, out = points.copy(), []
    for shear in shears:
        before = moved[:, shear.axis].mean()
        Deformation((shear,)).move(moved)
        offset = float(moved[:, shear.axis].mean() - before)
        moved[:, shear.axis] -= offset
        out.append(replace(shear, shift_um=shear.shift_um - offset))
    return Deformation(tuple(out))


def _not_too_steep(found: Deformation, points: Points, rms_um: float) -> Deformation:
    steepest = float(found.steepness(points).max())
    if not steepest <= STEEPEST:
        raise ConfigError(
            f"bends the tissue too steeply: the displacement's gradient reaches {steepest:.2f}, {STEEPEST} is allowed",
            field="rms_um",
            value=rms_um,
            remedy=f"Ask for at most about {rms_um * STEEPEST / steepest * 0.9:.3g} µm, or for longer waves",
        )
    return found
