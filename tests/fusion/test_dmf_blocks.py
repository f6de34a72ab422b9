"""Blocks cover a volume with shares that sum to 1, begin where the pyramid's voxels do, and keep away from borders."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion.diffusion.blocks import blocks, joined

SIZES = st.integers(1, 90)


@settings(max_examples=60, deadline=None)
@given(st.tuples(SIZES, SIZES, SIZES), st.integers(16, 96), st.integers(1, 24), st.sampled_from([1, 2, 4, 8, 16]))
def test_shares_sum_to_one_everywhere(shape, side: int, halo: int, unit: int) -> None:
    total = np.zeros(shape)
    for block in blocks(shape, side, halo, unit):
        assert block.share.dtype == np.float32
        assert block.share.min() >= 0
        assert block.share.shape == tuple(s.stop - s.start for s in block.place)
        total[block.place] += block.share
    assert np.abs(total - 1).max() < 1e-6


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 2000), st.integers(16, 200), st.integers(1, 40), st.sampled_from([1, 4, 16]))
def test_blocks_begin_at_multiples_of_the_unit_and_are_no_longer_than_asked(n, side: int, halo: int, unit: int) -> None:
    places = [block.place[2] for block in blocks((1, 1, n), side, halo, unit)]
    smaller = min(halo, side // 4)
    assert places[0].start == 0
    assert places[-1].stop == n
    assert all(place.start % unit == 0 for place in places)
    assert all(0 < place.stop - place.start <= max(side, unit + 2 * smaller) for place in places)
    assert len({place.stop for place in places}) == len(places), "no block lies within its neighbour"
    if n <= side:
        assert len(places) == 1


@pytest.mark.parametrize("n", [65, 97, 128, 200, 333])
@pytest.mark.parametrize(("side", "halo", "unit"), [(64, 16, 16), (80, 8, 4), (48, 16, 1)])
def test_what_lies_near_a_blocks_border_is_not_used(n: int, side: int, halo: int, unit: int) -> None:
    used = min(halo, side // 4) // 2
    for block in blocks((1, 1, n), side, halo, unit):
        place, share = block.place[2], block.share[0, 0]
        assert place.start == 0 or share[:used].max() == 0
        assert place.stop == n or share[-used:].max() == 0
        assert share.max() == 1


def test_shares_change_linearly_across_the_middle_of_an_overlap() -> None:
    first, second = list(blocks((1, 1, 96), 64, 16, 16))
    assert (first.place[2], second.place[2]) == (slice(0, 64), slice(32, 96))
    falling = first.share[0, 0, 40:56]
    assert np.abs(falling - (1 - (np.arange(16) + 0.5) / 16)).max() < 1e-6
    assert np.abs(np.diff(second.share[0, 0, 8:24]) - 1 / 16).max() < 1e-6


@settings(max_examples=30, deadline=None)
@given(st.tuples(SIZES, SIZES, SIZES), st.integers(16, 64), st.integers(1, 16), st.sampled_from([1, 4, 16]))
def test_the_parts_of_an_array_join_to_the_array(shape, side: int, halo: int, unit: int) -> None:
    values = np.random.default_rng(1).normal(size=(2, *shape)).astype(np.float32)
    parts = ((block, values[(slice(None), *block.place)]) for block in blocks(shape, side, halo, unit))
    out = joined(values.shape, parts)
    assert out.dtype == np.float32
    assert np.abs(out - values).max() < 4e-6


def test_a_small_volume_is_one_block_and_blocks_come_one_by_one() -> None:
    (only,) = blocks((3, 40, 64), 64, 16, 16)
    assert only.place == (slice(0, 3), slice(0, 40), slice(0, 64))
    assert (only.share == 1).all()
    first = next(blocks((10_000, 10_000, 10_000), 64, 16, 16))
    assert first.share.shape == (64, 64, 64)
