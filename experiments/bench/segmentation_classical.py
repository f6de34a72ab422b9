"""Every classical way to find cells on the same real volumes, and a picture of each.

    OMP_NUM_THREADS=1 python -m experiments.bench.segmentation_classical --out results/bench/segmentation_classical.csv
    OMP_NUM_THREADS=1 python -m experiments.bench.segmentation_classical --picture docs/images/segmenters.png

The first writes one row a way and case, as ``experiments.bench.segmentation`` does for kinds at their defaults; here
the settings that make another method of a kind have rows of their own: four thresholds, with parts cut at their necks
and not, two finders of spots, two forms of snakes. The second shows the middle slice of GoNuclear 1135 (MIT) with each
way's outlines, beside the true ones.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import tracking3d
from experiments.bench.segmentation import Row, Segment, measured, write
from experiments.bench.segmentation_volumes import CASES, Case, read_case
from tracking3d.segment.clusters.fuzzy_clusters import FuzzyClustersConfig
from tracking3d.segment.config import SegmenterConfig
from tracking3d.segment.contours.chan_vese import ChanVeseConfig
from tracking3d.segment.contours.geodesic import GeodesicConfig
from tracking3d.segment.contours.snakes import SnakesConfig
from tracking3d.segment.regions.phagosight import PhagoSightConfig
from tracking3d.segment.regions.region_growing import RegionGrowingConfig
from tracking3d.segment.regions.voronoi_otsu import VoronoiOtsuConfig
from tracking3d.segment.spots.spots import SpotsConfig
from tracking3d.segment.thresholds.components import ThresholdConfig
from tracking3d.segment.watershed import WatershedConfig
from volumes.atomic import replacing_file
from volumes.shapes import AnyArray

log = logging.getLogger(__name__)

WAYS: dict[str, SegmenterConfig] = {
    "watershed": WatershedConfig(),
    "threshold: otsu": ThresholdConfig(),
    "threshold: moments": ThresholdConfig(level="moments"),
    "threshold: maximum-entropy": ThresholdConfig(level="maximum-entropy"),
    "threshold: minimum-error": ThresholdConfig(level="minimum-error"),
    "threshold: otsu, parts": ThresholdConfig(split="parts"),
    "fuzzy-c-means": FuzzyClustersConfig(),
    "region-growing": RegionGrowingConfig(),
    "voronoi-otsu": VoronoiOtsuConfig(),
    "spots: log": SpotsConfig(),
    "spots: trackpy": SpotsConfig(finder="trackpy"),
    "spots: trackpy, balls": SpotsConfig(finder="trackpy", shape="balls"),
    "phagosight": PhagoSightConfig(),
    "phagosight, published": PhagoSightConfig(levels="published"),
    "geodesic": GeodesicConfig(),
    "chan-vese": ChanVeseConfig(),
    "snakes: surface": SnakesConfig(),
    "snakes: slices": SnakesConfig(form="slices"),
}
"""Each with what makes it; all else at its default."""
SHOWN_CASE = "gonuclear-1135"
COLUMNS = 6
COLOURS = 48
"""Of the palette: noise does not compress."""
INCHES = 1.7
"""Width of a picture."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the tables, or the picture."""
    options = _options(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if options.picture:
        picture(read_case(SHOWN_CASE, Path(options.data)), Path(options.picture))
        return
    rows: list[Row] = []
    for name in options.cases:
        case = read_case(name, Path(options.data))
        for way in options.ways:
            rows.append(measured(name, case, way, _segment(way)))
            log.info("%s", rows[-1].cells())
            write(rows, Path(options.out), "python -m experiments.bench.segmentation_classical")


def picture(case: Case, out: Path) -> None:
    """A montage: the middle slice of the first frame, and the outlines that each way draws there."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot
    from PIL import Image

    image = case.images[0]
    z = image.grid.shape[0] // 2
    drawn = {"truth": case.truths[0].channel()[z]}
    drawn |= {way: _segment(way)(image).channel()[z] for way in WAYS}
    lines = -(-len(drawn) // COLUMNS)
    figure, axes = pyplot.subplots(lines, COLUMNS, figsize=(INCHES * COLUMNS, 1.12 * INCHES * lines), dpi=80)
    low, high = np.percentile(image.channel()[z], (1, 99.8))
    for axis in axes.ravel():
        axis.set_axis_off()
    for axis, (title, labels) in zip(axes.ravel(), drawn.items(), strict=False):
        axis.imshow(image.channel()[z], cmap="gray", vmin=low, vmax=high)
        axis.imshow(np.ma.masked_equal(outlines(labels), 0), cmap="autumn_r", vmin=0, vmax=1, interpolation="nearest")
        axis.set_title(title, fontsize=7, pad=2)
    figure.tight_layout(pad=0.3)
    page = io.BytesIO()
    figure.savefig(page, format="png")
    pyplot.close(figure)
    with replacing_file(out) as file:
        Image.open(page).convert("RGB").quantize(COLOURS).save(file, format="PNG", optimize=True)


def outlines(labels: AnyArray) -> AnyArray:
    """(Y, X) 1 on a label's pixels beside another number, along y or x."""
    edge = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        for step in (-1, 1):
            edge |= labels != np.roll(labels, step, axis)
    return (edge & (labels > 0)).astype(np.uint8)


def _segment(way: str) -> Segment:
    return lambda volume: tracking3d.segment(volume, WAYS[way])


def _options(arguments: Sequence[str] | None) -> Any:  # noqa: ANN401 - argparse's namespace
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("FUSETRACK_DATA", "../shared/data"))
    parser.add_argument("--cases", nargs="+", default=[*CASES], choices=[*CASES])
    parser.add_argument("--ways", nargs="+", default=[*WAYS], choices=[*WAYS])
    parser.add_argument("--out", default="results/bench/segmentation_classical.csv")
    parser.add_argument("--picture", help="write the montage there, and no table")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
