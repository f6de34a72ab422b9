"""How much like one cell each labelled piece looks: its volume against that of the ellipsoid with its moments."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from volumes.jit import kernel
from volumes.shapes import AnyArray, Triple, Voxels


def roundness(labels: Voxels, spacing_um: Triple) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Of labels 1..n: (n,) roundness and (n,) voxels.

    A solid ellipsoid of covariance C has the volume (4π/3) 5^(3/2) √det C. A piece's volume over that of the ellipsoid
    with its covariance is 1 for an ellipsoid, .82 for two touching balls, and less for what branches or is hollow;
    spacing²/12 is each voxel's own share of the covariance, which also keeps a single slice from being flat.
    """
    sums = _moments(np.ascontiguousarray(labels), int(labels.max(initial=0)), np.asarray(spacing_um, np.float64))[1:]
    count = sums[:, 0].astype(np.int64)
    n = np.maximum(sums[:, 0], 1)
    mean = sums[:, 1:4] / n[:, None]
    covariance = np.zeros((len(n), 3, 3))
    for k, (i, j) in enumerate(((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))):
        covariance[:, i, j] = covariance[:, j, i] = sums[:, 4 + k] / n - mean[:, i] * mean[:, j]
    covariance += np.diag(np.square(spacing_um)) / 12
    ellipsoid = 4 / 3 * np.pi * 5**1.5 * np.sqrt(np.maximum(np.linalg.det(covariance), 0))
    volume = count * float(np.prod(spacing_um))
    return np.minimum(volume / np.maximum(ellipsoid, np.finfo(float).tiny), 1.0), count


@kernel
def _moments(labels: AnyArray, n: int, spacing: AnyArray) -> NDArray[np.float64]:
    """(n + 1, 10): count, sums of z, y, x, of their squares, and of zy, zx, yx, in µm from the first voxel."""
    sums = np.zeros((n + 1, 10))
    for i in range(labels.shape[0]):
        for j in range(labels.shape[1]):
            for k in range(labels.shape[2]):
                label = labels[i, j, k]
                if label > 0:
                    z, y, x = i * spacing[0], j * spacing[1], k * spacing[2]
                    row = sums[label]
                    row[0] += 1
                    row[1] += z
                    row[2] += y
                    row[3] += x
                    row[4] += z * z
                    row[5] += y * y
                    row[6] += x * x
                    row[7] += z * y
                    row[8] += z * x
                    row[9] += y * x
    return sums
