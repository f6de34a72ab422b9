"""What fusing adds: how like the noise-free picture the fused volume is, beside the raw one."""

from __future__ import annotations

import numpy as np

from experiments.config import Experiment
from experiments.drawn import truth_of
from experiments.drifts import steady, steady_image
from experiments.run_folder import RunFolder
from experiments.sources import as_movie
from experiments.stages import fuse
from volumes.io import read_timelapse
from volumes.volume import Volume


def fusion_scores(experiment: Experiment, folder: RunFolder) -> dict[str, float]:
    """Correlation with the reference's noise-free picture, mean over frames: of the fused volume, and of the raw one.

    Empty without a phantom.
    """
    truth = truth_of(experiment, folder)
    if truth is None:
        return {}
    clean = steady(experiment, folder, experiment.fixed, read_timelapse(truth.instruments[experiment.fixed].clean))
    raw = as_movie(steady_image(experiment, folder, experiment.fixed))
    fused = as_movie(fuse.fused(experiment, folder))
    kinds = {"fused": fused, "raw reference": raw}
    return {
        f"correlation with the noise-free reference, {kind}": float(
            np.mean([correlation(one, other) for one, other in zip(clean, movie, strict=True)])
        )
        for kind, movie in kinds.items()
    }


def correlation(one: Volume, other: Volume) -> float:
    """Pearson's correlation over the voxels that are valid in both; 0 where one of them is constant there."""
    valid = one.mask() & other.mask()
    a, b = (volume.channel()[valid].astype(np.float64) for volume in (one, other))
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else 0.0
