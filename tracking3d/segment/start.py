"""The segmenters that stand on their own, from whose cells a contour can start."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from tracking3d.segment.clusters.fuzzy_clusters import FuzzyClustersConfig
from tracking3d.segment.network.config import CellNetworkConfig
from tracking3d.segment.regions.phagosight import PhagoSightConfig
from tracking3d.segment.regions.region_growing import RegionGrowingConfig
from tracking3d.segment.regions.voronoi_otsu import VoronoiOtsuConfig
from tracking3d.segment.spots.spots import SpotsConfig
from tracking3d.segment.thresholds.components import ThresholdConfig
from tracking3d.segment.watershed import WatershedConfig

StartConfig: TypeAlias = Annotated[
    WatershedConfig
    | ThresholdConfig
    | FuzzyClustersConfig
    | RegionGrowingConfig
    | VoronoiOtsuConfig
    | SpotsConfig
    | PhagoSightConfig
    | CellNetworkConfig,
    Field(discriminator="kind"),
]
"""Their configurations, told apart by ``kind``; one that is added here can also be refined by every contour."""
