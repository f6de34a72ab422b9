"""The pose of a volume in a picture: found from any rotation, doubted where others are as good, or refused."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

import volumes
from registration import Registrar, Status
from registration.projection.projection import ProjectionConfig
from volumes import Affine, Grid, Volume
from volumes.errors import ConfigError, ContentError, HeaderError, TransformError

QUICK = ProjectionConfig(rotations=500, starts=10)
SIDE, PIXEL = 72, 2.5
TURNED = np.array([[0.0, 0.6, 0.8], [1.0, 0.0, 0.0], [0.0, 0.8, -0.6]])
"""Picture axes that are neither the world's nor a rotation of them: left-handed is legal."""


def photographed(brightness, truth: Affine, axes: np.ndarray, noise: float = 0.02, fading: float = 0.0) -> Volume:
    """Sums along the rays of a camera, from the specimen's own formula: no code is shared with what is tested."""
    steps = (np.arange(SIDE) - (SIDE - 1) / 2) * PIXEL
    q = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    light = brightness(truth.inverse()(q @ axes.T)).reshape(SIDE, SIDE, SIDE)
    tissue = np.cumsum(light > 0.05, axis=0) * PIXEL
    image = (light * np.exp(-fading * tissue)).sum(axis=0)
    image = image / image.max() + np.random.default_rng(1).normal(0, noise, image.shape)
    corner = axes @ np.array([0.0, steps[0], steps[0]])
    return volumes.from_array(
        image[None].astype(np.float32),
        (1.0, PIXEL, PIXEL),
        modality="SWIR",
        origin_um=tuple(corner),
        direction=tuple(map(tuple, axes)),
    )


def in_plane_um(found: Affine, truth: Affine, points: np.ndarray, axes: np.ndarray) -> float:
    return float(np.linalg.norm(((found(points) - truth(points)) @ axes)[:, 1:], axis=1).mean())


@pytest.fixture(scope="module")
def volume(specimen):
    return specimen.seen(Grid((30, 33, 36), (3.6, 3.6, 3.6), (-54.0, -60.0, -66.0)), tone=lambda b: np.sqrt(b))


@pytest.fixture(scope="module")
def pose():
    return Affine.rigid((1.1, -1.9, 0.7), (9.0, 6.0, -8.0))


@pytest.fixture(scope="module")
def photograph(specimen, pose):
    return photographed(specimen, pose, np.eye(3))


@pytest.fixture(scope="module")
def found(volume, photograph):
    return QUICK.build().register(volume, photograph)


def test_any_pose_is_found_in_another_contrast(found, pose, points):
    assert found.status is Status.GOOD, found.reasons
    assert in_plane_um(found.transform, pose, points, np.eye(3)) < 2.0
    assert found.quality.similarity_after > found.quality.similarity_before
    assert found.quality.overlap == 1.0


def test_the_result_is_rigid_and_the_volume_lies_on_the_plane(found, volume, photograph):
    linear = found.transform.matrix[:3, :3]
    np.testing.assert_allclose(linear.T @ linear, np.eye(3), atol=1e-9)
    assert np.linalg.det(linear) == pytest.approx(1)
    there = (found.transform(volume.grid.centre_um) - photograph.grid.centre_um) @ photograph.grid.axes
    assert there[0, 0] == pytest.approx(0, abs=1e-9)
    assert any("depth" in reason for reason in found.reasons)


def test_two_runs_are_bit_identical(found, volume, photograph):
    again = QUICK.build().register(volume, photograph)
    assert again.transform == found.transform
    assert again.quality == found.quality


def test_the_other_way_round_is_the_inverse(found, volume, photograph):
    back = QUICK.build().register(photograph, volume)
    np.testing.assert_allclose(back.transform.matrix, np.linalg.inv(found.transform.matrix), atol=1e-9)
    assert back.quality == found.quality


@pytest.mark.parametrize("fading", [0.0, 0.02])
def test_light_that_fades_is_solved_for_on_a_turned_left_handed_camera(specimen, volume, points, pose, fading):
    seen = photographed(specimen, pose, TURNED, fading=fading)
    result = QUICK.build().register(volume, seen)
    assert in_plane_um(result.transform, pose, points, TURNED) < 2.5
    assert np.linalg.det(result.transform.matrix[:3, :3]) == pytest.approx(1)


def test_a_start_is_refined_and_search_left_out(volume, photograph, points, pose, found):
    near = Affine(Affine.rigid((0.05, -0.06, 0.04), (90.0, 3.0, -4.0)).matrix @ pose.matrix)
    result = QUICK.build().register(volume, photograph, start=near)
    assert in_plane_um(result.transform, pose, points, np.eye(3)) < 2.0
    assert result.quality.evaluations < found.quality.evaluations
    back = QUICK.build().register(photograph, volume, start=near.inverse())
    np.testing.assert_allclose(back.transform.matrix, np.linalg.inv(result.transform.matrix), atol=1e-9)


def test_the_magnification_is_solved_for(specimen, volume, points, pose):
    larger = np.diag([1.1, 1.1, 1.1, 1.0]) @ pose.matrix
    seen = photographed(specimen, Affine(larger), np.eye(3))
    config = QUICK.model_copy(update={"scale": True})
    result = config.build().register(volume, seen, start=pose)
    assert np.cbrt(result.quality.jacobian_min) == pytest.approx(1.1, abs=0.02)
    assert in_plane_um(result.transform, Affine(larger), points, np.eye(3)) < 2.0


def test_a_symmetric_specimen_has_rivals_and_says_so():
    index = np.stack(np.meshgrid(*[np.arange(30.0)] * 3, indexing="ij"), -1) - 14.5
    radius = np.linalg.norm(index / [6.0, 8.0, 11.0], axis=-1)
    egg = volumes.from_array(np.exp(-(radius**4)).astype(np.float32), (3.0, 3.0, 3.0), modality="CT")
    seen = volumes.from_array(egg.array[0].sum(axis=0)[None], (3.0, 3.0, 3.0), modality="SWIR")
    result = QUICK.build().register(egg, seen)
    assert result.status is Status.DOUBTFUL
    assert result.quality.spread_um > 10


def test_noise_is_not_called_good(volume, rng):
    noise = volumes.from_array(rng.random((1, 64, 64)).astype(np.float32), (1.0, 2.5, 2.5), modality="SWIR")
    assert QUICK.build().register(volume, noise).status is Status.FAILED


def test_a_picture_of_another_specimen_is_not_called_good(volume):
    rng = np.random.default_rng(8)
    centres, widths = rng.uniform(-35, 35, (14, 3)), rng.uniform(6, 14, 14)

    def other(points: np.ndarray) -> np.ndarray:
        return np.exp(-((points[:, None] - centres) ** 2).sum(-1) / (2 * widths**2)).sum(axis=1)

    seen = photographed(other, Affine.identity(), np.eye(3))
    assert QUICK.build().register(volume, seen).status is not Status.GOOD


@pytest.mark.parametrize("model", ["silhouette", "max"])
def test_other_models_hold_a_pose_near_its_start(specimen, points, pose, model):
    def tone(brightness: np.ndarray) -> np.ndarray:
        return (brightness > 0.2).astype(float) if model == "silhouette" else brightness

    grid = Grid((30, 33, 36), (3.6, 3.6, 3.6), (-54.0, -60.0, -66.0))
    steps = (np.arange(SIDE) - (SIDE - 1) / 2) * PIXEL
    q = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    largest = tone(specimen(pose.inverse()(q))).reshape(SIDE, SIDE, SIDE).max(axis=0)
    seen = volumes.from_array(
        largest[None].astype(np.float32), (1.0, PIXEL, PIXEL), modality="SWIR", origin_um=(0.0, steps[0], steps[0])
    )
    near = Affine(Affine.rigid((0.06, -0.05, 0.08), (0.0, -5.0, 4.0)).matrix @ pose.matrix)
    result = ProjectionConfig(model=model).build().register(specimen.seen(grid, tone=tone), seen, start=near)
    assert in_plane_um(result.transform, pose, points, np.eye(3)) < 4.0
    assert in_plane_um(near, pose, points, np.eye(3)) > 5.0


def test_two_pictures_and_two_volumes_are_refused(volume, photograph):
    for pair in ((volume, volume), (photograph, photograph)):
        with pytest.raises(ContentError, match="single plane"):
            QUICK.build().register(*pair)


@pytest.mark.parametrize("which", ["volume", "picture"])
def test_bad_voxels_and_masks_are_refused(volume, photograph, which):
    good = {"volume": volume, "picture": photograph}
    nan = good[which].array[0].copy()
    nan[0, 3, 4] = np.nan
    for bad in (nan, np.zeros_like(nan), np.full_like(nan, 7)):
        pair = good | {which: good[which].with_data(bad)}
        with pytest.raises(ContentError) as caught:
            QUICK.build().register(pair["volume"], pair["picture"])
        assert caught.value.field == {"volume": "fixed", "picture": "moving"}[which]
    field = {"volume": "fixed_mask", "picture": "moving_mask"}[which]
    for mask in (np.zeros(good[which].grid.shape, bool), np.ones((2, 2, 2), bool)):
        with pytest.raises(ContentError, match="mask"):
            QUICK.build().register(volume, photograph, **{field: mask})


def test_millimetres_for_micrometres_are_refused(volume, photograph):
    for factor in (1e-3, 1e3):
        spacing = np.array(photograph.grid.spacing_um) * factor
        wrong = volumes.from_array(photograph.array, spacing, modality="SWIR")
        with pytest.raises(HeaderError):
            QUICK.build().register(volume, wrong)


def test_a_picture_without_an_outline_has_no_silhouette(volume):
    dark = np.zeros((1, 64, 64), np.float32)
    dark[0, 3, 3] = 1.0
    speck = volumes.from_array(dark, (1.0, 2.5, 2.5), modality="SWIR")
    with pytest.raises(ContentError, match="silhouette"):
        ProjectionConfig(model="silhouette").build().register(volume, speck)


def test_impossible_starts_are_refused(volume, photograph):
    far = Affine.rigid(translation_um=(0.0, 1e4, 0.0))
    mirror = Affine(np.diag([1.0, 1.0, -1.0, 1.0]))
    for start in (far, mirror):
        with pytest.raises(TransformError) as caught:
            QUICK.build().register(volume, photograph, start=start)
        assert caught.value.field == "start"


def test_settings_are_closed():
    assert ProjectionConfig.model_validate({"kind": "projection"}) == ProjectionConfig()
    registrar: Registrar = ProjectionConfig().build()
    assert registrar.register.__name__ == "register"
    for wrong in ({"model": "sums"}, {"rotation": 5}, {"attenuation_per_um": -1}, {"attenuation_per_um": np.nan}):
        with pytest.raises(ValidationError):
            ProjectionConfig.model_validate(wrong)
    with pytest.raises(ConfigError, match="fade"):
        ProjectionConfig(model="sum", attenuation_per_um=0.1).build()
