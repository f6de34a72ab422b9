"""Small vector drawings: paths as text, colours along time, ticks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike, NDArray

from experiments.report.plate import Bar, Mark

TIME_STOPS = ("#5468e7", "#2f9fe0", "#2fc7a7", "#a5d64c", "#ffc83d", "#ff8a4c")
"""Early to late, on a dark ground."""


@dataclass(frozen=True)
class Drawing:
    """A vector picture in the page.

    Parameters
    ----------
    svg : the markup within ``<svg>``.
    width, height : its view box.
    alt : what it shows, in words.
    marks, bar : text over it, as on a plate.
    stretch : whether it may be stretched to any width (a graph may, a picture in µm may not).
    """

    svg: Markup
    width: int
    height: int
    alt: str
    marks: tuple[Mark, ...] = ()
    bar: Bar | None = None
    stretch: bool = False


def time_colour(share: float) -> str:
    """The colour ``#rrggbb`` at a share (0 to 1) of the way from early to late."""
    place = min(max(share, 0.0), 1.0) * (len(TIME_STOPS) - 1)
    low = min(int(place), len(TIME_STOPS) - 2)
    a, b = (np.asarray([int(c[i : i + 2], 16) for i in (1, 3, 5)]) for c in TIME_STOPS[low : low + 2])
    return "#" + "".join(f"{int(v):02x}" for v in np.rint(a + (b - a) * (place - low)))


def segments_path(points: ArrayLike, edges: NDArray[np.int64]) -> str:
    """The ``d`` of a path over edges (m, 2) between points (n, 2), rounded to whole units.

    An edge that begins where the one before it ended goes on without lifting the pen.
    """
    ends = np.rint(np.asarray(points, np.float64)[edges]).astype(int)
    begins, steps = ends[:, 0].tolist(), (ends[:, 1] - ends[:, 0]).tolist()
    out: list[str] = []
    pen = -1
    for (start, end), (x, y), (across, down) in zip(edges.tolist(), begins, steps, strict=True):
        if start != pen:
            out.append(f"M{x} {y}")
        out.append(f"l{across} {down}")
        pen = end
    return "".join(out)


def dots_path(points: ArrayLike) -> str:
    """The ``d`` of a path of no length at each point (n, 2): round dots with round line ends."""
    return "".join(f"M{x} {y}h0" for x, y in np.rint(np.asarray(points, np.float64)).astype(int).tolist())


def line_path(x: ArrayLike, y: ArrayLike) -> str:
    """The ``d`` of a line through (x, y), to a tenth."""
    pairs = zip(np.asarray(x, float).tolist(), np.asarray(y, float).tolist(), strict=True)
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in pairs)


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round values from low to high, 1, 2 or 5 × 10ⁿ apart, not many more than ``about``."""
    if not high > low:
        return [low]
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = min((s * power for s in (1, 2, 5, 10) if s * power >= raw * (1 - 1e-9)), default=raw)
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]
