"""All published figures of a fused picture or volume at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fusion.metrics.contrast import average_gradient, spatial_frequency, standard_deviation
from fusion.metrics.correlation import correlation, correlations_of_differences, peak_signal_to_noise
from fusion.metrics.edge_transfer import edge_transfer, edge_transfers
from fusion.metrics.edges import lost_edges
from fusion.metrics.feature_information import feature_information
from fusion.metrics.information import (
    correlation_entropy,
    entropy,
    mutual_information,
    normalised_mutual_information,
)
from fusion.metrics.levels import levels
from fusion.metrics.structural_similarity import multiscale_similarity, structural_similarities
from fusion.metrics.visual_fidelity import visual_fidelity
from volumes.shapes import AnyArray


def evaluate(fused: AnyArray, sources: Sequence[AnyArray], spacing: Sequence[float] | None = None) -> dict[str, float]:
    """Every published figure, by the name that tables give it; higher is better in all of them.

    EN, SD, SF, AG look at the fused picture alone. MI, NMI, SCD, VIF and both SSIM are sums over the sources, as
    published for two: with N sources up to N/2 times as large. MS_SSIM, FMI and CC are means over the sources, PSNR is
    that of the mean squared error, Qabf weighs each edge by its strength, and Q_NCIE takes all pictures together.

    Parameters
    ----------
    fused : (y, x) or (z, y, x) on 0–255; histograms take the nearest of the 256 levels, all else the values.
    sources : two or more of its shape, on the same scale.
    spacing : of the voxels along each axis, in any one unit; left out: cubic. Gradients are per step of the finest
        axis, and windows leave out an axis that is 1.5 times as coarse as that or more: its slices are pooled.

    Raises
    ------
    ContentError : not grey levels on 0–255 (see :func:`fusion.metrics.levels.levels`), or too few voxels for a window.
    GridError : another shape than the fused one's.
    ConfigError : fewer than two sources, or a spacing that is none.
    """
    given = levels(fused, sources, spacing)
    own, others, steps = given.fused, given.sources, given.steps
    similar = np.sum([structural_similarities(own, source, steps) for source in others], axis=0)
    return {
        "EN": entropy(own),
        "SD": standard_deviation(own),
        "SF": spatial_frequency(own, steps),
        "AG": average_gradient(own, steps),
        "MI": mutual_information(own, others),
        "NMI": normalised_mutual_information(own, others),
        "SCD": correlations_of_differences(own, others),
        "VIF": sum(visual_fidelity(own, others, steps)),
        "Qabf": edge_transfer(edge_transfers(own, others, steps)),
        "SSIM_range2": float(similar[0]),
        "SSIM_range255": float(similar[1]),
        "MS_SSIM": float(np.mean([multiscale_similarity(own, source, steps) for source in others])),
        "FMI": feature_information(own, others, steps),
        "CC": correlation(own, others),
        "PSNR": peak_signal_to_noise(own, others),
        "Q_NCIE": correlation_entropy(own, others),
    }


def per_source(
    fused: AnyArray, sources: Sequence[AnyArray], spacing: Sequence[float] | None = None
) -> dict[str, list[float]]:
    """What is kept and lost of each source apart: sums hide it when one source is copied and another dropped.

    Parameters
    ----------
    fused, sources, spacing : as for :func:`evaluate`; one source is enough.

    Returns
    -------
    ``VIF`` and ``Qabf`` of each source, higher is better; ``edges_lost``, the share, 0 to 1, of its strong edges whose
    gradient is below 0.3 of its own in the fused picture (:func:`lost_edges`).

    Raises
    ------
    As :func:`evaluate`.
    """
    given = levels(fused, sources, spacing)
    transfers = edge_transfers(given.fused, given.sources, given.steps)
    return {
        "VIF": visual_fidelity(given.fused, given.sources, given.steps),
        "Qabf": [edge_transfer([one]) for one in transfers],
        "edges_lost": lost_edges(given.fused, given.sources, given.steps),
    }
