"""A movie whose drift is measured is segmented, linked and scored as if it had lain still."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

import volumes
from experiments.config import load
from experiments.pipeline import run
from experiments.run_folder import RunFolder, read_json
from volumes.errors import FusetrackError

DRIFT = np.array([[0, 0, 0], [0, 3, -2], [2, 5, -4], [2, 8, -6]])
"""Voxels that each frame moved by."""
LAYOUT = "{axes: TZYX, sizes: [4, 20, 56, 56], spacing_um: [1.0, 1.0, 1.0], dt_s: 60.0}"


@pytest.fixture
def swaying(tmp_path: Path) -> Path:
    """Four frames of still balls under a stage that moves by whole voxels, and their labels."""
    rng = np.random.default_rng(4)
    z, y, x = np.indices((20, 56, 56))
    centres = np.array([[9, 16, 16], [8, 16, 38], [10, 30, 26], [9, 38, 14], [8, 36, 38]])
    light, labels = np.zeros(z.shape), np.zeros(z.shape, np.uint16)
    for number, (a, b, c) in enumerate(centres, start=1):
        ball = (z - a) ** 2 + (y - b) ** 2 + (x - c) ** 2
        light += (1 + 0.2 * number) * np.exp(-ball / 24)
        labels[ball <= 45] = number
    movie = np.stack([np.roll(light, step, (0, 1, 2)) for step in DRIFT]) + rng.normal(0, 0.02, (4, *z.shape))
    tifffile.imwrite(tmp_path / "i.tif", (200 * movie).astype(np.float32), photometric="minisblack", metadata=None)
    true = np.stack([np.roll(labels, step, (0, 1, 2)) for step in DRIFT])
    tifffile.imwrite(tmp_path / "l.tif", true, photometric="minisblack", metadata=None)
    (tmp_path / "sway.yaml").write_text(
        f"""
name: sway
sources: {{sheet: {{file: i.tif, modality: fluorescence, layout: {LAYOUT}}}}}
drift: {{}}
segment: {{kind: watershed}}
link: {{kind: constraint, max_distance_um: 3.0}}
truth_follows_cells: true
truth_labels: {{file: l.tif, modality: labels, layout: {LAYOUT}}}
"""
    )
    return tmp_path


def test_cells_that_only_the_stage_moved_lie_still(swaying: Path) -> None:
    out = RunFolder(swaying / "run")
    run(load(swaying / "sway.yaml"), out.path)
    drift = np.loadtxt(out.transforms / "sheet.drift.csv", delimiter=",", skiprows=1)
    assert len(drift) == len(DRIFT)
    rows = np.genfromtxt(out.path / "detections.csv", delimiter=",", names=True)
    places = np.column_stack([rows["z"], rows["y"], rows["x"]])
    first = places[rows["t"] == 0]
    for t in (1, 2, 3):
        off = np.linalg.norm(places[rows["t"] == t][:, None] - first, axis=-1).min(axis=1)
        assert np.median(off) < 0.5, t
    scores = read_json(out.scores)
    assert scores["linking"]["edge F1"] == pytest.approx(1.0)
    assert scores["segmentation"]["AP at IoU 0.5"] > 0.9
    still = volumes.read_timelapse(out.path / "registered.ome.zarr")
    assert (
        np.corrcoef(still[0].channel()[4:14, 12:40, 12:40].ravel(), still[3].channel()[4:14, 12:40, 12:40].ravel())[
            0, 1
        ]
        > 0.95
    )
    assert run(load(swaying / "sway.yaml"), out.path).worked == ()


def test_without_it_the_links_are_lost(swaying: Path) -> None:
    """So the test above can fail."""
    config = load(swaying / "sway.yaml").model_copy(update={"drift": None})
    out = RunFolder(swaying / "run")
    run(config, out.path)
    assert read_json(out.scores)["linking"]["edge F1"] < 0.5


def test_drift_of_no_movie_is_refused(pair: Path) -> None:
    pair.write_text(pair.read_text() + "drift: {}\n")
    with pytest.raises(FusetrackError, match="drift needs"):
        load(pair)
