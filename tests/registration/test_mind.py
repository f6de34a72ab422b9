"""MIND-SSC against a loop over voxels, and what it must not see: tone and contrast."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from registration.deformable.mind import CHANNELS, mind_ssc, reach
from volumes.errors import GridError

OFFSETS = [(-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1)]
PAIRS = [(i, j) for i in range(6) for j in range(i + 1, 6) if i // 2 != j // 2]


def _looped(volume: np.ndarray, dilation: int) -> np.ndarray:
    """Patches of one voxel."""
    last = np.array(volume.shape) - 1

    def at(index: np.ndarray, offset: tuple[int, int, int]) -> float:
        return volume[tuple(np.clip(index + dilation * np.array(offset), 0, last))]

    apart = np.zeros((CHANNELS, *volume.shape))
    for index in np.ndindex(volume.shape):
        here = np.array(index)
        apart[(slice(None), *index)] = [(at(here, OFFSETS[i]) - at(here, OFFSETS[j])) ** 2 for i, j in PAIRS]
    apart -= apart.min(axis=0)
    variance = apart.mean(axis=0)
    return np.exp(-apart / np.clip(variance, 1e-3 * variance.mean(), 1e3 * variance.mean()))


@pytest.fixture
def volume(rng) -> torch.Tensor:
    return torch.from_numpy(rng.random((6, 7, 8)))[None, None]


@pytest.mark.parametrize("dilation", [1, 2])
def test_it_is_the_loop_over_voxels(volume, dilation):
    found = mind_ssc(volume, dilation, 0.0)[0].numpy()
    np.testing.assert_allclose(found, _looped(volume[0, 0].numpy(), dilation), atol=1e-12)


def test_neither_contrast_nor_its_sign_nor_offset_is_seen(volume):
    plain = mind_ssc(volume, 1, 1.2)
    for other in (3 * volume, -volume, volume + 5):
        torch.testing.assert_close(mind_ssc(other, 1, 1.2), plain)


def test_a_volume_that_is_moved_has_moved_descriptors(rng):
    wide = torch.from_numpy(rng.random((20, 20, 20)))[None, None]
    rim = reach(1, 1.0) + 2
    near = mind_ssc(wide[..., 1:], 1, 1.0)[..., rim:-rim, rim:-rim, rim:-rim]
    torch.testing.assert_close(near, mind_ssc(wide, 1, 1.0)[..., rim:-rim, rim:-rim, rim + 1 : -rim], atol=1e-2, rtol=0)


def test_a_constant_volume_is_alike_everywhere():
    assert bool((mind_ssc(torch.full((1, 1, 4, 4, 4), 3.0), 1, 1.0) == 1).all())


def test_what_is_no_volume_is_refused(volume):
    with pytest.raises(GridError, match="1, 1, Z, Y, X"):
        mind_ssc(volume[0], 1, 1.0)
    with pytest.raises(GridError, match="at least 1"):
        mind_ssc(volume, 0, 1.0)
