"""How far off a registration is: distances in µm between where it puts points and where they belong."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from experiments.config import Experiment
from experiments.drawn import truth_of
from experiments.run_folder import RunFolder
from experiments.scoring.true_table import read_true_table
from experiments.sources import open_first, open_volume
from phantom.truth import Truth
from volumes.grid import Grid
from volumes.io import read_transform
from volumes.shapes import Points
from volumes.transform import Affine, Transform
from volumes.volume import Volume

POINTS = 2000
"""How many points of the specimen a registration is scored on."""
FEWEST = 3
"""Points that a rigid transform needs."""


def registration_scores(experiment: Experiment, folder: RunFolder) -> dict[str, object]:
    """For each moving source whose place is known: errors at points of the specimen, and at true cells of a phantom."""
    fixed = open_first(experiment.fixed, experiment.sources[experiment.fixed]).image
    points, truth = specimen_points(fixed), truth_of(experiment, folder)
    out: dict[str, object] = {}
    for name in experiment.moving:
        found = read_transform(folder.transform(name))
        if truth is not None:
            out |= {name: scores} if (scores := _in_phantom(experiment, name, truth, points, found)) else {}
            continue
        moved = open_first(name, experiment.sources[name]).truth
        if moved is not None:
            out[name] = errors_um(points, found, moved) | _floor(experiment, name, fixed, points, found, moved)
    return out


def errors_um(points: Points, found: Transform, truth: Transform) -> dict[str, float | int]:
    """Mean distance before, and mean, median and largest after the registration, over ``points``."""
    error = np.linalg.norm(found(points) - truth(points), axis=1)
    return {
        "before_mean_um": float(np.linalg.norm(points - truth(points), axis=1).mean()),
        "mean_um": float(error.mean()),
        "median_um": float(np.median(error)),
        "max_um": float(error.max()),
        "points": len(points),
    }


def specimen_points(volume: Volume, count: int = POINTS, seed: int = 0) -> Points:
    """World points (n, 3) in µm, drawn from the voxels above Otsu's threshold; the same for the same volume."""
    from skimage.filters import threshold_otsu

    voxels = volume.channel().astype(np.float32)
    inside = np.flatnonzero((voxels > threshold_otsu(voxels[volume.mask()])) & volume.mask())
    chosen = np.random.default_rng(seed).choice(inside, min(count, len(inside)), replace=False)
    return volume.grid.to_world(np.column_stack(np.unravel_index(chosen, volume.grid.shape)))


def best_rigid(points: Points, places: Points) -> Affine:
    """The rigid transform that brings points nearest to their places, in the least squares (Kabsch 1976).

    With ``H = Σ (p − p̄)(q − q̄)ᵀ = U S Vᵀ``, ``R = V diag(1, 1, det V Uᵀ) Uᵀ`` and ``t = q̄ − R p̄``.
    """
    start, end = points.mean(0), places.mean(0)
    u, _, vt = np.linalg.svd((points - start).T @ (places - end))
    turn = vt.T @ np.diag([1, 1, np.sign(np.linalg.det(vt.T @ u.T))]) @ u.T
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn, end - turn @ start
    return Affine(matrix)


def _in_phantom(
    experiment: Experiment, name: str, truth: Truth, points: Points, found: Transform
) -> dict[str, object] | None:
    """Errors against the exact transform, at points in both fields; None where the fields share too few."""
    exact = truth.transform(experiment.fixed, name)
    grids = [open_first(n, experiment.sources[n]).image.grid for n in (experiment.fixed, name)]
    shared = _in_both(points, grids[0], grids[1], exact)
    if len(shared) < FEWEST:
        return None
    rigid = round(errors_um(shared, best_rigid(shared, exact(shared)), exact)["mean_um"], 6)
    note = f"The truth is exact. The best rigid transform would leave {rigid:.2g} µm at these points."
    out: dict[str, object] = {**errors_um(shared, found, exact), "note": note, "best_rigid_mean_um": rigid}
    cells = read_true_table(truth.instruments[experiment.fixed].cells).lineage
    centres = _in_both(cells.zyx[cells.t == 0], grids[0], grids[1], exact)
    return out | ({"at_cells": errors_um(centres, found, exact)} if len(centres) else {})


def _in_both(points: Points, fixed: Grid, moving: Grid, exact: Transform) -> Points:
    """Those of the fixed points (n, 3) that lie in the fixed field and, through the truth, in the moving one."""
    here = within(fixed, points)
    return points[here][within(moving, exact(points[here]))]


def within(grid: Grid, points: Points) -> NDArray[np.bool_]:
    """(n,) whether each world point lies in the field, half a voxel past the outermost centres."""
    index = grid.to_index(points)
    inside = (index >= -0.5) & (index <= np.asarray(grid.shape) - 0.5)
    out: NDArray[np.bool_] = np.logical_and.reduce(inside, axis=1)
    return out


def _floor(
    experiment: Experiment, name: str, fixed: Volume, points: Points, found: Transform, truth: Affine
) -> dict[str, str]:
    """What the sources disagree by without the displacement: the truth supposes that they were aligned before it."""
    from registration import register

    unmoved = experiment.sources[name].model_copy(update={"displaced": None})
    still = register(fixed, open_volume(name, unmoved).image, experiment.register_ or "rigid").transform
    drift = np.linalg.norm(still(points) - points, axis=1).mean()
    apart = np.linalg.norm(found(points) - (truth @ still)(points), axis=1).mean()
    return {
        "note": f"{name} was moved by a rigid transform that the registration is not told. Registered without that, "
        f"the same pair comes out {drift:.2f} µm from where its authors placed it: the truth's own uncertainty. The "
        f"two registrations agree to {apart:.2f} µm."
    }
