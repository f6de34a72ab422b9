"""The page of the config tells every key of the schema, and its default, in the table of what it belongs to."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from experiments.config import json_schema, load

PAGE = Path(__file__).resolve().parents[2] / "docs" / "config.md"
TITLES = {
    "Experiment": "An experiment",
    "Suite": "A suite",
    "Source": "sources: a source",
    "Simulated": "phantom: a simulated specimen",
    "Layout": "layout: pages that say nothing of themselves",
    "Displaced": "displaced: a known motion",
    "Cells": "cells: a table of cells",
    "Observed": "observed: how a true lineage is degraded",
    "DriftConfig": "drift: how movies are held still",
    "Pair": "pairs: two sources",
    "AutoConfig": "register: auto",
    "RigidConfig": "register: rigid",
    "SimilarityConfig": "register: similarity",
    "AffineConfig": "register: affine",
    "DeformableConfig": "register: deformable",
    "ProjectionConfig": "register: projection",
    "LandmarksConfig": "register: landmarks",
    "GivenConfig": "register: given",
    "LPFConfig": "fuse: lpf",
    "MeanConfig": "fuse: mean",
    "MaxConfig": "fuse: max",
    "WeightedConfig": "fuse: weighted",
    "DWTConfig": "fuse: dwt",
    "DMFLPConfig": "fuse: dmf-lp",
    "NetworkConfig": "network: of dmf-lp",
    "GuidanceConfig": "guidance: of dmf-lp",
    "LiteralConfig": "fuse: dmf-lp-literal",
    "DDFMConfig": "fuse: ddfm",
    "Likelihood": "likelihood: what the sources say",
    "UNetSizes": "network: a patched U-Net",
    "Scale": "match: a scale",
    "WatershedConfig": "segment: watershed",
    "ThresholdConfig": "segment: threshold",
    "FuzzyClustersConfig": "segment: fuzzy-c-means",
    "RegionGrowingConfig": "segment: region-growing",
    "VoronoiOtsuConfig": "segment: voronoi-otsu",
    "SpotsConfig": "segment: spots",
    "PhagoSightConfig": "segment: phagosight",
    "GeodesicConfig": "segment: geodesic",
    "ChanVeseConfig": "segment: chan-vese",
    "SnakesConfig": "segment: snakes",
    "CellNetworkConfig": "segment: network",
    "ConstraintConfig": "link: constraint",
    "LiteralLinkerConfig": "link: literal",
    "KalmanConfig": "link: kalman",
    "Still": "motion: none",
    "NearestVelocity": "motion: nearest-velocity",
    "ConstantVelocity": "motion: constant-velocity",
    "InteractingModels": "motion: interacting",
    "ParticleFilter": "motion: particles",
    "LocalFlow": "motion: flow",
    "NearestConfig": "link: nearest",
    "TrackpyConfig": "link: trackpy",
}
"""The heading under which each definition of the schema is told."""
ROW = re.compile(r"^\| `(?P<key>\w+)` \| (?P<type>[^|]+) \| (?P<default>[^|]+) \| (?P<meaning>[^|]+) \|$", re.MULTILINE)
DEFINITIONS: dict[str, dict[str, Any]] = json_schema()["$defs"]


def _rows(title: str) -> dict[str, str]:
    """Default by key, as the table under a heading shows it."""
    parts = re.split(r"^##+ (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    texts = dict(zip(parts[1::2], parts[2::2], strict=True))
    found = [(row["key"], row["default"]) for row in ROW.finditer(texts[title])]
    assert len(dict(found)) == len(found), f"{title}: a key stands twice"
    return dict(found)


def _shown(definition: dict[str, Any], key: str) -> str:
    if key in definition.get("required", ()):
        return "needed"
    default = definition["properties"][key].get("default")
    if default is None:
        return "–"
    return f"`{default}`" if isinstance(default, str) and default else f"`{json.dumps(default)}`"


def test_every_definition_has_its_heading():
    assert set(TITLES) == set(DEFINITIONS)


@pytest.mark.parametrize("name", TITLES)
def test_the_table_holds_every_key_with_its_default(name: str):
    definition = DEFINITIONS[name]
    assert _rows(TITLES[name]) == {key: _shown(definition, key) for key in definition["properties"]}


def test_no_table_stands_under_another_heading():
    told = sum(len(_rows(title)) for title in TITLES.values())
    assert len(ROW.findall(PAGE.read_text(encoding="utf-8"))) == told


@pytest.mark.parametrize(("block", "name"), [(0, "ct_mr"), (1, "movie")])
def test_the_page_of_runs_shows_the_example_configs(block: int, name: str, tmp_path: Path):
    page = (PAGE.parent / "run.md").read_text(encoding="utf-8")
    shown = re.findall(r"^```yaml\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)[block]
    example = (PAGE.parents[1] / "configs" / f"{name}.yaml").read_text(encoding="utf-8")
    for folder, text in (("shown", shown), ("example", example)):
        (tmp_path / f"{folder}.yaml").write_text(text, encoding="utf-8")
    assert load(tmp_path / "shown.yaml") == load(tmp_path / "example.yaml")
