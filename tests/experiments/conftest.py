"""Small experiments with a known truth: a moved pair, a movie of nuclei."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

import volumes
from phantom.nuclei import nuclei_movie

SPACING = (2.0, 1.0, 1.0)
LAYOUT = "{{axes: TZYX, sizes: {sizes}, spacing_um: [2.0, 1.0, 1.0], dt_s: 60.0}}"


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """A config that registers, fuses and segments a volume and its displaced self, 24×40×44."""
    rng = np.random.default_rng(5)
    z, y, x = np.indices((24, 40, 44)) * np.array(SPACING).reshape(3, 1, 1, 1)
    voxels = np.zeros(z.shape)
    for centre in rng.uniform((10, 8, 8), (38, 32, 36), (14, 3)):
        squared = (z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2
        voxels += rng.uniform(60, 200) * np.exp(-squared / (2 * rng.uniform(2.5, 4.5) ** 2))
    volume = volumes.from_array(voxels.astype(np.float32), SPACING, modality="fluorescence")
    volumes.write(volume, tmp_path / "cells.nrrd")
    config = tmp_path / "pair.yaml"
    config.write_text(
        """
name: pair
sources:
  still: {file: cells.nrrd, modality: fluorescence}
  moved:
    file: cells.nrrd
    modality: fluorescence
    displaced: {rotation_deg: [4.0, -3.0, 5.0], shift_um: [2.0, -3.0, 2.5], noise: 0.01, seed: 3}
register: {kind: rigid}
fuse: {kind: lpf}
segment: {kind: watershed}
""",
        encoding="utf-8",
    )
    return config


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    """A config that segments, links and scores a small simulated movie, as plain TIFF pages."""
    made = nuclei_movie((12, 48, 48), SPACING, frames=6, cells=6, seed=2, divide=1)
    image = np.stack([frame.channel() for frame in made.image])
    labels = np.stack([frame.channel() for frame in made.labels])
    tifffile.imwrite(tmp_path / "image.tif", image.astype(np.float32), photometric="minisblack", metadata=None)
    tifffile.imwrite(tmp_path / "labels.tif", labels.astype(np.uint16), photometric="minisblack", metadata=None)
    layout = LAYOUT.format(sizes=list(image.shape))
    config = tmp_path / "movie.yaml"
    config.write_text(
        f"""
name: movie
sources:
  nuclei: {{file: image.tif, modality: fluorescence, simulated: true, layout: {layout}}}
segment: {{kind: watershed}}
link: {{kind: assignment}}
truth_follows_cells: true
truth_labels: {{file: labels.tif, modality: labels, simulated: true, layout: {layout}}}
""",
        encoding="utf-8",
    )
    return config
