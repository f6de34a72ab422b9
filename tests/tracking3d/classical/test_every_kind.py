"""What every classical kind promises, on the same drawn nuclei."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from pydantic import BaseModel

from tracking3d.match import score
from tracking3d.segment import KINDS, segment
from tracking3d.segment.clusters.fuzzy_clusters import FuzzyClustersConfig
from tracking3d.segment.config import CONFIGS, of_kind
from tracking3d.segment.contours.chan_vese import ChanVeseConfig
from tracking3d.segment.contours.geodesic import GeodesicConfig
from tracking3d.segment.contours.snakes import SnakesConfig
from tracking3d.segment.regions.phagosight import PhagoSightConfig
from tracking3d.segment.regions.region_growing import RegionGrowingConfig
from tracking3d.segment.regions.voronoi_otsu import VoronoiOtsuConfig
from tracking3d.segment.spots.spots import SpotsConfig
from tracking3d.segment.thresholds.components import ThresholdConfig
from tracking3d.segment.watershed import WatershedConfig
from volumes.errors import ConfigError, ContentError
from volumes.volume import Volume, from_array

WAYS = {
    "watershed": WatershedConfig(),
    "otsu": ThresholdConfig(),
    "otsu, parts": ThresholdConfig(split="parts"),
    "moments": ThresholdConfig(level="moments"),
    "maximum-entropy": ThresholdConfig(level="maximum-entropy"),
    "minimum-error": ThresholdConfig(level="minimum-error"),
    "clipped-otsu": ThresholdConfig(level="clipped-otsu"),
    "fuzzy-c-means": FuzzyClustersConfig(),
    "region-growing": RegionGrowingConfig(),
    "voronoi-otsu": VoronoiOtsuConfig(),
    "log": SpotsConfig(),
    "trackpy": SpotsConfig(finder="trackpy"),
    "balls": SpotsConfig(shape="balls"),
    "phagosight": PhagoSightConfig(),
    "geodesic": GeodesicConfig(),
    "chan-vese": ChanVeseConfig(),
    "surface": SnakesConfig(),
    "slices": SnakesConfig(form="slices"),
}
SPACING = (1.0, 0.5, 0.5)
SEG = {"maximum-entropy": 0.5, "phagosight": 0.5, "minimum-error": 0.3}
"""Levels that lie high on the flank, or low: they see the nuclei, and too small or too large. Of all others, 0.75."""


@pytest.fixture(params=WAYS)
def way(request):
    """Each way's config in turn."""
    return WAYS[request.param]


def test_every_kind_is_held_here():
    assert {config.kind for config in WAYS.values()} == set(KINDS) - {"network"}


def test_kinds_and_classes_are_one_list():
    assert [config.model_fields["kind"].default for config in CONFIGS] == list(KINDS)
    assert all(type(of_kind(kind)) is config for kind, config in zip(KINDS, CONFIGS, strict=True))
    assert all(of_kind(kind).kind == kind for kind in KINDS)


def test_an_unknown_kind_is_refused_with_those_that_are_known():
    with pytest.raises(ConfigError, match=r"no such segmenter.*Known: watershed, threshold"):
        of_kind("otsu")


@pytest.mark.parametrize("name", WAYS)
def test_separate_nuclei_are_found_one_by_one(name, draw):
    image, truth = draw()
    scores = score(truth, segment(image, WAYS[name]))
    assert (scores.n_found, scores.det) == (4, 1.0)
    assert scores.seg > SEG.get(name, 0.75)


def test_labels_count_from_one_on_the_images_grid(way, draw):
    image, _ = draw()
    before = image.array.copy()
    labels = segment(image, way)
    assert labels.grid == image.grid
    assert labels.array.dtype == np.uint16
    assert np.unique(labels.array).tolist() == list(range(int(labels.array.max()) + 1))
    np.testing.assert_array_equal(image.array, before)
    np.testing.assert_array_equal(segment(image, way).array, labels.array)


@pytest.mark.parametrize(("scale", "offset"), [(0.5, 64.0), (1024.0, -4096.0)])
def test_brightness_may_be_scaled_and_shifted(way, draw, scale, offset):
    image, _ = draw()
    moved = image.with_data((scale * image.array + offset).astype(np.float32))
    before, after = segment(image, way).array, segment(moved, way).array
    assert before.max() == after.max()
    assert (before != after).mean() < 1e-3


def test_the_unit_of_length_does_not_matter(way, draw):
    image, _ = draw()
    larger = from_array(image.channel(), [64 * s for s in SPACING], modality="fluorescence")
    before, after = segment(image, way).array, segment(larger, way).array
    assert (before != after).mean() < 1e-3


def test_no_cell_lies_where_there_is_no_data(way, draw):
    image, truth = draw()
    valid = np.ones(image.grid.shape, bool)
    valid[:, :, 21:] = False
    raw = image.array.copy()
    raw[..., 21:] = np.nan
    labels = segment(Volume(raw, image.grid, image.channels, valid=valid), way).channel()
    assert not labels[~valid].any()
    kept = [n for n in range(1, 4 + 1) if not truth.channel()[~valid][truth.channel()[~valid] == n].size]
    assert len(kept) == labels.max() == 2


def test_noise_alone_is_no_cell(way, caplog):
    noise = np.random.default_rng(5).normal(100, 10, (10, 32, 32)).astype(np.float32)
    with caplog.at_level(logging.WARNING):
        labels = segment(from_array(noise, SPACING, modality="fluorescence"), way)
    assert not labels.array.any()
    assert "no cell found" in caplog.text


@pytest.mark.parametrize(
    ("voxels", "problem"),
    [
        (np.full((4, 8, 8), 7, np.uint8), "constant"),
        (np.where(np.arange(256) == 9, np.nan, 1.0).reshape(4, 8, 8), "NaN"),
        (np.where(np.arange(256) == 9, np.inf, 1.0).reshape(4, 8, 8), "infinite"),
        (np.zeros((2, 4, 8, 8)), "one channel"),
    ],
)
def test_voxels_that_cannot_be_segmented_are_refused(way, voxels, problem):
    with pytest.raises(ContentError, match=problem):
        way.build().segment(from_array(voxels, SPACING, modality="fluorescence"))


def test_one_slice_works_or_says_why(way, draw):
    image, truth = draw([((0, 5, 6), (3, 3, 3.5)), ((0, 14, 12), (3, 3.5, 3))], shape=(1, 40, 44))
    if isinstance(way, SnakesConfig) and way.form == "surface":
        with pytest.raises(ContentError, match=r"more than one slice.*form: slices"):
            segment(image, way)
        return
    assert score(truth, segment(image, way)).det == 1.0


@pytest.mark.parametrize("config", [c for c in CONFIGS if c.model_fields["kind"].default != "network"])
def test_a_key_that_is_not_known_is_refused(config: type[BaseModel]):
    with pytest.raises(ValueError, match="treshold"):
        config(treshold=3)


@pytest.mark.parametrize(
    ("way_", "ap", "seg"), [("voronoi-otsu", 0.9, 0.8), ("chan-vese", 0.9, 0.8), ("geodesic", 0.9, 0.8)]
)
def test_real_nuclei(data, way_, ap, seg):
    """cells3d, every second pixel along y and x."""
    tifffile = pytest.importorskip("tifffile")
    folder, spacing = data / "segmentation" / "cells3d", (0.29, 0.52, 0.52)
    image, truth = (tifffile.imread(folder / name)[:, ::2, ::2] for name in ("nuclei.tif", "nuclei_label.tif"))
    labels = segment(from_array(image, spacing, modality="fluorescence"), WAYS[way_])
    scores = score(from_array(truth.astype(np.uint16), spacing, modality="labels"), labels)
    assert scores.ap > ap
    assert scores.seg > seg
