"""Tracks seen along two or three axes, in µm, coloured by time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from experiments.report.drawing import Drawing, dots_path, segments_path, time_colour
from experiments.report.lineage import Branches, largest
from experiments.report.plate import Bar, Mark
from experiments.report.quantities import length_text, nice_length
from experiments.report.sections import TrackingSection

View = Literal["xy", "xz", "zy"]
AXES: dict[View, tuple[int, int]] = {"xy": (2, 1), "xz": (2, 0), "zy": (0, 1)}
"""Columns of (z, y, x) that run across and down."""
BINS = 12
MOST_DETECTIONS = 30_000
"""More than these would make a heavy page; the largest lineages are drawn and the rest is counted."""
_WIDE, _EDGE, _BETWEEN = 1240, 26, 40
_PATH = Markup('<path d="{}" stroke="{}"/>')
_FRAME = Markup('<rect x="{}" y="{}" width="{}" height="{}" rx="3"/>')
_ALL = Markup('<g class="frames">{}</g><g class="tracks">{}</g><g class="ends">{}</g>')


@dataclass(frozen=True)
class _Box:
    """Where one view stands on the canvas, and the µm at its upper left corner."""

    view: View
    left: float
    top: float
    width: float
    height: float


def projections(section: TrackingSection, branches: Branches) -> tuple[Drawing, int]:
    """The tracks from three sides in a row (from two, one above the other, where the field is flat).

    Returns
    -------
    the drawing, and how many lineages were left out because there are too many to draw.
    """
    rows, left_out = _shown_rows(branches)
    place = np.asarray(section.zyx_um, np.float64)
    low, extent = _field(place[rows])
    boxes, width, height, scale = _arranged(extent)
    edges = _edges(section, branches, rows)
    late = rows[section.t[rows] == section.t[rows].max()] if len(rows) else rows
    paths, ends = [], []
    for box in boxes:
        across, down = AXES[box.view]
        points = (place[:, (across, down)] - low[[across, down]]) * scale + (box.left, box.top)
        paths += [
            _PATH.format(segments_path(points, part), time_colour(k / (BINS - 1)))
            for k, part in enumerate(_by_time(section.t, edges))
            if len(part)
        ]
        ends.append(_PATH.format(dots_path(points[late]), time_colour(1.0)))
    frames = [_FRAME.format(*(round(v) for v in (b.left, b.top, b.width, b.height))) for b in boxes]
    svg = _ALL.format(Markup("").join(frames), Markup("").join(paths), Markup("").join(ends))
    marks = tuple(Mark(100 * (b.left + 2) / width, 100 * (b.top + 1) / height, b.view) for b in boxes)
    return Drawing(svg, width, height, _alt(section, boxes), marks, _bar(boxes[0], width, height, scale)), left_out


def edges_of(section: TrackingSection) -> NDArray[np.int64]:
    """(m, 2) rows of parent and child."""
    child = np.flatnonzero(np.asarray(section.parent) >= 0)
    return np.stack([np.asarray(section.parent, np.int64)[child], child], -1)


def speeds(section: TrackingSection) -> NDArray[np.float64]:
    """Distance over time along each edge, in µm/min; nothing when the interval is not known."""
    if section.dt_s is None:
        return np.zeros(0)
    parent, child = edges_of(section).T
    away = np.linalg.norm(section.zyx_um[child] - section.zyx_um[parent], axis=1)
    return np.asarray(away / ((section.t[child] - section.t[parent]) * section.dt_s / 60.0))


def _shown_rows(branches: Branches) -> tuple[NDArray[np.int64], int]:
    if len(branches.of_row) <= MOST_DETECTIONS:
        return np.arange(len(branches.of_row)), 0
    order = largest(branches, len(branches.parent))
    size = np.bincount(branches.tree, weights=branches.cells)[order]
    kept = order[: max(1, int((np.cumsum(size) <= MOST_DETECTIONS).sum()))]
    rows = np.flatnonzero(np.isin(branches.tree[branches.of_row], kept))
    return rows, len(order) - len(kept)


def _field(place: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower corner and extent of the positions with a little room around; 1 µm where there is none."""
    if not len(place):
        return np.zeros(3), np.ones(3)
    low, high = place.min(0), place.max(0)
    room = 0.03 * max(float((high - low).max()), 1.0)
    return low - room, high - low + 2 * room


def _arranged(extent: NDArray[np.float64]) -> tuple[list[_Box], int, int, float]:
    z, y, x = (float(e) for e in extent)
    if z > 0.5 * min(x, y):
        scale = min((_WIDE - 2 * _EDGE - 2 * _BETWEEN) / (2 * x + z), 620 / max(y, z))
        views: Sequence[tuple[View, float, float]] = (("xy", x, y), ("xz", x, z), ("zy", z, y))
        boxes, left = [], float(_EDGE)
        for view, wide, high in views:
            boxes.append(_Box(view, left, _EDGE, wide * scale, high * scale))
            left += wide * scale + _BETWEEN
        width = left - _BETWEEN + _EDGE
        return boxes, round(width), round(max(b.height for b in boxes) + 2 * _EDGE), scale
    scale = min((_WIDE - 2 * _EDGE) / x, 640 / (y + z))
    first = _Box("xy", _EDGE, _EDGE, x * scale, y * scale)
    second = _Box("xz", _EDGE, _EDGE + first.height + _BETWEEN, x * scale, z * scale)
    return [first, second], round(first.width + 2 * _EDGE), round(second.top + second.height + _EDGE), scale


def _edges(section: TrackingSection, branches: Branches, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The edges of the rows shown, branch by branch and along time."""
    edges = edges_of(section)
    shown = np.zeros(len(section.t), bool)
    shown[rows] = True
    edges = edges[shown[edges[:, 1]]]
    child = edges[:, 1]
    return edges[np.lexsort((section.t[child], branches.of_row[child]))]


def _by_time(t: NDArray[np.int64], edges: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    if not len(edges):
        return []
    frames = t[edges[:, 1]]
    span = max(1, int(frames.max() - t.min()))
    bins = np.minimum((frames - t.min()) * BINS // span, BINS - 1)
    return [edges[bins == k] for k in range(BINS)]


def _bar(box: _Box, width: int, height: int, scale: float) -> Bar:
    length = nice_length(0.28 * box.width / scale)
    right, bottom = 1 - (box.left + box.width) / width, 1 - (box.top + box.height) / height
    return Bar(100 * right, 100 * bottom, 100 * length * scale / width, length_text(length))


def _alt(section: TrackingSection, boxes: Sequence[_Box]) -> str:
    views = " and ".join(box.view for box in boxes)
    if not len(section.t):
        return f"No tracks: empty projections {views}"
    return f"{len(np.unique(section.track_id))} tracks of {section.name} projected along {views}, coloured by time"
