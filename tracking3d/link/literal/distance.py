"""Rule 1: a step is no longer than 0.8 of the cells' mean diameter. And rule 4: 1.6 of it, for what is left over."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracking3d.link.literal.config import LiteralLinkerConfig
from volumes.errors import TableError


def mean_diameter(volume_um3: NDArray[np.float64], config: LiteralLinkerConfig) -> float:
    """D̄ = mean of (6 V/π)^⅓ over the cells whose volume (n,) is known, µm, or what the config states.

    Raises
    ------
    TableError : a rule needs it, no volume is known, and none is stated.
    """
    if config.diameter_um is not None:
        return config.diameter_um
    known = volume_um3[volume_um3 > 0]
    if len(known):
        return float(np.mean(np.cbrt(6 * known / np.pi)))
    needed = [name for name in ("distance", "neighbours", "relaxed") if getattr(config, name) is not None]
    if needed and len(volume_um3):
        raise TableError(
            f"no volume is known, and the rules {', '.join(needed)} are in mean diameters",
            field="volume",
            remedy="Give volumes, or diameter_um",
        )
    return float("nan")


def too_far(distance_um: NDArray[np.float64], most: float | None, diameter_um: float) -> NDArray[np.bool_]:
    """Which steps (m,) are longer than so many mean diameters; none where the rule is off."""
    if most is None:
        return np.zeros(len(distance_um), dtype=bool)
    return np.asarray(distance_um > most * diameter_um)
