"""Registration from end to end: known motions are found, and what cannot be right is refused or marked."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import numpy as np
import pytest
from pydantic import ValidationError

import registration
import volumes
from registration import Registrar, RigidConfig, Status, register
from volumes import Affine, Composite, Grid
from volumes.errors import ConfigError, ContentError, HeaderError, TransformError

TRUTH = Affine.rigid((0.25, -0.3, 0.2), (8.0, -6.0, 10.0))
LARGE = Affine.rigid((1.0, 2.0, -0.6), (-4.0, 9.0, 3.0))
TOLERANCE_UM = 0.6
"""A fifth of a voxel."""


def off_um(found: Affine, truth: Affine, points: np.ndarray) -> float:
    return float(np.linalg.norm(found(points) - truth(points), axis=1).mean())


@pytest.fixture(scope="module")
def fixed(specimen):
    return specimen.seen()


@pytest.fixture(scope="module")
def moved(specimen):
    return specimen.seen(transform=TRUTH)


@pytest.fixture(scope="module")
def found(fixed, moved):
    return register(fixed, moved)


def test_a_known_motion_is_found(found, points):
    assert found.status is Status.GOOD
    assert found.reasons == ()
    assert off_um(found.transform, TRUTH, points) < TOLERANCE_UM
    assert found.quality.rotation_deg == pytest.approx(TRUTH.rotation_deg, abs=1)
    assert found.quality.similarity_after > found.quality.similarity_before
    assert found.quality.jacobian_min == found.quality.jacobian_max == pytest.approx(1)
    assert found.quality.overlap > 0.9


def test_the_result_is_rigid(found):
    linear = found.transform.matrix[:3, :3]
    np.testing.assert_allclose(linear.T @ linear, np.eye(3), atol=1e-9)


def test_the_way_back_is_the_inverse(fixed, moved, found, points):
    back = register(moved, fixed)
    there_and_back = found.transform.inverse().matrix
    assert off_um(back.transform, Affine(there_and_back), points) < TOLERANCE_UM


def test_two_runs_are_bit_identical(fixed, moved, found):
    again = register(fixed, moved)
    assert again.transform == found.transform
    assert again.quality == found.quality


def test_what_lies_right_stays(fixed, points):
    still = register(fixed, fixed)
    assert still.status is Status.GOOD
    assert off_um(still.transform, Affine.identity(), points) < 0.05


@pytest.mark.parametrize(
    "tone",
    [lambda b: 1.5 - b, lambda b: np.sin(4 * b), lambda b: 1000 * b**2 - 300],
    ids=["inverted", "folded", "scaled"],
)
def test_another_contrast_is_no_hindrance(specimen, fixed, points, tone):
    moving = specimen.seen(transform=TRUTH, tone=tone, noise=0.01 * np.ptp(tone(np.linspace(0, 1.2, 50))))
    result = register(fixed, moving)
    assert result.status is not Status.FAILED
    assert off_um(result.transform, TRUTH, points) < TOLERANCE_UM


def test_any_rotation_is_found_and_no_mirror_image(specimen, fixed, points):
    result = register(fixed, specimen.seen(transform=LARGE))
    assert off_um(result.transform, LARGE, points) < TOLERANCE_UM
    mirrored = fixed.with_data(fixed.array[0][:, :, ::-1])
    assert np.linalg.det(register(fixed, mirrored).transform.matrix[:3, :3]) == pytest.approx(1)


def test_voxels_need_not_be_cubes(specimen, points):
    thick = Grid((14, 60, 66), (8.0, 2.0, 2.0), (-54.0, -60.0, -66.0))
    result = register(specimen.seen(thick), specimen.seen(transform=TRUTH))
    assert off_um(result.transform, TRUTH, points) < 2 * TOLERANCE_UM


def test_the_world_counts_not_the_grid(specimen, fixed, found, points):
    """The same moved specimen on a left-handed, turned, shifted and finer grid gives the same world transform."""
    turn = Affine.rigid((0.5, 0.3, -0.7)).matrix[:3, :3] @ np.diag([1.0, 1.0, -1.0])
    shape, spacing = (50, 54, 52), (2.6, 2.5, 2.7)
    middle = turn @ ((np.array(shape) - 1) / 2 * spacing)
    centre = TRUTH(points).mean(axis=0)
    grid = Grid(shape, spacing, tuple(centre - middle), tuple(map(tuple, turn)))
    result = register(fixed, specimen.seen(grid, transform=TRUTH))
    assert off_um(result.transform, TRUTH, points) < TOLERANCE_UM
    assert off_um(result.transform, found.transform, points) < TOLERANCE_UM


def test_volumes_far_apart_in_the_world_are_brought_together(specimen, fixed, points):
    away = Affine.rigid((0.1, 0.2, 0.1), (5000.0, -3000.0, 1000.0))
    there = Grid((36, 40, 44), (3.0, 3.0, 3.0), (4946.0, -3060.0, 934.0))
    result = register(fixed, specimen.seen(there, transform=away))
    assert result.status is Status.GOOD
    assert result.quality.similarity_before == 1.0
    assert off_um(result.transform, away, points) < TOLERANCE_UM


def test_a_few_planes_find_their_place_in_the_whole(specimen, fixed, points):
    planes = Grid((11, 40, 44), (3.0, 3.0, 3.0), (-12.0, -60.0, -66.0))
    tilt = Affine.rigid((0.05, 0.1, -0.08), (3.0, 2.0, -4.0))
    result = register(fixed, specimen.seen(planes, transform=tilt))
    assert off_um(result.transform, tilt, points) < 2 * TOLERANCE_UM


def test_masked_rubbish_does_not_pull(specimen, fixed, moved, points, rng):
    rubbish = moved.array[0].copy()
    mask = np.ones(rubbish.shape, bool)
    mask[:, :9] = False
    rubbish[:, :9] = 3 + rng.random(rubbish[:, :9].shape)
    spoilt = moved.with_data(rubbish)
    result = register(fixed, spoilt, moving_mask=mask)
    assert off_um(result.transform, TRUTH, points) < TOLERANCE_UM
    invalid = volumes.Volume(spoilt.data, spoilt.grid, spoilt.channels, valid=mask)
    assert register(fixed, invalid).transform == result.transform
    swapped = register(spoilt, fixed, fixed_mask=mask)
    assert off_um(swapped.transform.inverse(), TRUTH, points) < TOLERANCE_UM


def test_the_asked_channel_is_registered(specimen, fixed, moved, points, rng):
    noise = rng.random(moved.grid.shape).astype(np.float32)
    both = volumes.from_array(
        np.stack([noise, moved.array[0]]),
        moved.grid.spacing_um,
        modality="fluorescence",
        origin_um=moved.grid.origin_um,
    )
    result = register(fixed, both, RigidConfig(moving_channel=1))
    assert off_um(result.transform, TRUTH, points) < TOLERANCE_UM


def test_a_start_is_refined_and_search_left_out(fixed, moved, points):
    near = Affine.rigid((0.2, -0.2, 0.15), (5.0, -4.0, 8.0))
    result = register(fixed, moved, start=near)
    assert off_um(result.transform, TRUTH, points) < TOLERANCE_UM
    composite = Composite((near, Affine.identity()))
    assert register(fixed, moved, start=composite).transform == result.transform


def test_search_without_rotations_still_finds_small_motions(fixed, specimen, points):
    small = Affine.rigid((0.05, 0.1, -0.05), (4.0, 3.0, -2.0))
    result = register(fixed, specimen.seen(transform=small), RigidConfig(rotations=0))
    assert off_um(result.transform, small, points) < TOLERANCE_UM


def test_noise_on_noise_fails(rng):
    one, two = (volumes.from_array(rng.random((24, 24, 24)), (2.0, 2.0, 2.0), modality="MRI") for _ in range(2))
    result = register(one, two)
    assert result.status is Status.FAILED
    assert any("chance" in reason for reason in result.reasons)


def test_a_ball_fits_any_way_round_and_says_so():
    index = np.stack(np.meshgrid(*[np.arange(32.0)] * 3, indexing="ij"), -1) - 15.5
    shell = np.exp(-(((np.linalg.norm(index, axis=-1) - 9) / 2) ** 2))
    ball = volumes.from_array(shell, (2.0, 2.0, 2.0), modality="MRI")
    result = register(ball, ball)
    assert result.status is Status.DOUBTFUL
    assert result.quality.spread_um > 4


@pytest.mark.parametrize("which", ["fixed", "moving"])
def test_bad_voxels_are_refused(fixed, which):
    for bad in (np.zeros(fixed.grid.shape), np.full(fixed.grid.shape, 3.0), _with_nan(fixed)):
        pair = {"fixed": fixed, "moving": fixed, which: fixed.with_data(bad)}
        with pytest.raises(ContentError) as caught:
            register(**pair)
        assert caught.value.field == which


def test_empty_masks_are_refused(fixed):
    with pytest.raises(ContentError, match="empty"):
        register(fixed, fixed, fixed_mask=np.zeros(fixed.grid.shape, bool))
    with pytest.raises(ContentError, match="empty"):
        register(fixed, fixed, moving_mask=np.zeros(fixed.grid.shape, bool))


def test_millimetres_for_micrometres_are_refused(fixed):
    tiny = volumes.from_array(fixed.array, np.array(fixed.grid.spacing_um) / 1000, modality="fluorescence")
    for pair in ((fixed, tiny), (tiny, fixed)):
        with pytest.raises(HeaderError, match="fields of view"):
            register(*pair)


@pytest.mark.parametrize(
    "start",
    [
        Affine.rigid(translation_um=(1e4, 0.0, 0.0)),
        Affine(np.diag([1.0, 1.0, -1.0, 1.0])),
    ],
    ids=["apart", "mirror"],
)
def test_impossible_starts_are_refused(fixed, moved, start):
    with pytest.raises(TransformError) as caught:
        register(fixed, moved, start=start)
    assert caught.value.field == "start"


def test_a_start_that_is_not_linear_is_refused(fixed, moved):
    class Bend:
        def __call__(self, points):
            return np.asarray(points) ** 2

        def inverse(self):
            return self

    with pytest.raises(TransformError, match="linear"):
        register(fixed, moved, start=Bend())


def test_unknown_kinds_and_settings_are_refused(fixed):
    with pytest.raises(ConfigError, match="no such registration"):
        register(fixed, fixed, "rigidd")
    with pytest.raises(ValidationError):
        RigidConfig(rotation=5)
    with pytest.raises(ValidationError):
        RigidConfig(bins=0)
    with pytest.raises(ContentError, match="channel"):
        register(fixed, fixed, RigidConfig(fixed_channel=4))


def test_a_built_config_is_a_registrar(fixed, moved, found):
    registrar: Registrar = RigidConfig().build()
    assert registrar.register(fixed, moved).transform == found.transform
    assert RigidConfig.model_validate({"kind": "rigid"}) == RigidConfig()


def test_the_face_is_light_and_complete():
    heavy = ("torch", "monai", "SimpleITK", "skimage", "pandas", "matplotlib")
    code = f"import registration, sys; sys.exit(any(m in sys.modules for m in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert all(hasattr(registration, name) for name in registration.__all__)


@pytest.mark.parametrize(("pair", "limit_mm"), [("T1-T2", 1.0), ("T1-CT", 3.0)])
def test_real_brains_of_two_instruments(bench, pair, limit_mm):
    """A turn of up to 20° and a shift of up to 20 mm about each axis, at 2 mm, within half a voxel (MR) or 1½ (CT)."""
    from experiments.bench.registration_ours import as_volume

    spec = importlib.util.spec_from_file_location("registration_cases", bench / "registration_cases.py")
    cases = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(cases)
    fixed, moving, points, truth = cases.make_case(pair, "rigid", 0)
    found = registration.register(as_volume(fixed, 1000.0), as_volume(moving, 1000.0))
    there = found.transform(points[:, ::-1] * 1000.0)[:, ::-1] / 1000.0
    assert found.status.value == "good"
    assert np.linalg.norm(there - truth, axis=1).mean() < limit_mm


def _with_nan(volume):
    voxels = volume.array[0].copy()
    voxels[2, 3, 4] = np.nan
    return voxels
