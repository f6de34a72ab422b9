"""Blocks: they cover a volume once, and what two of them see in one place is one cell."""

from __future__ import annotations

import numpy as np
import pytest

from tracking3d.segment.blocks import cores, joined


def table(centres: list[tuple[float, float, float]], voxels: list[int], confidence: list[float] | None = None):
    return (
        np.array(centres, float).reshape(-1, 3),
        np.array(voxels, np.int64),
        np.array(confidence if confidence is not None else [0.5] * len(voxels)),
    )


@pytest.mark.parametrize(
    ("shape", "sides"), [((10, 20, 30), (4, 20, 7)), ((1, 5, 5), (1, 2, 3)), ((3, 3, 3), (9, 9, 9))]
)
def test_cores_cover_all_once(shape: tuple[int, int, int], sides: tuple[int, int, int]) -> None:
    seen = np.zeros(shape, int)
    for core in cores(shape, sides):
        assert all(b - a <= side for (a, b), side in zip(core, sides, strict=True))
        seen[tuple(slice(*side) for side in core)] += 1
    assert (seen == 1).all()


def test_one_cell_of_two_blocks_has_one_number() -> None:
    cells = joined([table([(1, 1, 1), (5, 5, 5)], [100, 90]), table([(5.5, 5, 5), (9, 9, 9)], [92, 80])], reach=1)
    (zero, a, b), (nought, c, d) = (part.tolist() for part in cells.numbers)
    assert zero == nought == 0
    assert b == c
    assert sorted({a, b, d}) == [1, 2, 3]
    assert cells.confidence.shape == (3,)


def test_cells_of_one_block_stay_two() -> None:
    cells = joined([table([(1, 1, 1), (1.2, 1, 1)], [100, 100]), table([(1.1, 1, 1)], [100])], reach=1)
    first, second = cells.numbers
    assert first[1] != first[2]
    assert second[1] in first[1:]
    assert len(cells.confidence) == 2


def test_the_nearest_pair_goes_first() -> None:
    cells = joined([table([(0, 0, 0), (0, 0, 3)], [50, 50]), table([(0, 0, 2)], [50])], reach=2.5)
    assert cells.numbers[1][1] == cells.numbers[0][2]


def test_very_unlike_volumes_are_two_cells() -> None:
    cells = joined([table([(0, 0, 0)], [100]), table([(0, 0, 0.1)], [40])], reach=1)
    assert cells.numbers[0][1] != cells.numbers[1][1]


def test_a_cell_at_a_corner_of_eight_blocks_is_one(rng: np.random.Generator) -> None:
    tables = [table([tuple(rng.normal(0, 0.1, 3)), (20 * i + 10, 0, 0)], [100, 100]) for i in range(8)]
    cells = joined(tables, reach=2)
    assert len({int(part[1]) for part in cells.numbers}) == 1
    assert len(cells.confidence) == 9


def test_numbers_are_without_gaps_and_blocks_may_be_empty(rng: np.random.Generator) -> None:
    tables = [table(rng.uniform(0, 30, (n, 3)).tolist(), [100] * n) for n in (5, 0, 9)]
    cells = joined(tables, reach=4)
    numbers = np.unique(np.concatenate([part[1:] for part in cells.numbers]))
    assert numbers.tolist() == list(range(1, len(cells.confidence) + 1))
    assert joined([table([], [])], reach=1).numbers[0].tolist() == [0]


def test_the_first_block_s_confidence_is_kept() -> None:
    cells = joined([table([(0, 0, 0)], [10], [0.9]), table([(0, 0, 0)], [10], [0.8])], reach=1)
    assert cells.confidence.tolist() == [0.9]
