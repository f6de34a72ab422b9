"""The coarse search finds whole and smooth displacements, and both directions are brought together."""

from __future__ import annotations

import pytest
import torch

from registration.deformable.convex import consistent, search
from registration.deformable.warp import compose, invert, smooth, warp
from volumes.errors import GridError

SHAPE = (9, 10, 11)


@pytest.fixture
def features() -> torch.Tensor:
    return torch.rand((1, 6, *SHAPE), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def everywhere() -> torch.Tensor:
    return torch.ones((1, 1, *SHAPE))


def _bent(size: float, seed: int) -> torch.Tensor:
    """A smooth field of that largest displacement."""
    noise = torch.randn((1, 3, *SHAPE), generator=torch.Generator().manual_seed(seed))
    field = smooth(noise, 3.0)
    return field * size / field.abs().max()


def test_a_whole_shift_is_found(features, everywhere):
    moving = torch.roll(features, (1, -2, 1), dims=(2, 3, 4))
    found = search(features, moving, everywhere, 2)[..., 3:-3, 3:-3, 3:-3]
    expected = torch.tensor([1.0, -2.0, 1.0]).view(1, 3, 1, 1, 1).expand_as(found)
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0)


def test_a_smooth_field_is_found_to_a_fraction_of_a_cell(features, everywhere):
    fixed_of = smooth(features[:, :3], 1.0)
    field = _bent(1.6, 3)
    found = search(warp(fixed_of, field), fixed_of, everywhere, 2)
    error = (found - field).square().sum(dim=1).sqrt()[..., 2:-2, 2:-2, 2:-2].mean()
    before = field.square().sum(dim=1).sqrt()[..., 2:-2, 2:-2, 2:-2].mean()
    assert error < 0.5 * before


def test_cells_without_weight_follow_their_neighbours(features, everywhere):
    moving = torch.roll(features, 1, dims=4)
    spoilt = moving.clone()
    spoilt[..., 4:6, 4:6, 4:6] = 7.0
    weights = everywhere.clone()
    weights[..., 3:7, 3:7, 3:7] = 0.0
    found = search(features, spoilt, weights, 2)[0, :, 4:6, 4:6, 4:6].mean(dim=(1, 2, 3))
    torch.testing.assert_close(found, torch.tensor([0.0, 0.0, 1.0]), atol=0.2, rtol=0)


def test_a_volume_and_itself_need_no_displacement(features, everywhere):
    assert float(search(features, features, everywhere, 2).abs().max()) == 0


def test_consistent_fields_undo_each_other():
    forward, backward = consistent(_bent(1.0, 1), _bent(1.0, 2))
    assert float(compose(forward, backward).abs().mean()) < 0.02


def test_fields_that_agree_stay():
    forward = _bent(0.8, 5)
    kept, _ = consistent(forward, invert(forward, 30))
    assert float((kept - forward)[..., 2:-2, 2:-2, 2:-2].abs().max()) < 0.05


def test_the_same_bytes_twice(features, everywhere):
    moving = torch.roll(features, 1, dims=2)
    assert torch.equal(search(features, moving, everywhere, 1), search(features, moving, everywhere, 1))


def test_what_does_not_fit_is_refused(features, everywhere):
    with pytest.raises(GridError, match="like the fixed ones"):
        search(features, features[:, :3], everywhere, 1)
    with pytest.raises(GridError, match="as the features"):
        search(features, features, everywhere[..., 1:], 1)
    with pytest.raises(GridError, match="at least 1"):
        search(features, features, everywhere, 0)
