"""A motion model run along tracks, whether they are given or are being made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tracking3d.link.prediction.config import MotionConfig
from tracking3d.link.prediction.model import Expected, MotionModel, joined, taken
from tracking3d.link.prediction.noise import Noise, learnt_noise
from tracking3d.link.scene import Scene, scene
from tracking3d.tracks import Rows, Tracks

Choose: TypeAlias = Callable[[Rows, Expected, Rows], Rows]
"""From the ends (e,) of tracks, where they are expected, and the cells (n,) of a frame: which end (n,) each follows."""


@dataclass(frozen=True)
class Course:
    """What a model made of a movie; all in the order of the scene.

    Parameters
    ----------
    parent : (n,) parent of each cell, −1 at a root.
    expected_um : (n, 3) where each was expected; NaN at a root.
    effective : (n,) effective number of guesses when it was seen; NaN where a model draws none.
    ends, state : the last cells of the tracks that may go on, and the model's state of these.
    """

    parent: Rows
    expected_um: NDArray[np.float64]
    effective: NDArray[np.float64]
    ends: Rows
    state: tuple[NDArray[Any], ...]


def run(cells: Scene, model: MotionModel[Any], frame_s: float, max_missed: int, choose: Choose) -> Course:
    """Predict, choose, and learn where each track was seen, frame by frame.

    Parameters
    ----------
    cells : the movie.
    model : how the cells move.
    frame_s : seconds from one frame to the next.
    max_missed : frames in a row in which a cell may be missed.
    choose : which of the tracks each cell of a frame goes on with.
    """
    parent = np.full(len(cells), -1, dtype=np.int64)
    expected_um, effective = np.full(cells.zyx.shape, np.nan), np.full(len(cells), np.nan)
    ends, state = np.zeros(0, np.int64), model.started(np.zeros((0, 3)))
    for place, frame in enumerate(cells.frames):
        here = np.arange(cells.first[place], cells.first[place + 1])
        live = np.flatnonzero(cells.t[ends] >= frame - 1 - max_missed)
        ends, state = ends[live], taken(state, live)
        ahead, expected = model.predicted(state, (frame - cells.t[ends]) * frame_s)
        mate = choose(ends, expected, here)
        found, new = np.flatnonzero(mate >= 0), np.flatnonzero(mate < 0)
        goes = mate[found]
        parent[here[found]], expected_um[here[found]] = ends[goes], expected.zyx_um[goes]
        after = joined(model.seen(taken(ahead, goes), cells.zyx[here[found]]), model.started(cells.zyx[here[new]]))
        now = np.concatenate([here[found], here[new]])
        if hasattr(after, "effective"):
            effective[now] = after.effective
        rest = np.setdiff1d(np.arange(len(ends)), goes)
        ends, state = np.concatenate([ends[rest], now]), joined(taken(state, rest), after)
    return Course(parent, expected_um, effective, ends, state)


def expected_next(
    tracks: Tracks, motion: MotionConfig, noise: Noise | None = None, seed: int = 0
) -> tuple[Rows, Expected]:
    """Where the tracks that reach the last frame are expected in the one after it.

    Parameters
    ----------
    tracks : all that was seen so far; a daughter begins anew.
    motion : how the cells move.
    noise : of the movement; left out, learnt from the tracks.
    seed : of what a model draws.

    Returns
    -------
    ends : (k,) rows of the last detections.
    expected : their expected places and covariances.
    """
    cells = scene(tracks.detections)
    parent = _single_parents(cells, tracks)
    learnt = noise or learnt_noise(cells, parent, tracks.detections.dt_s or 1.0)
    model: MotionModel[Any] = motion.build(learnt, seed)
    gap = int((cells.t - cells.t[parent])[parent >= 0].max(initial=1))

    def as_given(ends: Rows, _expected: Expected, here: Rows) -> Rows:
        where = {end: place for place, end in enumerate(ends.tolist())}
        return np.array([where.get(mother, -1) for mother in parent[here].tolist()], dtype=np.int64)

    course = run(cells, model, learnt.frame_s, gap - 1, as_given)
    last = np.flatnonzero(cells.t[course.ends] == cells.t[-1:])
    _, expected = model.predicted(taken(course.state, last), np.full(len(last), learnt.frame_s))
    return cells.order[course.ends[last]], expected


def _single_parents(cells: Scene, tracks: Tracks) -> Rows:
    """Parents in the order of the scene, daughters without."""
    place = np.empty(len(cells), dtype=np.int64)
    place[cells.order] = np.arange(len(cells))
    parent = tracks.parent[cells.order]
    daughter = (parent >= 0) & (tracks.children[parent, 1] >= 0)
    return np.where((parent >= 0) & ~daughter, place[parent], -1)
