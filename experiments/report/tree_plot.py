"""The lineage tree: time runs down, divisions fork; and the small graphs beside it."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike, NDArray

from experiments.report.drawing import TIME_STOPS, Drawing, dots_path, line_path, ticks
from experiments.report.lineage import Branches, Placed, largest, placed
from experiments.report.plate import Mark
from experiments.report.quantities import number_text

MOST_LEAVES = 320
"""More leaves than these cannot be told apart across a page."""
_WIDE, _HIGH, _LEFT, _EDGE = 1240, 430, 56, 22
_TREE = Markup(
    '<defs><linearGradient id="{}" gradientUnits="userSpaceOnUse" x1="0" x2="0" y1="{}" y2="{}">{}</linearGradient>'
    '</defs><path class="grid" d="{}"/><g class="tree" stroke="url(#{})">{}</g><path class="forks" d="{}"/>'
)
_STOP = Markup('<stop offset="{}" stop-color="{}"/>')
_LINEAGE = Markup('<path d="{}"><title>{}</title></path>')
_AREA = Markup('<path class="area" d="{}"/><path class="line" d="{}"/>')
_BAR = Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>')


def lineage_tree(branches: Branches, key: str) -> tuple[Drawing, int]:
    """The tree of the largest lineages, and how many were left out; ``key`` makes its ids unique in the page."""
    shown = largest(branches, MOST_LEAVES) if len(branches.parent) else np.zeros(0, np.int64)
    forest = placed(branches, shown)
    frames = (int(branches.first.min()), int(branches.last.max())) if len(branches.first) else (0, 1)
    x = _LEFT + (forest.across + 0.5) * (_WIDE - _LEFT - _EDGE) / max(1, forest.leaves)
    begin, end = _heights(branches, frames)
    fork = np.intersect1d(branches.parent, forest.branches)
    x_of = np.zeros(len(branches.parent))
    x_of[forest.branches] = x
    lines = [_lineage(branches, forest, tree, x_of, (begin, end)) for tree in shown.tolist()]
    stops = [_STOP.format(f"{100 * i / (len(TIME_STOPS) - 1):g}%", c) for i, c in enumerate(TIME_STOPS)]
    at = [(frame, _down(frame, frames)) for frame in ticks(*frames) if frame == round(frame)]
    grid = "".join(f"M{_LEFT - 12} {y:.1f}H{_WIDE - _EDGE}" for _, y in at)
    forks = dots_path(np.stack([x_of[fork], end[fork]], -1)) if len(fork) else ""
    name = f"{key}-time"
    gradient, tree = Markup("").join(stops), Markup("").join(lines)
    svg = _TREE.format(name, _EDGE, _HIGH - _EDGE, gradient, grid, name, tree, forks)
    marks = tuple(Mark(0.8, 100 * y / _HIGH - 2.2, number_text(frame)) for frame, y in at)
    left_out = len(branches.roots) - len(shown)
    return Drawing(svg, _WIDE, _HIGH, _tree_alt(forest), marks, stretch=True), left_out


def curve(values: ArrayLike, alt: str) -> Drawing:
    """A line over an area: values (n,) at evenly spaced places, from zero up to their maximum."""
    y = np.asarray(values, np.float64)
    top = float(y.max()) if len(y) and y.max() > 0 else 1.0
    x = np.linspace(0, 400, max(2, len(y)))
    heights = 116 - 104 * np.broadcast_to(y, x.shape) / top if len(y) in (1, len(x)) else np.full(2, 116.0)
    line = line_path(x, heights)
    svg = _AREA.format(f"{line}L400 116L0 116Z", line)
    return Drawing(svg, 400, 120, alt, (Mark(1.0, 2.0, number_text(top)),), stretch=True)


def histogram(values: ArrayLike, alt: str, unit: str, bins: int = 36) -> Drawing:
    """Bars over values from zero to their 99th percentile."""
    data = np.asarray(values, np.float64)
    high = float(np.percentile(data, 99)) if len(data) else 1.0
    high = high if high > 0 else 1.0
    counts, _ = np.histogram(data, bins=bins, range=(0.0, high))
    tall = 104 * counts / max(1, counts.max())
    step = 400 / bins
    bars = [_BAR.format(k * step + 0.6, 116 - h, step - 1.2, h) for k, h in enumerate(tall.tolist())]
    at = [Mark(100 * v / high, 101.0, f"{number_text(v)}{f' {unit}' if v == 0 else ''}") for v in ticks(0.0, high, 5)]
    kept = tuple(mark for mark in at if mark.left <= 96)
    return Drawing(Markup('<g class="bars">{}</g>').format(Markup("").join(bars)), 400, 120, alt, kept, stretch=True)


def _down(frame: float, frames: tuple[int, int]) -> float:
    return _EDGE + (frame - frames[0]) * (_HIGH - 2 * _EDGE) / max(1, frames[1] - frames[0])


def _heights(branches: Branches, frames: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where each branch begins (its mother's last frame) and ends, down the canvas."""
    above = branches.parent
    start = np.where(above < 0, branches.first, branches.last[above]) if len(above) else branches.first
    begin = np.asarray([_down(f, frames) for f in start.tolist()])
    end = np.asarray([_down(f, frames) for f in branches.last.tolist()])
    return begin, end


def _lineage(
    branches: Branches,
    forest: Placed,
    tree: int,
    x: NDArray[np.float64],
    heights: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> Markup:
    begin, end = heights
    members = forest.branches[branches.tree[forest.branches] == tree]
    parts = []
    for n in members.tolist():
        above = int(branches.parent[n])
        if above >= 0:
            parts.append(f"M{x[above]:.1f} {begin[n]:.1f}H{x[n]:.1f}V{end[n]:.1f}")
        else:
            parts.append(f"M{x[n]:.1f} {begin[n]:.1f}V{max(end[n], begin[n] + 0.5):.1f}")
    cells = int(branches.cells[branches.tree == tree].sum())
    words = f"Lineage {tree + 1}: {len(members)} branches, {number_text(cells)} detections"
    return _LINEAGE.format("".join(parts), words)


def _tree_alt(forest: Placed) -> str:
    if not forest.trees:
        return "No lineage to draw"
    return f"Lineage tree of {forest.trees} lineages with {forest.leaves} ends; time runs down and divisions fork"
