"""The table of what fusion figures reward, on pictures small enough to check by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.bench import fusion_metric_traps as traps
from volumes.errors import VolumeFileError


@pytest.fixture
def atlas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> Path:
    """Five pairs of 40 × 44, of which the first and the fifth are taken."""
    for kind in traps.KINDS:
        folder = tmp_path / "fusion" / "harvard" / "CT-MRI" / kind
        folder.mkdir(parents=True)
        for i in range(5):
            Image.fromarray(rng.integers(0, 256, (40, 44)).astype(np.uint8)).save(folder / f"{i}.png")
    monkeypatch.setenv("FUSETRACK_DATA", str(tmp_path))
    return tmp_path


def test_the_ways_are_what_they_are_called(rng: np.random.Generator) -> None:
    ct, mri = rng.integers(0, 256, (2, 40, 44)).astype(np.uint8)
    ways = traps.ways(ct, mri)
    assert ways["CT alone"] is ct
    np.testing.assert_array_equal(ways["maximum"], np.maximum(ct, mri))
    np.testing.assert_allclose(ways["mean"], (ct.astype(int) + mri) / 2, atol=0.5)
    noise = ways["LP-F, max base, + noise"] - ways["LP-F, max base"]
    inner = (ways["LP-F, max base"] > 40) & (ways["LP-F, max base"] < 215)
    assert np.std(noise[inner]) == pytest.approx(traps.NOISE, rel=0.1)
    assert all(0 <= picture.min() <= picture.max() <= 255 for picture in ways.values())


def test_the_table_holds_means_over_every_fourth_pair(atlas: Path) -> None:
    out = atlas / "table.md"
    traps.main(["--out", str(out)])
    lines = [line.strip("| ").split(" | ") for line in out.read_text().splitlines()]
    rows = {line[0]: dict(zip(lines[0], map(float, line[1:]), strict=True)) for line in lines[2:]}
    assert rows["VIF of CT"]["CT alone"] == 1
    assert rows["edges_lost of MRI"]["MRI alone"] == 0
    assert rows["VIF"]["CT alone"] == pytest.approx(1 + rows["VIF of MRI"]["CT alone"], abs=0.002)
    assert sum(rows["mean rank"].values()) == pytest.approx(28, abs=0.05)
    folder = atlas / "fusion" / "harvard" / "CT-MRI" / "CT"
    want = np.mean([np.asarray(Image.open(folder / f"{i}.png")).std() for i in (0, 4)])
    assert rows["SD"]["CT alone"] == pytest.approx(want, abs=0.001)


def test_without_pictures_it_says_where_they_should_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSETRACK_DATA", str(tmp_path))
    with pytest.raises(VolumeFileError, match=r"CT: holds no picture\. Set FUSETRACK_DATA"):
        traps.main(["--out", str(tmp_path / "t.md")])
