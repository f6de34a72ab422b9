"""How ours grows with the volume: seconds a voxel at several sizes, and whether the threads change the result."""

from __future__ import annotations

import json
import math
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from experiments.bench.registration_methods import METHODS, OURS, Method, workers
from volumes import from_array
from volumes.grid import Grid
from volumes.resample import resample
from volumes.transform import Affine

FIELD_UM = 256.0
"""Side of the field; the same specimen is sampled the more finely the more voxels there are."""
TRUE_MOVE = Affine.rigid((0.1, -0.15, 0.2), (6.0, -9.0, 12.0), (FIELD_UM / 2,) * 3)
GROWN = ("rigid", "deformable")


@dataclass(frozen=True)
class Grown:
    """One registration of a volume of side³ voxels.

    Parameters
    ----------
    model : rigid or deformable.
    side : voxels.
    error_um : mean distance of the points from where they belong.
    cpu_s : seconds.
    peak_mb : memory.
    agree : whether the points' bytes are the same with several threads; None where that was not tried.
    error : the text of the error that it ended in.
    """

    model: str
    side: int
    error_um: float
    cpu_s: float
    peak_mb: float
    agree: bool | None = None
    error: str = ""

    @property
    def ns_a_voxel(self) -> float:
        """CPU time a voxel, in nanoseconds."""
        return 1e9 * self.cpu_s / self.side**3


def growth(sides: Sequence[int], threads: int = 1) -> str:
    """Measure the rigid and the deformable registration at each size; a Markdown table."""
    methods = [method for method in METHODS if method.name == OURS and method.model in GROWN]
    found = [grown(method, side, threads) for method in methods for side in sorted(sides)]
    return table(found)


def table(found: Sequence[Grown]) -> str:
    """Markdown; growth is the time a voxel over that of the row above."""
    lines = ["| looked for | side | error µm | CPU s | ns a voxel | growth | peak MB | same bytes with threads |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    before: Grown | None = None
    for one in found:
        same = before is not None and before.model == one.model
        grew = _figure(one.ns_a_voxel / before.ns_a_voxel if same and before is not None else math.nan)
        agree = one.error or {None: "–", True: "yes", False: "NO"}[one.agree]
        figures = (_figure(one.error_um), _figure(one.cpu_s), _figure(one.ns_a_voxel, 0), grew, _figure(one.peak_mb, 0))
        lines.append(f"| {one.model} | {one.side} | {' | '.join(figures)} | {agree} |")
        before = one
    return "\n".join(lines) + "\n"


def _figure(value: float, digits: int = 2) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def grown(method: Method, side: int, threads: int) -> Grown:
    """One method at one size, and again with several threads."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "case"
        truth = synthetic(side, folder)
        first, points = _asked(method, side, folder, truth, 1)
        if threads == 1 or first.error:
            return first
        _, again = _asked(method, side, folder, truth, threads)
    return replace(first, agree=points.tobytes() == again.tobytes())


def synthetic(side: int, folder: Path) -> NDArray[np.float64]:
    """Write a textured ball and the same in another contrast, moved by ``TRUE_MOVE``; where its points belong.

    Returns
    -------
    (n, 3) world (x, y, z) in µm of ``points.npy`` in the moving volume.
    """
    import SimpleITK as sitk  # noqa: N813

    rng = np.random.default_rng(7)
    coarse = ndimage.gaussian_filter(rng.standard_normal((48, 48, 48)), 2.0)
    far = np.linalg.norm(np.indices(coarse.shape) - 23.5, axis=0)
    specimen = np.where(far < 17, 1 + 0.5 * coarse / coarse.std(), 0.0).clip(0)
    other = np.where(specimen > 0, 1 / (0.4 + specimen), 0.0)
    grid = Grid((side,) * 3, (FIELD_UM / side,) * 3)
    folder.mkdir()
    for name, voxels, move in (("fixed", specimen, None), ("moving", other, TRUE_MOVE.inverse())):
        source = from_array(voxels.astype(np.float32), (FIELD_UM / len(coarse),) * 3, modality="MRI")
        there = resample(source, grid, move).channel()
        image = sitk.GetImageFromArray(there + 0.02 * rng.standard_normal(grid.shape, np.float32))
        image.SetSpacing(grid.spacing_um[::-1])
        sitk.WriteImage(image, str(folder / f"{name}.nrrd"))
    points = FIELD_UM * rng.uniform(0.3, 0.7, (500, 3))
    np.save(folder / "points.npy", points, allow_pickle=False)
    (folder / "case.json").write_text(json.dumps({"unit_um": 1.0, "modalities": ["MRI", "MRI"]}), encoding="utf-8")
    return TRUE_MOVE(points[:, ::-1])[:, ::-1]


def _asked(
    method: Method, side: int, folder: Path, truth: NDArray[np.float64], threads: int
) -> tuple[Grown, NDArray[np.float64]]:
    out = folder / f"out{threads}.npz"
    with workers([method], Path(sys.executable), threads) as (worker,):
        answer = worker.ask(folder, out)
    if "error" in answer:
        return Grown(method.model, side, math.nan, math.nan, math.nan, error=str(answer["error"])), truth[:0]
    with np.load(out, allow_pickle=False) as archive:
        points = archive["found"]
    error = float(np.linalg.norm(points - truth, axis=1).mean())
    return Grown(method.model, side, error, answer["cpu_s"], answer["peak_mb"]), points
