"""Deformable registration of a specimen that was bent by a known field and seen in another tone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy import ndimage

import volumes
from registration.deformable.deformable import DeformableConfig
from registration.linear.linear import RigidConfig
from registration.quality import Status
from volumes import Affine, Grid
from volumes.displacement import DisplacementField
from volumes.errors import ConfigError, ContentError, TransformError
from volumes.transform import Composite

GRID = Grid((36, 40, 44), (3.0, 3.0, 3.0), (-54.0, -60.0, -66.0))
LINEAR = RigidConfig(rotations=0, starts=1, samples=4_000, coarse_samples=2_000, search_samples=1_000)
"""No affine: it would take a part of the deformation."""
CONFIG = DeformableConfig(linear=LINEAR, smoothness_um=20.0)
QUICK = CONFIG.model_copy(update={"iterations": (6, 3)})


def _inverted(brightness: np.ndarray) -> np.ndarray:
    """Another modality: dark inside, and its brightest not the other's."""
    return 0.2 + np.exp(-(((brightness - 0.3) / 0.35) ** 2))


@pytest.fixture(scope="module")
def bend() -> DisplacementField:
    """10 µm at most, over 18 µm."""
    noise = np.random.default_rng(11).standard_normal((3, *GRID.shape))
    field = np.stack([ndimage.gaussian_filter(n, 6.0, mode="wrap") for n in noise], -1)
    return DisplacementField(10.0 * field / np.linalg.norm(field, axis=-1).max(), GRID).tapered(12)


@pytest.fixture(scope="module")
def tissue(specimen) -> np.ndarray:
    """The specimen, grained like tissue: structures of 10 µm, 0–1."""
    grain = ndimage.gaussian_filter(np.random.default_rng(5).standard_normal(GRID.shape), 1.6)
    body = ndimage.gaussian_filter(specimen.seen(GRID, noise=0.0).array[0], 1.0)
    return body * (1 + 0.35 * grain / grain.std())


def _volume(voxels: np.ndarray, seed: int) -> volumes.Volume:
    noisy = voxels + np.random.default_rng(seed).normal(0, 0.01, voxels.shape)
    return volumes.from_array(
        noisy.astype(np.float32), GRID.spacing_um, modality="fluorescence", origin_um=GRID.origin_um
    )


@pytest.fixture(scope="module")
def fixed(tissue) -> volumes.Volume:
    return _volume(tissue, 1)


@pytest.fixture(scope="module")
def bent(tissue, bend) -> volumes.Volume:
    """The tissue where ``bend`` takes it, in another tone."""
    came_from = bend.inverse()(GRID.to_world(np.indices(GRID.shape).reshape(3, -1).T))
    index = GRID.to_index(came_from).T.reshape(3, *GRID.shape)
    return _volume(_inverted(ndimage.map_coordinates(tissue, index, order=3, mode="nearest")), 2)


def _error_um(transform, truth, points: np.ndarray) -> float:
    return float(np.linalg.norm(transform(points) - truth(points), axis=1).mean())


@pytest.fixture(scope="module")
def found(fixed, bent):
    return CONFIG.build().register(fixed, bent, start=Affine.identity())


def test_a_known_deformation_is_found_across_tones(found, bend, points):
    assert found.status is Status.GOOD, found.reasons
    affine = found.transform.parts[0]
    assert _error_um(found.transform, bend, points) < 0.6 * _error_um(affine, bend, points)


def test_its_quality_says_so(found, points):
    q = found.quality
    assert q.folded_fraction == 0
    assert 0 < q.jacobian_min < 1 < q.jacobian_max
    assert q.similarity_after > q.similarity_before
    assert 0 < q.cycle_um < 6
    back = found.transform.inverse()(found.transform(points[:50]))
    np.testing.assert_allclose(back, points[:50], atol=1e-4)


def _bytes(config: DeformableConfig, fixed: volumes.Volume, moving: volumes.Volume, threads: int) -> list[bytes]:
    """What is found, to the last bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        linear, field = config.build().register(fixed, moving, start=Affine.identity()).transform.parts
    finally:
        torch.set_num_threads(before)
    return [linear.matrix.tobytes(), field.displacements_um.tobytes()]


def test_it_is_the_same_twice_whatever_the_number_of_threads(fixed, bent):
    once = _bytes(QUICK, fixed, bent, 1)
    assert once == _bytes(QUICK, fixed, bent, 1)
    assert once == _bytes(QUICK, fixed, bent, 2)


@pytest.mark.parametrize("settings", [{"diffeomorphic": True}, {"likeness": "nmi"}])
def test_other_ways_find_it_too(settings, fixed, bent, bend, points):
    config = QUICK.model_copy(update=settings)
    result = config.build().register(fixed, bent, start=Affine.identity())
    assert result.quality.folded_fraction == 0
    assert _error_um(result.transform, bend, points) < 0.7 * _error_um(result.transform.parts[0], bend, points)


def test_identical_volumes_stay(fixed, points):
    result = QUICK.build().register(fixed, fixed, start=Affine.identity())
    assert _error_um(result.transform, Affine.identity(), points) < 0.3


@pytest.mark.parametrize("inverted", [False, True])
def test_what_was_not_bent_is_not_deformed(tissue, fixed, points, inverted):
    """Noise alone makes either direction its own field; another tone makes both the same wrong one, of half a voxel."""
    moving = _volume(_inverted(tissue) if inverted else tissue, 7)
    result = QUICK.build().register(fixed, moving, start=Affine.identity())
    assert isinstance(result.transform, Affine)
    assert _error_um(result.transform, Affine.identity(), points) < 0.3
    assert result.status is LINEAR.build().register(fixed, moving, start=Affine.identity()).status
    assert "no deformation beyond" in result.reasons[-1]


def test_unlike_volumes_are_not_deformed(fixed):
    noise = np.random.default_rng(1).random(GRID.shape).astype(np.float32)
    other = volumes.from_array(noise, GRID.spacing_um, modality="CT", origin_um=GRID.origin_um)
    result = QUICK.build().register(fixed, other, start=Affine.identity())
    assert result.status is not Status.GOOD
    assert result.reasons
    assert isinstance(result.transform, Affine)


def test_a_start_that_deforms_is_refined(fixed, bent, bend, points):
    part = DisplacementField(bend.displacements_um * 0.2, bend.grid)
    result = QUICK.build().register(fixed, bent, start=part)
    assert isinstance(result.transform, Composite)
    assert result.transform.parts[0] is part
    assert _error_um(result.transform, bend, points) < 0.75 * _error_um(part, bend, points)


def test_what_the_mask_hides_does_not_pull(fixed, bent, bend, points):
    spoilt = bent.array[0].copy()
    spoilt[:, :, :12] = np.random.default_rng(3).random(spoilt[:, :, :12].shape)
    mask = np.ones(GRID.shape, bool)
    mask[:, :, :12] = False
    moving = bent.with_data(spoilt)
    result = QUICK.build().register(fixed, moving, moving_mask=mask, start=Affine.identity())
    seen = points[points[:, 2] > GRID.origin_um[2] + 20 * 3.0]
    assert isinstance(result.transform, Composite)
    assert _error_um(result.transform, bend, seen) < 0.75 * _error_um(result.transform.parts[0], bend, seen)


def test_bad_input_is_refused(fixed):
    constant = volumes.from_array(np.ones(GRID.shape), GRID.spacing_um, modality="CT", origin_um=GRID.origin_um)
    with pytest.raises(ContentError, match="constant"):
        QUICK.build().register(fixed, constant, start=Affine.identity())
    away = np.eye(4)
    away[:3, 3] = 1e6
    with pytest.raises(TransformError, match="apart"):
        QUICK.build().register(fixed, fixed, start=Affine(away))
    with pytest.raises(ConfigError, match="device"):
        DeformableConfig(device="no-such-device").build()
    with pytest.raises(ValidationError):
        DeformableConfig(stiffness=0)
    with pytest.raises(ValidationError):
        DeformableConfig.model_validate({"smothness_um": 3})
