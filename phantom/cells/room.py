"""Where cells may be: living tissue inside a box, with how deep each place lies below the tissue's surface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from volumes.errors import ConfigError
from volumes.jit import inlined, kernel
from volumes.shapes import AnyArray, Points, Voxels

NODES = 1_000_000
"""At most about so many nodes hold the depth; a larger room gets a coarser one."""
FEWEST = 9
"""Nodes along each axis, at least."""
DRAWS = 200
"""Rounds of random places before it is said that tissue is too sparse to be met."""


class Tissue(Protocol):
    """What is asked of an anatomy here."""

    @property
    def centre_um(self) -> AnyArray:
        """Its middle, (3,)."""
        ...

    @property
    def extent_um(self) -> AnyArray:
        """Its sides, (3,)."""
        ...

    def living(self, points: Points) -> NDArray[np.bool_]:
        """Whether cells may live at these places (n, 3) µm."""
        ...


@dataclass(frozen=True, eq=False)
class Room:
    """A box of living tissue, sampled on nodes that span it from face to face.

    Parameters
    ----------
    tissue : says exactly where cells may live.
    low_um, high_um : the box's corners, (3,).
    step_um : distance of the nodes along each axis, (3,).
    depth_um : depth of each node below the surface, (z, y, x): negative outside. The box's faces count as surface where
        it is closed.
    volume_um3 : living tissue in the box.
    """

    tissue: Tissue
    low_um: NDArray[np.float64]
    high_um: NDArray[np.float64]
    step_um: NDArray[np.float64]
    depth_um: Voxels
    volume_um3: float

    def depth(self, points: Points) -> NDArray[np.float64]:
        """Depth below the surface (n,) µm, trilinear between the nodes; beyond the box that of its nearest face."""
        return sampled(self.depth_um, self.low_um, self.step_um, points)[:, 0]

    def holds(self, points: Points) -> NDArray[np.bool_]:
        """Whether places (n, 3) lie inside the box."""
        return np.asarray(((points >= self.low_um) & (points <= self.high_um)).all(1))

    def drawn(self, n: int, rng: np.random.Generator) -> Points:
        """Random places (n, 3) in living tissue, evenly spread.

        Raises
        ------
        ConfigError : there is so little tissue that it is not met.
        """
        nodes = np.argwhere(self.depth_um > -self.step_um.max())
        found = [np.zeros((0, 3))]
        for _ in range(DRAWS):
            if sum(map(len, found)) >= n:
                return np.concatenate(found)[:n]
            index = nodes[rng.integers(len(nodes), size=2 * n + 16)] + rng.uniform(-0.5, 0.5, (2 * n + 16, 3))
            places = self.low_um + self.step_um * index
            places = places[self.holds(places)]
            found.append(places[self.tissue.living(places)])
        raise ConfigError("hardly any living tissue lies in the field", field="size_um", remedy="Move or enlarge it")


def room(tissue: Tissue, centre_um: AnyArray, size_um: AnyArray, detail_um: float, closed: bool) -> Room:
    """The room of a box.

    Parameters
    ----------
    tissue : where cells may live.
    centre_um, size_um : the box, (3,).
    detail_um : the nodes' distance that is wished for.
    closed : whether the faces of the box are walls; open, cells may cross them.

    Raises
    ------
    ConfigError : a box without living tissue.
    """
    centre, size = np.asarray(centre_um, np.float64).reshape(3), np.asarray(size_um, np.float64).reshape(3)
    low, high = centre - size / 2, centre + size / 2
    wished = max(detail_um, float(np.cbrt(np.prod(size) / NODES)))
    shape = np.maximum(FEWEST, np.ceil(size / wished).astype(int) + 1)
    axes = [np.linspace(a, b, n) for a, b, n in zip(low, high, shape, strict=True)]
    places = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    living = np.asarray(tissue.living(places.reshape(-1, 3))).reshape(tuple(shape))
    if not living.any():
        raise ConfigError(
            "no living tissue lies there",
            field="size_um",
            value=(low.tolist(), high.tolist()),
            remedy="Move or enlarge the field",
        )
    step = size / (shape - 1)
    depth = _depth(living, step, float(size.sum()))
    if closed:
        depth = np.minimum(depth, np.minimum(places - low, high - places).min(-1))
    return Room(tissue, low, high, step, depth, _share(living) * float(np.prod(size)))


def _share(living: NDArray[np.bool_]) -> float:
    """Share of the box that lives, by the trapezoid rule: nodes on a face count half."""
    share = living.astype(np.float64)
    for n in living.shape:
        ends = np.ones(n)
        ends[[0, -1]] = 0.5
        share = np.average(share, 0, ends)
    return float(share)


def _depth(living: NDArray[np.bool_], step: NDArray[np.float64], far: float) -> Voxels:
    """Signed distance to the surface, taken to lie half a step beyond the outermost living node."""
    if living.all():
        return np.full(living.shape, far)
    half = float(step.mean()) / 2
    inside = ndimage.distance_transform_edt(living, step) - half
    outside = ndimage.distance_transform_edt(~living, step) - half
    return np.asarray(np.where(living, inside, -outside))


def sampled(nodes: Voxels, low: AnyArray, step: AnyArray, points: Points) -> NDArray[np.float64]:
    """Value and gradient of a trilinear field: (n, 4), the gradient along (z, y, x) behind the value.

    Parameters
    ----------
    nodes : values, (z, y, x).
    low, step : place of node (0, 0, 0) and distance of the nodes, µm, (3,).
    points : places (n, 3) µm; beyond the nodes the nearest face answers.
    """
    out = np.empty((len(points), 4))
    _sampled(nodes, low, step, np.ascontiguousarray(points), out)
    return out


@inlined
def trilinear(
    nodes: AnyArray, low: AnyArray, step: AnyArray, z: float, y: float, x: float
) -> tuple[float, float, float, float]:
    """Value and gradient at one place; see :func:`sampled`."""
    tz = min(max((z - low[0]) / step[0], 0.0), nodes.shape[0] - 1.000001)
    ty = min(max((y - low[1]) / step[1], 0.0), nodes.shape[1] - 1.000001)
    tx = min(max((x - low[2]) / step[2], 0.0), nodes.shape[2] - 1.000001)
    i, j, k = int(tz), int(ty), int(tx)
    fz, fy, fx = tz - i, ty - j, tx - k
    a, b = nodes[i, j, k], nodes[i, j, k + 1]
    c, d = nodes[i, j + 1, k], nodes[i, j + 1, k + 1]
    e, f = nodes[i + 1, j, k], nodes[i + 1, j, k + 1]
    g, h = nodes[i + 1, j + 1, k], nodes[i + 1, j + 1, k + 1]
    ab, cd, ef, gh = a + (b - a) * fx, c + (d - c) * fx, e + (f - e) * fx, g + (h - g) * fx
    near, far = ab + (cd - ab) * fy, ef + (gh - ef) * fy
    along_y = (cd - ab) * (1 - fz) + (gh - ef) * fz
    along_x = ((b - a) * (1 - fy) + (d - c) * fy) * (1 - fz) + ((f - e) * (1 - fy) + (h - g) * fy) * fz
    return near + (far - near) * fz, (far - near) / step[0], along_y / step[1], along_x / step[2]


@kernel
def _sampled(nodes: AnyArray, low: AnyArray, step: AnyArray, points: AnyArray, out: AnyArray) -> None:
    for n in range(points.shape[0]):
        value, z, y, x = trilinear(nodes, low, step, points[n, 0], points[n, 1], points[n, 2])
        out[n, 0], out[n, 1], out[n, 2], out[n, 3] = value, z, y, x
