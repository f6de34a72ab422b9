"""One linking tool on one case, in an environment and a process of its own, so that its needs meet nobody else's.

    PYTHON linking_tool.py TOOL CASE.npz OUT.npz '[{"range": 12.0}]'

A tool is a function ``name(case, **setting)`` that gives (e, 2) rows of earlier and later detection; CASE is an archive
of ``linking_cases.py``: T frames, C centres, V volumes. OUT holds ``links_0``, … for the settings, ``cpu_s`` of each
(linking alone), ``process_cpu_s`` and ``peak_mb`` of the whole process, and ``version``. Only numpy is imported besides
the tool.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

Case: TypeAlias = Mapping[str, np.ndarray]


def fusetrack(case: Case, **setting: Any) -> np.ndarray:  # noqa: ANN401
    """Any of our kinds, with any of its settings."""
    from pydantic import TypeAdapter

    import tracking3d
    from tracking3d.link.config import LinkerConfig

    cells = tracking3d.Detections.of(case["T"], case["C"], case["V"])
    return tracking3d.link(cells, TypeAdapter(LinkerConfig).validate_python(setting)).edges


def trackpy(case: Case, *, reach: float, memory: int, velocity: bool) -> np.ndarray:
    """Crocker & Grier's, with the adaptive search."""
    import pandas as pd
    import trackpy as tool
    from trackpy.predict import NearestVelocityPredict

    frames, centres = case["T"], case["C"]
    tool.quiet()
    table = pd.DataFrame(centres, columns=["z", "y", "x"]).assign(frame=frames, row=np.arange(len(frames)))
    link = NearestVelocityPredict().link_df if velocity else tool.link
    options = {"pos_columns": ["z", "y", "x"], "adaptive_stop": reach / 20, "adaptive_step": 0.9}
    linked = link(table, reach, memory=memory, **options).sort_values(["particle", "frame"])
    return chained(linked["row"].to_numpy(), linked["particle"].to_numpy())


def laptrack(case: Case, *, reach: float, gap: float, split: float) -> np.ndarray:
    """Jaqaman's two steps: frame to frame, then gaps and splits, by linear assignment."""
    from laptrack import LapTrack

    tool = LapTrack(
        cutoff=reach**2,
        gap_closing_cutoff=(gap * reach) ** 2,
        gap_closing_max_frame_count=2,
        splitting_cutoff=(split * reach) ** 2 if split else False,
    )
    frames, centres = case["T"], case["C"]
    rows = [np.flatnonzero(frames == frame) for frame in range(int(frames.max()) + 1)]
    graph = tool.predict([centres[row] for row in rows])
    return np.array([(rows[t][i], rows[u][j]) for (t, i), (u, j) in graph.edges()]).reshape(-1, 2)


def btrack(case: Case, *, scale: float, reach: float, steps: int) -> np.ndarray:
    """Bayesian tracks of Kalman filters, then hypotheses of links, ends and branches for the whole movie.

    The model is its documentation's for cells, whose lengths suit neighbours some 20 apart: ``scale`` brings the
    detections there.
    """
    from btrack import BayesianTracker
    from btrack.models import HypothesisModel, MotionModel
    from btrack.utils import objects_from_dict

    z, y, x = (case["C"] * scale).T
    motion = MotionModel(**BTRACK_MOTION, max_lost=steps)
    with BayesianTracker(verbose=False) as tracker:
        tracker.configure({"motion_model": motion, "hypothesis_model": HypothesisModel(**BTRACK_HYPOTHESES)})
        tracker.max_search_radius = reach
        tracker.append(objects_from_dict({"t": case["T"], "x": x, "y": y, "z": z}))
        tracker.volume = tuple((float(axis.min()) - 1, float(axis.max()) + 1) for axis in (x, y, z))
        tracker.track(step_size=1000)
        tracker.optimize()
        tracks = {track.ID: [ref for ref in track.refs if ref >= 0] for track in tracker.tracks}
        parents = {track.ID: track.parent for track in tracker.tracks}
    links = [pair for refs in tracks.values() for pair in pairwise(refs)]
    links += [(tracks[up][-1], tracks[own][0]) for own, up in parents.items() if up != own and up in tracks]
    return np.array(links).reshape(-1, 2)


def motile(
    case: Case,
    *,
    reach: float,
    select: float,
    appear: float,
    split: float,
) -> np.ndarray:
    """An integer linear program over all links in reach, by SCIP, with a limit of 400 s."""
    from motile import Solver, TrackGraph, constraints, costs

    frames, centres = case["T"], case["C"]
    graph = TrackGraph()
    for row, (frame, centre) in enumerate(zip(frames.tolist(), centres.tolist(), strict=True)):
        graph.add_node(row, {"t": frame, "pos": centre})
    rows = [np.flatnonzero(frames == frame) for frame in range(int(frames.max()) + 1)]
    for here, there in pairwise(rows):
        apart = np.linalg.norm(centres[here][:, None] - centres[there][None], axis=2)
        for one, other in np.argwhere(apart <= reach).tolist():
            graph.add_edge((int(here[one]), int(there[other])), {})
    solver = Solver(graph)
    solver.add_constraint(constraints.MaxParents(1))
    solver.add_constraint(constraints.MaxChildren(2))
    solver.add_cost(costs.EdgeDistanceCost(position_attribute="pos", weight=1.0, constant=-select * reach))
    solver.add_cost(costs.NodeAppearCost(constant=appear * reach))
    solver.add_cost(costs.NodeSplitCost(constant=split * reach))
    solver.solve(timeout=400.0)
    return np.array(list(solver.get_selected_subgraph().edges)).reshape(-1, 2)


EYE, NOUGHT = np.eye(3), np.zeros((3, 3))
BTRACK_MOTION: dict[str, Any] = {
    "name": "cell_motion",
    "measurements": 3,
    "states": 6,
    "A": np.block([[EYE, EYE], [NOUGHT, EYE]]),
    "H": np.hstack([EYE, NOUGHT]),
    "P": 150.0 * np.diag([0.1, 0.1, 0.1, 1, 1, 1]),
    "R": 5.0 * EYE,
    "G": 15.0 * np.array([[0.5, 0.5, 0.5, 1, 1, 1]]),
    "accuracy": 7.5,
    "prob_not_assign": 0.001,
}
BTRACK_HYPOTHESES: dict[str, Any] = {
    "name": "cell_hypothesis",
    "hypotheses": ["P_FP", "P_init", "P_term", "P_link", "P_branch"],
    "lambda_time": 5.0,
    "lambda_dist": 3.0,
    "lambda_link": 10.0,
    "lambda_branch": 50.0,
    "eta": 1e-10,
    "theta_dist": 20.0,
    "theta_time": 5.0,
    "dist_thresh": 40.0,
    "time_thresh": 2.0,
    "apop_thresh": 5,
    "segmentation_miss_rate": 0.1,
    "apoptosis_rate": 0.001,
    "relax": True,
}
"""btrack's own model for cells, as its documentation gives it."""
TOOLS: dict[str, Callable[..., np.ndarray]] = {
    tool.__name__: tool for tool in (fusetrack, trackpy, laptrack, btrack, motile)
}


def chained(row: np.ndarray, track: np.ndarray) -> np.ndarray:
    """Links (e, 2) between rows that follow each other on one track; both (n,), by track and frame."""
    same = track[1:] == track[:-1]
    return np.column_stack([row[:-1][same], row[1:][same]])


def peak_mb() -> float:
    """Most memory (MB) that this process has held; getrusage's figure is at least that of the process that began it."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


def main(tool: str, case: str, out: str, settings: str) -> None:
    """Run the settings one after the other and write links, times and memory."""
    logging.disable(logging.WARNING)
    with np.load(case) as archive:
        table = {key: archive[key] for key in ("T", "C", "V")}
    found: dict[str, Any] = {}
    cpu_s = []
    for place, setting in enumerate(json.loads(settings)):
        start = time.process_time()
        with warnings.catch_warnings(action="ignore"):
            found[f"links_{place}"] = TOOLS[tool](table, **setting)
        cpu_s.append(time.process_time() - start)
    version = importlib.metadata.version(tool)
    np.savez(out, cpu_s=cpu_s, process_cpu_s=time.process_time(), peak_mb=peak_mb(), version=version, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
