"""The exponential of a velocity field against closed forms and against small steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.linalg import expm

from registration.deformable.velocity import exponential, squarings_for
from registration.deformable.warp import compose, jacobian
from volumes.errors import GridError

SHAPE = (28, 26, 24)
INNER = (..., slice(6, -6), slice(6, -6), slice(6, -6))


def places() -> np.ndarray:
    return np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij")).astype(float)


@pytest.fixture
def velocity(rng) -> torch.Tensor:
    """Smooth, up to 3 voxels, at rest at the border."""
    rough = np.stack([ndimage.gaussian_filter(rng.standard_normal(SHAPE), 4) for _ in range(3)])
    rest = ndimage.gaussian_filter(np.pad(np.ones([n - 12 for n in SHAPE]), 6), 2)
    return torch.from_numpy(3 * rough * rest / np.abs(rough * rest).max())[None]


def test_constant_velocity_is_a_shift():
    speed = torch.tensor([1.0, -0.5, 0.25], dtype=torch.float64).view(1, 3, 1, 1, 1).expand(1, 3, *SHAPE)
    torch.testing.assert_close(exponential(speed, 4), speed.contiguous())


def test_linear_velocity_is_the_matrix_exponential(rng):
    matrix = rng.uniform(-0.15, 0.15, (3, 3))
    centre = (np.array(SHAPE).reshape(3, 1, 1, 1) - 1) / 2
    seen = places() - centre
    wanted = np.tensordot(expm(matrix) - np.eye(3), seen, axes=1)[None]
    found = exponential(torch.from_numpy(np.tensordot(matrix, seen, axes=1))[None], 7)
    np.testing.assert_allclose(found[INNER], wanted[INNER], atol=2e-3)


def test_exponential_is_where_many_small_steps_lead(velocity):
    at, steps = places(), 100
    for _ in range(steps):
        half = at + [ndimage.map_coordinates(v, at, order=1, mode="nearest") for v in velocity[0] / (2 * steps)]
        at = at + [ndimage.map_coordinates(v, half, order=1, mode="nearest") for v in velocity[0] / steps]
    wanted = at - places()
    found = exponential(velocity, squarings_for(velocity))[0].numpy()
    # Linear interpolation errs by up to an eighth of the second difference along each axis, and it errs at half of
    # each shorter time as well: twice as much in all.
    interpolation = sum(np.abs(np.diff(wanted, 2, axis=a)).max() / 8 for a in (1, 2, 3))
    assert np.abs(found - wanted).max() < 2 * interpolation < 0.5
    assert np.sqrt(((found - wanted) ** 2).mean()) < 0.02 * np.sqrt((wanted**2).mean())


def test_the_midpoint_step_makes_few_squarings_enough(velocity):
    fine = exponential(velocity, 10)
    errors = [float((exponential(velocity, n) - fine).abs().max()) for n in (2, 3, 4)]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


def test_the_way_back_is_the_exponential_of_minus_the_velocity(velocity):
    there, back = (exponential(sign * velocity, 6) for sign in (1, -1))
    round_trip = compose(there, back)
    assert float(round_trip.abs().max()) < 0.1
    assert float(round_trip.square().mean().sqrt()) < 0.04 * float(there.square().mean().sqrt())


def test_no_exponential_folds_where_the_velocity_as_a_displacement_would(velocity):
    strong = 2.5 * velocity
    assert float(jacobian(strong).min()) < 0
    assert float(jacobian(exponential(strong, squarings_for(strong))).min()) > 0


def test_gradient_goes_through_every_composition(rng):
    velocity = torch.from_numpy(rng.uniform(-0.7, 0.7, (1, 3, 3, 4, 3))).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: exponential(v, 3), velocity)


def test_number_of_squarings_grows_with_the_fastest_voxel():
    velocity = torch.zeros(1, 3, 2, 2, 2)
    assert squarings_for(velocity) == 0
    velocity[0, :, 0, 0, 0] = torch.tensor([3.0, 0.0, 4.0])
    assert squarings_for(velocity, step=5.0) == 0
    assert squarings_for(velocity, step=0.5) == 4


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e30])
def test_a_velocity_that_cannot_be_followed_is_refused(bad):
    with pytest.raises(GridError):
        squarings_for(torch.full((1, 3, 2, 2, 2), bad))


@pytest.mark.parametrize("squarings", [-1, 31])
def test_a_number_of_squarings_out_of_range_is_refused(squarings):
    with pytest.raises(GridError):
        exponential(torch.zeros(1, 3, 2, 2, 2), squarings)
