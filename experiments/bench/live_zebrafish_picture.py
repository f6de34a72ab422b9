"""Overlays of registered stacks: fixed in green, moving in magenta, white where both are bright.

``experiments.bench.live_zebrafish`` with ``--pictures`` draws them. Each volume is shown from its own 45th to its
99.7th percentile with a gamma of 0.6; nothing is smoothed. Planes go through the middle of the moving stack's tissue,
as the registration lays it. Projections are the brightest voxel along the line of sight, of both volumes only where
the moving stack's field lies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.bench.live_zebrafish import STAINS, between
from registration.graph import Graph, foreground_um
from volumes.atomic import replacing_file
from volumes.resample import resample
from volumes.shapes import AnyArray
from volumes.transform import Affine, Composite, Transform
from volumes.volume import Volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN, GAMMA = (45.0, 99.7), 0.6
"""Percentiles of a volume that become black and white, and the power between them."""
VIEWS = ("from the back", "from the side", "from the front")
BAR_UM = 100.0
WIDE_INCHES = 9.0


@dataclass(frozen=True, eq=False)
class Overlay:
    """Two volumes on one grid.

    Parameters
    ----------
    title : what is shown.
    fixed, moving : (z, y, x), from 0 to 1.
    field : (z, y, x), where the moving one has voxels.
    """

    title: str
    fixed: AnyArray
    moving: AnyArray
    field: AnyArray

    def plane(self, axis: int, place: int) -> AnyArray:
        """One plane in colours, (rows, columns, 3)."""
        return coloured(*(np.take(voxels, place, axis) for voxels in (self.fixed, self.moving)))

    def projection(self, axis: int) -> AnyArray:
        """The brightest voxels along an axis, within the moving one's field."""
        return coloured(*((voxels * self.field).max(axis) for voxels in (self.fixed, self.moving)))


def coloured(fixed: AnyArray, moving: AnyArray) -> AnyArray:
    """Green and magenta: (rows, columns, 3)."""
    return np.stack([moving, fixed, moving], -1)


def overlay(title: str, fixed: Volume, moving: Volume, transform: Transform) -> Overlay:
    """The moving volume on the fixed one's grid, over it."""
    moved = resample(moving, like=fixed, transform=transform)
    field = np.ones(fixed.grid.shape, bool) if moved.valid is None else np.asarray(moved.valid)
    scale = _limits(moving)
    return Overlay(title, _shown(fixed, _limits(fixed)), _shown(moved, scale) * field, field)


def draw_stacks(volumes: Mapping[str, Volume], graph: Graph, out: Path) -> None:
    """The two stacks of one fish, before and after their registration."""
    pre, post = volumes["pre"], volumes["post"]
    found = between(graph, "pre", "post")
    titles = ("as recorded", "registered: rigid")
    overlays = [overlay(t, pre, post, by) for t, by in zip(titles, (Affine.identity(), found), strict=True)]
    draw(overlays, pre, middle(pre, post, found), out)


def draw_bridge(volumes: Mapping[str, Volume], graph: Graph, out: Path) -> None:
    """The stack from before over the atlas's stains, by way of the one from after; above it tERK as recorded."""
    pre, across = volumes["pre"], between(graph, "post", "pre")
    bridged = {stain: Composite((across, between(graph, stain, "post"))) for stain in STAINS}
    overlays = [overlay("tERK, as recorded", volumes["tERK"], pre, Affine.identity())]
    overlays += [overlay(f"{stain}, registered", volumes[stain], pre, by) for stain, by in bridged.items()]
    draw(overlays, volumes["tERK"], middle(volumes["tERK"], pre, bridged["tERK"]), out)


def middle(fixed: Volume, moving: Volume, transform: Transform) -> tuple[int, ...]:
    """The voxel (z, y, x) of the fixed volume in the middle of the moving one's tissue."""
    index = fixed.grid.to_index(transform.inverse()(foreground_um(moving)))
    inside = np.clip(np.rint(index.mean(axis=0)), 0, np.asarray(fixed.grid.shape) - 1)
    return tuple(int(i) for i in inside)


def draw(overlays: Sequence[Overlay], like: Volume, place: Sequence[int], out: Path) -> None:
    """Write a PNG: for each overlay a row of planes and a row of projections, each in three views.

    Parameters
    ----------
    overlays : on one grid.
    like : a volume of that grid.
    place : the voxel (z, y, x) that the planes go through.
    out : the file.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    _, y, x = like.grid.extent_um
    widths = (x, x, y)
    row_inches = y * WIDE_INCHES / sum(widths) + 0.25
    with mpl.rc_context({"font.size": 7}):
        figure = Figure((WIDE_INCHES, 2 * len(overlays) * row_inches), layout="constrained")
        grid = figure.add_gridspec(2 * len(overlays), 3, width_ratios=widths)
        for row, shown in enumerate(overlays):
            for axis, view in enumerate(VIEWS):
                pictures = (("plane", shown.plane(axis, place[axis])), ("projection", shown.projection(axis)))
                for part, (kind, picture) in enumerate(pictures):
                    axes = figure.add_subplot(grid[2 * row + part, axis])
                    _show(axes, picture, np.delete(like.grid.spacing_um, axis))
                    axes.set_title(f"{shown.title}: {kind} {view}" if axis == 0 else view, loc="left")
        with replacing_file(out) as temporary:
            figure.savefig(temporary, dpi=110, format="png", metadata={"Software": None})


def _show(axes: Axes, picture: AnyArray, pixel_um: AnyArray) -> None:
    rows, columns = picture.shape[:2]
    down, across = pixel_um
    axes.imshow(picture, aspect="equal", interpolation="nearest", extent=(0, columns * across, rows * down, 0))
    end, low = columns * across - 20, rows * down - 20
    axes.plot([end - BAR_UM, end], [low, low], color="white", linewidth=2)
    axes.text(end - BAR_UM / 2, low - 12, f"{BAR_UM:.0f} µm", color="white", ha="center", fontsize=5)
    axes.axis("off")


def _limits(volume: Volume) -> tuple[float, float]:
    low, high = np.percentile(volume.channel(), SHOWN)
    return float(low), float(high)


def _shown(volume: Volume, limits: tuple[float, float]) -> AnyArray:
    low, high = limits
    voxels = np.nan_to_num(np.asarray(volume.channel(), np.float64), nan=low)
    bright: AnyArray = np.clip((voxels - low) / (high - low), 0, 1) ** GAMMA
    return bright
