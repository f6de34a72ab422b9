"""The segmenters that a config can name."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import Field, TypeAdapter, ValidationError

from tracking3d.segment.clusters.fuzzy_clusters import FuzzyClustersConfig
from tracking3d.segment.contours.chan_vese import ChanVeseConfig
from tracking3d.segment.contours.geodesic import GeodesicConfig
from tracking3d.segment.contours.snakes import SnakesConfig
from tracking3d.segment.network.config import CellNetworkConfig
from tracking3d.segment.regions.phagosight import PhagoSightConfig
from tracking3d.segment.regions.region_growing import RegionGrowingConfig
from tracking3d.segment.regions.voronoi_otsu import VoronoiOtsuConfig
from tracking3d.segment.spots.spots import SpotsConfig
from tracking3d.segment.start import StartConfig
from tracking3d.segment.thresholds.components import ThresholdConfig
from tracking3d.segment.watershed import WatershedConfig
from volumes.errors import ConfigError

# What finds cells by itself joins StartConfig, and with it this union.
SegmenterConfig: TypeAlias = Annotated[
    StartConfig | GeodesicConfig | ChanVeseConfig | SnakesConfig,
    Field(discriminator="kind"),
]
"""The configurations of all segmenters, told apart by ``kind``."""

CONFIGS = (
    WatershedConfig,
    ThresholdConfig,
    FuzzyClustersConfig,
    RegionGrowingConfig,
    VoronoiOtsuConfig,
    SpotsConfig,
    PhagoSightConfig,
    CellNetworkConfig,
    GeodesicConfig,
    ChanVeseConfig,
    SnakesConfig,
)
"""Their classes."""

Kind: TypeAlias = Literal[
    "watershed",
    "threshold",
    "fuzzy-c-means",
    "region-growing",
    "voronoi-otsu",
    "spots",
    "phagosight",
    "network",
    "geodesic",
    "chan-vese",
    "snakes",
]

KINDS: tuple[str, ...] = get_args(Kind)
"""The names that :func:`of_kind` knows."""


@cache
def of_kind(kind: str) -> SegmenterConfig:
    """The defaults of the segmenter of that name.

    Raises
    ------
    ConfigError : no segmenter has that name.
    """
    try:
        config: SegmenterConfig = TypeAdapter(SegmenterConfig).validate_python({"kind": kind})
    except ValidationError as error:
        remedy = f"Known: {', '.join(KINDS)}"
        raise ConfigError("no such segmenter", field="kind", value=kind, remedy=remedy) from error
    return config
