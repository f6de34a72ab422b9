"""Sources come into the networks' range and back to the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fusion.diffusion.unit_range import UnitRange, unit_range
from volumes.device import computing_in, require_device

CPU = torch.device("cpu")


@pytest.mark.parametrize("factor", [1e-6, 1.0, 5e4])
def test_there_and_back_is_the_same(rng: np.random.Generator, factor: float) -> None:
    sources = [(factor * rng.normal(size=(2, 30, 31)) + 3 * factor).astype(np.float32) for _ in range(2)]
    unit = unit_range(sources)
    given = unit.to_net(sources, CPU)
    assert given.shape == (1, 2, 2, 30, 31)
    assert given.dtype == torch.float32
    for i, source in enumerate(sources):
        assert np.abs(unit.from_net(given[:, [i]]) - source).max() < 2e-6 * np.abs(source).max()


def test_the_range_spans_all_sources_but_for_a_few_voxels(rng: np.random.Generator) -> None:
    low, high = rng.uniform(0, 1, (1, 100, 100)), rng.uniform(5, 6, (1, 100, 100))
    high[0, 0, :3] = 1e6
    given = unit_range([low, high]).to_net([low, high], CPU).numpy()[0]
    assert np.quantile(given[0], 0.005) == pytest.approx(-1, abs=1e-4)
    assert np.quantile(given[1], 0.998) == pytest.approx(1, abs=1e-4)


def test_constants_have_a_range_too() -> None:
    flat = [np.full((1, 4, 4), 7.0, np.float32)] * 2
    unit = unit_range(flat)
    assert unit == UnitRange(7.0, 1.0)
    assert (unit.from_net(unit.to_net(flat, CPU)[:, :1]) == 7).all()


def test_the_precision_is_that_of_products_inside_the_block() -> None:
    device = require_device("cpu")
    layer, x = torch.nn.Linear(3, 3), torch.ones(1, 3)
    with computing_in("bfloat16", device):
        assert layer(x).dtype == torch.bfloat16
    with computing_in("float32", device):
        assert layer(x).dtype == torch.float32
