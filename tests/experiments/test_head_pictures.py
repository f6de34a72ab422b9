"""Slices of heads for training come from maps of the data folder, all on one grid, and name what shows them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from experiments.tasks.data_folder import DATA, data_file
from experiments.tasks.heads import HeadsConfig
from experiments.tasks.pictures import Pictures, PicturesConfig
from phantom.patchwork.heads import BONE
from volumes import from_array
from volumes.errors import ConfigError, GridError
from volumes.io import write

CONFIG = HeadsConfig(density="ct.nii.gz", grey="g.nii.gz", white="w.nii.gz", fluid="f.nii.gz", pieces=12, size=64)


@pytest.fixture
def maps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(DATA, str(tmp_path))
    z, y, x = np.mgrid[:16, :20, :18]
    away = np.sqrt((z - 7.5) ** 2 + (y - 9.5) ** 2 + (x - 8.5) ** 2)
    density = np.where(away < 6, 2000, np.where(away < 7.5, BONE + 500, 0))
    parts = {"ct": density, "g": (away < 6) & (away >= 4), "w": away < 4, "f": away < 0}
    for name, array in parts.items():
        write(from_array(array.astype(np.float32), (2000,) * 3, modality="MRI"), tmp_path / f"{name}.nii.gz")
    return tmp_path


def test_slices_show_a_contrast_beside_one_or_two_others(maps: Path) -> None:
    read = CONFIG.maps()
    seen = set()
    for seed in range(30):
        pictures, modalities = CONFIG.picture(read, np.random.default_rng(seed))
        assert pictures.shape == (len(modalities), 1, 64, 64)
        assert modalities[0] == "MRI"
        seen |= set(modalities)
    assert seen == {"MRI", "CT", "PET", "SPECT"}


def test_the_pool_holds_as_many_as_were_asked_for(maps: Path) -> None:
    config = PicturesConfig(planes=0, solids=0, plane_size=40, solid_size=16, heads=CONFIG)
    pictures = Pictures(config, seed=3)
    pieces = pictures.pieces(np.random.default_rng(0), (1, 40, 40), 2, 20)
    assert len(pictures._flat) == CONFIG.pieces
    assert all(piece.clean.shape == (2, 1, 40, 40) for piece in pieces)
    again = Pictures(config, seed=3).pieces(np.random.default_rng(0), (1, 40, 40), 2, 20)
    assert all(np.array_equal(a.clean, b.clean) for a, b in zip(pieces, again, strict=True))


@pytest.mark.parametrize("steady", [0.0, 1.0])
def test_levels_are_kept_as_often_as_asked(maps: Path, steady: float) -> None:
    config = PicturesConfig(planes=0, solids=0, heads=CONFIG.model_copy(update={"steady": steady}))
    pieces = Pictures(config).pieces(np.random.default_rng(0), (1, 64, 64), 2, 12)
    kept = [float(np.abs(255 * piece.clean - np.rint(255 * piece.clean)).max()) < 1e-3 for piece in pieces]
    assert all(kept) if steady else not any(kept)


def test_maps_of_other_grids_are_refused(maps: Path) -> None:
    write(from_array(np.zeros((16, 20, 18), np.float32), (1000,) * 3, modality="MRI"), maps / "other.nii.gz")
    with pytest.raises(GridError, match="different grids"):
        CONFIG.model_copy(update={"white": "other.nii.gz"}).maps()


def test_without_a_data_folder_the_error_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DATA, raising=False)
    with pytest.raises(ConfigError, match=DATA):
        CONFIG.maps()
    with pytest.raises(ConfigError, match=r"stacks\.data"):
        data_file("a.nii", "stacks.data")


def test_the_maps_that_are_named_by_default_are_of_one_head(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATA, str(data))
    maps = HeadsConfig().maps()
    brain = maps.grey + maps.white > 0.5
    assert np.median(maps.density[brain]) < BONE < np.quantile(maps.density, 0.98)
