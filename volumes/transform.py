"""Maps from fixed points to moving points, in world (z, y, x) µm: what resampling needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from volumes.errors import TransformError
from volumes.shapes import Matrix4, Points

SINGULAR = 1e-9
"""A linear map whose least stretch is below this share of its largest has no inverse worth the name."""


@runtime_checkable
class Transform(Protocol):
    """Maps fixed points to moving points; ``(a @ b)(x) = a(b(x))``."""

    def __call__(self, points: ArrayLike) -> Points:
        """Moving points (n, 3) of fixed points (n, 3)."""
        ...

    def inverse(self) -> Transform:
        """The map back."""
        ...


class Affine:
    """A linear map, ``x ↦ A x + b``, as one 4×4 matrix over world (z, y, x) µm.

    Raises
    ------
    TransformError : not 4×4, not finite, a last row other than 0 0 0 1, or singular.
    """

    __slots__ = ("_matrix",)

    def __init__(self, matrix: ArrayLike) -> None:
        array = np.array(matrix, dtype=np.float64)
        if array.shape != (4, 4) or not np.isfinite(array).all():
            raise TransformError("needs a finite 4×4 matrix", field="matrix", value=array.tolist())
        if np.abs(array[3] - (0, 0, 0, 1)).max() > 1e-12:
            raise TransformError("the last row must be 0 0 0 1", field="matrix", value=array[3].tolist())
        stretches = np.linalg.svd(array[:3, :3], compute_uv=False)
        if stretches[2] <= SINGULAR * stretches[0]:
            raise TransformError("is singular", field="matrix", value=array[:3, :3].tolist())
        array += 0.0  # −0 becomes 0, so that equal maps have equal bytes and hashes
        array.flags.writeable = False
        self._matrix = array

    @property
    def matrix(self) -> Matrix4:
        """The 4×4 matrix, read-only."""
        return self._matrix

    def __call__(self, points: ArrayLike) -> Points:
        """Moving points (n, 3) of fixed points (n, 3)."""
        return np.asarray(points, dtype=np.float64) @ self._matrix[:3, :3].T + self._matrix[:3, 3]

    def __matmul__(self, other: Transform) -> Transform:
        if isinstance(other, Affine):
            return Affine(self._matrix @ other._matrix)
        return Composite((self,)) @ other

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Affine) and np.array_equal(self._matrix, other._matrix)

    def __hash__(self) -> int:
        return hash(self._matrix.tobytes())

    def __repr__(self) -> str:
        return f"Affine({np.array2string(self._matrix, precision=6, separator=', ')})"

    def inverse(self) -> Affine:
        """The map back, exact to rounding."""
        return Affine(np.linalg.inv(self._matrix))

    @property
    def rotation_deg(self) -> float:
        """Angle of the nearest rotation, in degrees."""
        from scipy.spatial.transform import Rotation

        u, _, vt = np.linalg.svd(self._matrix[:3, :3])
        u[:, 2] *= np.sign(np.linalg.det(u @ vt))
        return float(np.degrees(Rotation.from_matrix(u @ vt).magnitude()))

    @classmethod
    def identity(cls) -> Affine:
        """The map that leaves every point where it is."""
        return cls(np.eye(4))

    @classmethod
    def rigid(
        cls,
        rotation_rad: Sequence[float] = (0.0, 0.0, 0.0),
        translation_um: Sequence[float] = (0.0, 0.0, 0.0),
        centre_um: Sequence[float] = (0.0, 0.0, 0.0),
    ) -> Affine:
        """Turn about ``centre_um``, then shift: ``x ↦ R (x − c) + c + t``.

        Parameters
        ----------
        rotation_rad : rotation vector (axis × angle) over the world's (z, y, x).
        translation_um : shift after the turn.
        centre_um : the point that the turn leaves in place.

        Raises
        ------
        TransformError : one of them is no finite triple.
        """
        from scipy.spatial.transform import Rotation

        centre = _triple(centre_um, "centre_um")
        matrix = np.eye(4)
        matrix[:3, :3] = Rotation.from_rotvec(_triple(rotation_rad, "rotation_rad")).as_matrix()
        matrix[:3, 3] = centre + _triple(translation_um, "translation_um") - matrix[:3, :3] @ centre
        return cls(matrix)


@dataclass(frozen=True)
class Composite:
    """Several transforms as one, applied last to first: ``Composite((a, b))(x) = a(b(x))``.

    Raises
    ------
    TransformError : no part at all.
    """

    parts: tuple[Transform, ...]

    def __post_init__(self) -> None:
        flat = [p for part in self.parts for p in (part.parts if isinstance(part, Composite) else (part,))]
        if not flat:
            raise TransformError("a composite needs at least one part", field="parts")
        object.__setattr__(self, "parts", tuple(flat))

    def __call__(self, points: ArrayLike) -> Points:
        """Moving points (n, 3) of fixed points (n, 3)."""
        moved = np.asarray(points, dtype=np.float64)
        for part in reversed(self.parts):
            moved = part(moved)
        return moved

    def __matmul__(self, other: Transform) -> Composite:
        return Composite((*self.parts, other))

    def inverse(self) -> Composite:
        """The inverse of each part, in reverse order."""
        return Composite(tuple(part.inverse() for part in reversed(self.parts)))


def _triple(values: Sequence[float], field: str) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64).reshape(-1)
    if array.shape != (3,) or not np.isfinite(array).all():
        raise TransformError("needs three finite values (z, y, x)", field=field, value=values)
    return array


def as_affine(transform: Transform) -> Affine | None:
    """The one Affine that a transform amounts to; None when a part is not linear."""
    if isinstance(transform, Affine):
        return transform
    if isinstance(transform, Composite) and all(isinstance(part, Affine) for part in transform.parts):
        matrices = [part.matrix for part in transform.parts if isinstance(part, Affine)]
        return Affine(np.linalg.multi_dot([np.eye(4), *matrices]))
    return None
