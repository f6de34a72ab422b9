"""How large a cell is, said by crops that cut most of their cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import volumes
from experiments.fine_tuning import labelled_in
from experiments.tasks.cell_labelled import median_diameter_um, typical_diameter_um
from volumes.errors import ContentError
from volumes.volume import Volume, from_array

ACROSS, SPACING = 8.0, (1.0, 0.5, 0.5)


def packed() -> np.ndarray:
    """Balls of 8 µm on a lattice of 10 µm, 60 µm along each edge."""
    grid = np.indices((60, 120, 120)).astype(float)
    place = [(axis + 0.5) * s for axis, s in zip(grid, SPACING, strict=True)]
    away = np.sqrt(sum((p % 10 - 5) ** 2 for p in place))
    z, y, x = ((p // 10).astype(int) for p in place)
    return np.where(away < ACROSS / 2, 1 + (z * 6 + y) * 6 + x, 0).astype(np.uint16)


def crop(labels: np.ndarray, first: int, side: int) -> Volume:
    z, yx = slice(first, first + side), slice(2 * first, 2 * (first + side))
    return from_array(np.ascontiguousarray(labels[z, yx, yx]), SPACING, modality="labels")


def test_whole_cells_say_it_where_there_are_some() -> None:
    labels = packed()
    cut = crop(labels, 5, 40)
    assert median_diameter_um(cut.channel(), SPACING) < 0.95 * ACROSS
    assert typical_diameter_um([cut]) == pytest.approx(ACROSS, rel=0.02)


def test_where_all_are_cut_the_larger_parts_say_it() -> None:
    labels = packed()
    crops = [crop(labels, first, 16) for first in (3, 14, 26)]
    parts = [median_diameter_um(one.channel(), SPACING) for one in crops]
    found = typical_diameter_um(crops)
    assert np.mean(parts) < 0.75 * ACROSS
    assert found < 1.02 * ACROSS
    assert abs(found - ACROSS) < 0.5 * abs(np.mean(parts) - ACROSS)


def test_crops_of_a_folder_have_one_size(tmp_path: Path) -> None:
    for i, first in enumerate((3, 14)):
        one = crop(packed(), first, 12)
        volumes.write(one, tmp_path / f"{i}_labels.nii.gz")
        volumes.write(one.with_data(one.array.astype(np.float32)), tmp_path / f"{i}_image.nii.gz")
    assert len({pair.diameter_um for pair in labelled_in(tmp_path)}) == 1


def test_without_a_cell_there_is_no_size() -> None:
    with pytest.raises(ContentError, match="no cell"):
        typical_diameter_um([from_array(np.zeros((4, 4, 4), np.uint16), SPACING, modality="labels")])
