"""What a fused plane is asked for beside its sources, and the direction in which it comes nearer to it.

A = Σ_k λ_k u_k log(1 + gain_k/u_k) − λ_o Σₘ hidden − λ_e Σₘ edges − λ_w dimmed. Gains are those of SCD, VIF, Q and
SSIM of all sources together over the pixelwise maximum's, relative; the logarithm asks most for the figure that has
gained least. Sums over the sources are highest where one source is copied and the others are left out; against that
stand ``hidden``, by how much the VIF of a source by itself falls short of the maximum's, and ``edges``, what is
missing of its strong edges. In flat white VIF counts patterns of a few grey levels that no eye sees: ``dimmed``, by
how much white comes darker. It is what the network is trained for (:mod:`fusion.diffusion.objective`), with other
weights: a network has to serve all pictures alike, while here each is led as far as its own sources allow.
"""

from __future__ import annotations

import math

import numpy as np

from fusion.guidance.config import GuidanceConfig
from fusion.guidance.differences import Differences
from fusion.guidance.edge_transfer import EdgeTransfer
from fusion.guidance.similarity import Similarity
from fusion.guidance.strong_edges import StrongEdges
from fusion.guidance.visual_fidelity import VisualFidelity
from fusion.losses.figure_scales import FLAT, LEAST, LEVELS, RANGE, TOLD
from volumes.shapes import AnyArray

UNIT = {"SCD": 0.1, "VIF": 0.1, "Q": 0.05, "SSIM": 0.005}
"""u: a gain of so much counts half as much as the first; half of what pixels ascended on SPECT pairs reached."""
KEPT = 0.95
"""Of the VIF of a source that the maximum has, what is to stay."""


class Aims:
    """The aims for planes beside given sources.

    Parameters
    ----------
    sources : (sources, y, x) float32, about 0 to 1, two or more, no smaller than 17 along y and x.
    weights : how much each aim counts.
    """

    def __init__(self, sources: AnyArray, weights: GuidanceConfig) -> None:
        levels = np.float32(LEVELS) * sources
        self._weights = weights
        self._fidelity, self._similarity = VisualFidelity(levels), Similarity(levels, RANGE)
        self._transfer, self._differences = EdgeTransfer(sources), Differences(sources)
        self._edges = StrongEdges(sources)
        self._shown = bool((sources.std((1, 2)) > FLAT).all())
        highest = sources.max(0)
        self._white = highest >= 1 - 0.5 / LEVELS
        told = self._fidelity.seen(np.float32(LEVELS) * highest).told()
        self._told = np.maximum(told, TOLD)
        self._before = {name: value for name, (value, _) in self._figures(highest).items()} | {"VIF": float(told.sum())}

    def with_gradient(self, fused: AnyArray) -> tuple[float, AnyArray]:
        """A of a fused plane (y, x), float32 on the sources' scale, and ∂A/∂F.

        Where a source is flat there are no gains to ask for, and only edges count.
        """
        missing, to_edges = self._edges.with_gradient(fused)
        total, gradient = -self._weights.edges * missing, np.float32(-self._weights.edges) * to_edges
        if not self._shown:
            return total, gradient
        for name, (value, of_figure) in self._figures(fused).items():
            gain, slope = self._gain(name, value)
            total += gain
            gradient += np.float32(slope) * of_figure
        for gain, part in (self._told_of(fused), self._dimmed(fused)):
            total += gain
            gradient += part
        return total, gradient

    def _figures(self, fused: AnyArray) -> dict[str, tuple[float, AnyArray]]:
        """Those whose gradient is the same for all sources."""
        similar, to_levels = self._similarity.with_gradient(np.float32(LEVELS) * fused)
        return {
            "SCD": self._differences.with_gradient(fused),
            "Q": self._transfer.with_gradient(fused),
            "SSIM": (similar, (LEVELS * to_levels).astype(np.float32)),
        }

    def _told_of(self, fused: AnyArray) -> tuple[float, AnyArray]:
        """Of the VIF of all sources, and of what is hidden of each."""
        seen = self._fidelity.seen(np.float32(LEVELS) * fused)
        told = seen.told()
        gain, slope = self._gain("VIF", float(told.sum()))
        hidden = np.maximum(KEPT - told / self._told, 0)
        weights = slope + self._weights.own_fidelity * (hidden > 0) / self._told
        return gain - self._weights.own_fidelity * float(hidden.sum()), np.float32(LEVELS) * seen.gradient(weights)

    def _dimmed(self, fused: AnyArray) -> tuple[float, AnyArray]:
        """A mean over all places of the plane."""
        share = self._weights.white * LEVELS / fused.size
        darker = self._white & (fused < 1)
        return -share * float(np.sum(1 - fused[darker], dtype=np.float64)), np.float32(share) * darker

    def _gain(self, name: str, value: float) -> tuple[float, float]:
        """λ u log(1 + gain/u) and its slope for the figure; straight on from −u/2 downwards, where it has no end."""
        weight = {
            "SCD": self._weights.differences,
            "VIF": self._weights.fidelity,
            "Q": self._weights.transfer,
            "SSIM": self._weights.similarity,
        }[name]
        whole, unit = max(self._before[name], LEAST[name]), UNIT[name]
        gain = (value - self._before[name]) / whole
        bent = max(gain, -unit / 2)
        slope = 1 / (1 + bent / unit)
        return weight * (unit * math.log1p(bent / unit) + slope * (gain - bent)), weight * slope / whole
