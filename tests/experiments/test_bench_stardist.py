"""StarDist's side of the segmentation benchmark, without StarDist: sizes there and back, and a stand-in for it."""

from __future__ import annotations

import ast
import csv
from pathlib import Path

import numpy as np
import pytest

from experiments.bench import segmentation_stardist as bench
from experiments.bench.segmentation_volumes import Case
from volumes.volume import from_array

SPACING = (2.0, 0.5, 0.5)


@pytest.fixture
def case() -> Case:
    """Two bright boxes of 8 × 8 × 8 µm."""
    truth = np.zeros((12, 48, 48), np.uint32)
    truth[2:6, 4:20, 4:20], truth[6:10, 24:40, 24:40] = 1, 2
    image = from_array(10.0 + 90 * (truth > 0), SPACING, modality="fluorescence")
    return Case((image,), (from_array(truth, SPACING, modality="labels"),), "drawn")


def test_cells_come_to_fourteen_voxels_and_back(case: Case) -> None:
    shape = bench._shape(bench._across(case), case.images[0])
    # A ball of the volume of a cube of 8 µm is 9.93 µm across.
    across = np.cbrt(6 / np.pi) * 8
    assert shape == tuple(round(n * s * 14 / across) for n, s in zip((12, 48, 48), SPACING, strict=True))
    image = bench.resized(case.images[0].channel(0), shape)
    assert image.shape == shape
    labels = np.where(image > 55, 1, 0).astype(np.uint32)
    back = bench.restored(labels, (12, 48, 48))
    truth = case.truths[0].channel(0) > 0
    assert (back[truth] > 0).mean() > 0.85
    assert (back[~truth] > 0).mean() < 0.02


def test_labels_of_the_same_grid_stay_as_they_are(rng: np.random.Generator) -> None:
    labels = rng.integers(0, 9, (3, 5, 7))
    assert np.array_equal(bench.restored(labels, (3, 5, 7)), labels)
    assert np.array_equal(bench.restored(labels.repeat(2, 0).repeat(3, 2), (3, 5, 7)), labels)


def test_made_up_volumes_come_from_a_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "DRAWN", 2)
    one, again, other = (bench.made_up(seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not np.array_equal(one[0], other[0])
    assert one[1].shape == (2, 64, 64, 64)
    assert one[1].dtype == np.uint16


def test_what_the_process_is_told_compiles() -> None:
    tree = ast.parse(bench.TOOL)
    assert {"tensorflow", "numpy", "json"} <= {
        alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }


def test_the_rows_are_of_what_the_process_found(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(python: str, folder: Path, seconds: float, held_out: int) -> dict[str, object]:
        assert held_out == 0
        image = np.load(folder / "CHO-0.case.npy")
        half = np.arange(image.shape[0])[:, None, None] < image.shape[0] / 2
        np.save(folder / "CHO-0.found.npy", np.where(image > 55, np.where(half, 1, 2), 0).astype(np.uint32))
        return {"trained": 250.0, "steps": 7, "times": {"CHO-0.case.npy": 0.5}}

    monkeypatch.setattr(bench, "_run", found)
    monkeypatch.setattr(bench, "read_case", lambda *_: case)
    monkeypatch.setattr(bench, "DRAWN", 1)
    bench.main(["--cases", "CHO", "--out", str(tmp_path / "s.csv")])
    with (tmp_path / "s.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["kind"], row["AP"], row["true cells"]) == ("StarDist 3-D", "1.000", "2")
    assert row["CPU s / 10⁶ voxels"] == f"{0.5 / case.voxels * 1e6:.2f}"
    assert "250 CPU s (7 steps)" in row["note"]


def test_a_half_is_learnt_from_at_the_size_of_the_whole(case: Case) -> None:
    images, labels = bench.as_drawn(case, 4.0)
    assert images.shape == labels.shape == (2, *bench._shape(4.0, case.images[0]))
    assert set(np.unique(labels)) == {0, 1, 2}
    assert (images[labels > 0] > 55).mean() > 0.9
