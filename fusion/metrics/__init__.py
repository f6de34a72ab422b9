"""Figures of merit: the published ones as they are published, and those that no metric's optimiser can game.

>>> import numpy as np
>>> a, b = np.indices((64, 64)) * 4.0
>>> scores = evaluate(np.maximum(a, b), [a, b])
>>> round(scores["EN"], 2), round(scores["CC"], 2)
(5.72, 0.61)
"""

from fusion.metrics.colour_difference import colour_difference
from fusion.metrics.detectability import detectability, patches_around
from fusion.metrics.edges import edges_kept, lost_edges
from fusion.metrics.evaluate import evaluate, per_source
from fusion.metrics.flicker import flicker
from fusion.metrics.grey import grey
from fusion.metrics.ranks import EIGHT, LOWER_IS_BETTER, mean_rank
from fusion.metrics.unexplained import unexplained_gradient

__all__ = [
    "EIGHT",
    "LOWER_IS_BETTER",
    "colour_difference",
    "detectability",
    "edges_kept",
    "evaluate",
    "flicker",
    "grey",
    "lost_edges",
    "mean_rank",
    "patches_around",
    "per_source",
    "unexplained_gradient",
]
