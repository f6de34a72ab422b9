"""What each rule of the review does to toy cells, linked without it and with it; and what motion models expect.

    python -m experiments.bench.linking_rules_picture --out docs/images

Nothing is drawn by hand: the links are those that the linker made, and what the rule took away is what it made without.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tracking3d.detections import Detections
from tracking3d.link.literal import LiteralLinkerConfig
from tracking3d.link.prediction import (
    ConstantVelocity,
    InteractingModels,
    LocalFlow,
    NearestVelocity,
    Still,
    expected_next,
)
from tracking3d.link.prediction.config import MotionConfig
from tracking3d.tracks import Tracks
from volumes.atomic import replacing_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OFF = LiteralLinkerConfig(
    diameter_um=10.0, distance=None, size=None, neighbours=None, relaxed=None, merged=None, turning_deg=None
)
BALL = np.pi / 6 * 10.0**3
SHADES = ("#b8c4d0", "#7f9bb8", "#33658a", "#12263a")
"""Of the frames, early to late."""
KEPT, LOST, MADE = "#1b1b1b", "#d1495b", "#2a9d3f"


@dataclass(frozen=True)
class Rule:
    """A scene that shows a rule.

    Parameters
    ----------
    name : of the file.
    says : the rule in words.
    cells : (n, 4) frame, x, y in µm, and the volume in volumes of a ball of 10 µm.
    without, with_it : the two configs.
    """

    name: str
    says: str
    cells: NDArray[np.float64]
    without: LiteralLinkerConfig
    with_it: LiteralLinkerConfig

    def detections(self) -> Detections:
        """The cells as a table, in the plane z = 0."""
        t, x, y, volume = self.cells.T
        return Detections.of(t.astype(np.int64), np.column_stack([np.zeros_like(x), y, x]), volume * BALL)


def rules() -> tuple[Rule, ...]:
    """A scene for each rule; D̄ is 10 µm."""
    steps = np.array([[0, 0, 0, 1], [1, 6, 0, 1], [0, 0, 18, 1], [1, 12, 18, 1]], float)
    sizes = np.array([[0, 0, 0, 1], [1, 7, 0, 1.1], [0, 0, 18, 1], [1, 7, 18, 0.5]], float)
    lone = np.array([[0, 0, 0, 1], [1, 8, 2, 1], [1, 20, 4, 1], [1, -12, -4, 1]], float)
    left = np.array([[0, 0, 0, 1], [1, 6, 0, 1], [0, 0, 18, 1], [1, 12, 18, 1]], float)
    joined = [[0, 0, 0, 1], [0, 9, 0, 1], [1, 4.5, 2, 2]]
    others = [[t, x, 16, 1] for t in (0, 1) for x in (-8.0 + 2 * t, 5.0 + 2 * t, 18.0 + 2 * t)]
    turned = np.array([[0, 0, 0, 1], [1, 4, 3, 1], [1, 5.5, -3, 1], [2, 12, -6, 1], [3, 18, -9, 1]], float)
    near = OFF.model_copy(update={"distance": 0.8})
    far = OFF.model_copy(update={"distance": 1.6})
    straight = far.model_copy(update={"turning_deg": 30.0, "localisation_um": 0.0})
    return (
        Rule("distance", "a step is no longer than 0.8 D̄", steps, OFF, near),
        Rule("size", "the area changes by no more than 15 %", sizes, OFF, OFF.model_copy(update={"size": 0.15})),
        Rule(
            "neighbours",
            "of two targets, the one with as many neighbours within 2 D̄ as before",
            lone,
            OFF,
            OFF.model_copy(update={"neighbours": 2.0}),
        ),
        Rule("relaxed", "what is left over may go 1.6 D̄", left, near, near.model_copy(update={"relaxed": 1.6})),
        Rule(
            "merged",
            "a volume of 1.6 times the median, where a track ends, is that of merged cells",
            np.array([*joined, *others], float),
            near,
            near.model_copy(update={"merged": 1.6}),
        ),
        Rule(
            "turning",
            "over three frames a path turns by less than 30°; else it is led another way",
            turned,
            far,
            straight,
        ),
    )


def draw(rule: Rule, out: Path) -> None:
    """Write the picture of a rule, without it and with it."""
    figure = _figure(7.2, 2.6)
    cells = rule.detections()
    runs = [config.build().trace(cells) for config in (rule.without, rule.with_it)]
    before, after = ({(int(a), int(b)) for a, b in tracks.edges} for tracks, _ in runs)
    for axes, edges, title in zip(figure.subplots(1, 2), (before, after), ("without", "with it"), strict=True):
        _cells(axes, cells, rule)
        for edge in edges:
            _arrow(axes, cells, edge, KEPT if edge in before else MADE, "-")
        if edges is after:
            for edge in before - after:
                _arrow(axes, cells, edge, LOST, ":")
            if runs[1][1].abnormal:
                largest = int(np.argmax(cells.volume_um3))
                _ring(axes, cells.zyx_um[largest], _radius(cells.volume_um3[largest]) + 1.2, MADE)
        axes.set_title(title, fontsize=9, loc="left")
    figure.suptitle(rule.says, fontsize=10, x=0.02, ha="left")
    _save(figure, out / f"linking_{rule.name}.png")


def draw_motion(out: Path) -> None:
    """Write where motion models expect a cell that turns, among others that go straight: two standard deviations."""
    figure = _figure(9.6, 2.4)
    tracks, rng = _swarm(), np.random.default_rng(3)
    tracks = Tracks(_jittered(tracks.detections, rng), tracks.parent)
    models: tuple[MotionConfig, ...] = (
        Still(),
        NearestVelocity(),
        ConstantVelocity(),
        InteractingModels(),
        LocalFlow(),
    )
    for axes, motion in zip(figure.subplots(1, len(models)), models, strict=True):
        ends, expected = expected_next(tracks, motion)
        zyx = tracks.detections.zyx_um
        for one, other in tracks.edges:
            axes.plot(zyx[[one, other], 2], zyx[[one, other], 1], "-", color=SHADES[1], linewidth=1)
        axes.plot(zyx[ends, 2], zyx[ends, 1], ".", color=SHADES[3], markersize=5)
        for place, covariance in zip(expected.zyx_um, expected.covariance_um2, strict=True):
            axes.plot(place[2], place[1], "+", color=LOST, markersize=5)
            _ring(axes, place, 2 * float(np.sqrt(covariance[1:, 1:].trace() / 2)), LOST)
        axes.set_title(motion.kind, fontsize=9, loc="left")
        axes.set_aspect("equal")
        axes.axis("off")
    _save(figure, out / "linking_motion.png")


def _swarm() -> Tracks:
    """Nine cells that go along x for six frames; the middle one turns half way."""
    start = np.stack(np.meshgrid([0.0], [0.0, 14.0, 28.0], [0.0, 30.0, 60.0], indexing="ij"), axis=-1).reshape(-1, 3)
    steps = np.tile(np.array([0.0, 0.0, 4.0]), (6, 9, 1))
    steps[3:, 4] = (0.0, 3.4, -2.0)
    zyx = start + np.cumsum(steps, axis=0)
    t = np.repeat(np.arange(6), 9)
    return Tracks(Detections.of(t, zyx.reshape(-1, 3), dt_s=60.0), np.where(t > 0, np.arange(54) - 9, -1))


def _jittered(cells: Detections, rng: np.random.Generator) -> Detections:
    offset = rng.normal(0, 0.4, cells.zyx_um.shape) * [0, 1, 1]
    return Detections.of(cells.t, cells.zyx_um + offset, dt_s=cells.dt_s)


def _cells(axes: Axes, cells: Detections, rule: Rule) -> None:
    from matplotlib.patches import Circle

    for frame, (_, y, x), volume in zip(cells.t, cells.zyx_um, cells.volume_um3, strict=True):
        axes.add_patch(Circle((x, y), _radius(volume), color=SHADES[frame], alpha=0.55, linewidth=0))
        axes.text(x, y - _radius(volume) * 0.55, str(frame), fontsize=7, ha="center", va="center", color="white")
    span = rule.cells[:, 1:3]
    axes.set_xlim(span[:, 0].min() - 8, span[:, 0].max() + 8)
    axes.set_ylim(span[:, 1].min() - 8, span[:, 1].max() + 8)
    axes.set_aspect("equal")
    axes.axis("off")


def _arrow(axes: Axes, cells: Detections, edge: tuple[int, int], colour: str, style: str) -> None:
    (_, y, x), (_, to_y, to_x) = cells.zyx_um[[*edge]]
    look: dict[str, Any] = {"arrowstyle": "->", "color": colour, "linestyle": style, "linewidth": 1.6}
    axes.annotate("", (to_x, to_y), (x, y), arrowprops=look)


def _ring(axes: Axes, zyx: NDArray[np.float64], radius: float, colour: str) -> None:
    from matplotlib.patches import Circle

    axes.add_patch(Circle((zyx[2], zyx[1]), radius, fill=False, edgecolor=colour, linewidth=1))


def _radius(volume: float) -> float:
    """Radius of the ball (µm), drawn at two thirds so that cells that touch are told apart."""
    return float(np.cbrt(3 * volume / (4 * np.pi))) * 2 / 3


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _save(figure: Figure, out: Path) -> None:
    with replacing_file(out) as temporary:
        figure.savefig(temporary, dpi=90, format="png", metadata={"Software": None})


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw all of them into a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="docs/images")
    out = Path(parser.parse_args(arguments).out)
    for rule in rules():
        draw(rule, out)
    draw_motion(out)


if __name__ == "__main__":
    main()
