"""How far off a measured drift is: distances in µm from where the phantom's stage truly went."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from experiments.config import Experiment
from experiments.drawn import truth_of
from experiments.drifts import drift_of
from experiments.run_folder import RunFolder
from experiments.scoring.registration import specimen_points
from experiments.sources import open_first
from phantom.truth import Recorded
from volumes.errors import TableError
from volumes.shapes import Points
from volumes.transform import Affine

COLUMNS = ("t", "z_um", "y_um", "x_um")
"""Of the table that a phantom leaves: what is to be added to the points of frame 0."""


def drift_scores(experiment: Experiment, folder: RunFolder) -> dict[str, dict[str, object]]:
    """For each movie of a phantom whose drift was measured: errors at points of the specimen, over frames 1 and later.

    Frame 0 is where both count from. Empty without a phantom.
    """
    truth = truth_of(experiment, folder)
    out: dict[str, dict[str, object]] = {}
    for name, source in experiment.sources.items():
        found = drift_of(experiment, folder, name)
        if truth is None or found is None or len(found) < 2:
            continue
        points = specimen_points(open_first(name, source).image)
        out[name] = errors_um(points, found, true_drift_um(truth.instruments[name]))
    return out


def true_drift_um(recorded: Recorded) -> Points:
    """What the stage truly moved by since frame 0, (frames, 3), µm.

    Raises
    ------
    TableError : the phantom's table is missing or damaged.
    """
    path = recorded.cells.parent / "drift.csv"
    try:
        rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
        drift = np.array(rows[1:], np.float64).reshape(-1, len(COLUMNS))
    except (OSError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    header = tuple(rows[0]) if rows else ()
    if header != COLUMNS or len(drift) != len(recorded.times_s) or not np.isfinite(drift).all():
        raise _damaged(path, f"{len(drift)} rows of {header}")
    return drift[:, 1:]


def errors_um(points: Points, found: tuple[Affine, ...], true_um: Points) -> dict[str, object]:
    """Distances over ``points`` of frame 0: each frame's mean, then mean and largest over the frames.

    Raises
    ------
    TableError : not one true position a frame.
    """
    if len(found) != len(true_um):
        raise TableError(f"{len(found)} frames were measured, the truth holds {len(true_um)}", field="t")
    off = [
        float(np.linalg.norm(one(points) - points - true, axis=1).mean())
        for one, true in zip(found[1:], true_um[1:], strict=True)
    ]
    before = np.linalg.norm(true_um[1:], axis=1)
    return {
        "before_mean_um": float(before.mean()),
        "before_max_um": float(before.max()),
        "mean_um": float(np.mean(off)),
        "max_um": float(np.max(off)),
        "frames": len(found),
        "note": "The stage's true path is exact. What the tissue itself does as a whole counts as error.",
    }


def _damaged(path: Path, why: str) -> TableError:
    return TableError(f"is no table of a phantom's drift: {why}", file=path, remedy="Draw the phantom again")
