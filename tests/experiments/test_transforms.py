"""Transforms beside their inverses, as files that other programs read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from experiments.transforms import write_both_ways
from volumes import Affine, Composite, DisplacementField, Grid, read_transform
from volumes.errors import TransformError

FIXED = Grid((20, 24, 28), (2.0, 1.5, 1.5), (-20.0, -18.0, -21.0))
MOVING = Grid((30, 32, 36), (1.5, 1.5, 1.5), (-22.0, -24.0, -27.0))
LINEAR = Affine.rigid((0.1, -0.05, 0.08), (1.0, -2.0, 1.5))
POINTS = np.random.default_rng(3).uniform(-10, 10, (200, 3))


def bent(height_um: float) -> Composite:
    """A bump in the middle of the fixed field, before the linear map."""
    index = np.stack(np.meshgrid(*map(np.arange, FIXED.shape), indexing="ij"), -1)
    square = (FIXED.to_world(index.reshape(-1, 3)) ** 2).sum(axis=1).reshape(FIXED.shape)
    field = np.zeros((*FIXED.shape, 3))
    field[..., 1] = height_um * np.exp(-square / 72.0)
    return Composite((LINEAR, DisplacementField(field, FIXED).tapered(2)))


def itk_points(path: Path, points: np.ndarray) -> np.ndarray:
    """Where SimpleITK's reading of a file brings (z, y, x) µm."""
    transform = SimpleITK.ReadTransform(str(path))
    return np.array([transform.TransformPoint((p[::-1] / 1000).tolist()) for p in points])[:, ::-1] * 1000


@pytest.mark.parametrize(("transform", "suffix"), [(LINEAR, ".tfm"), (bent(1.5), ".h5")])
def test_simpleitk_goes_there_and_back_by_the_files(tmp_path, transform, suffix):
    paths = write_both_ways(transform, FIXED, MOVING, tmp_path, "ct", "ct.inverse")
    assert [path.name for path in paths] == [f"ct{suffix}", f"ct.inverse{suffix}"]
    there = itk_points(paths[0], POINTS)
    np.testing.assert_allclose(there, transform(POINTS), atol=1e-6)
    np.testing.assert_allclose(itk_points(paths[1], there), POINTS, atol=0.1)
    np.testing.assert_allclose(read_transform(paths[1])(there), POINTS, atol=0.1)


def test_an_inverse_within_the_way_is_sampled_since_no_file_holds_it(tmp_path):
    backwards = bent(1.5).inverse()
    path, _ = write_both_ways(backwards, MOVING, FIXED, tmp_path, "a", "b")
    np.testing.assert_allclose(itk_points(path, LINEAR(POINTS)), backwards(LINEAR(POINTS)), atol=0.1)


def test_the_file_of_the_other_kind_does_not_stay(tmp_path):
    write_both_ways(bent(1.5), FIXED, MOVING, tmp_path, "ct", "ct.inverse")
    write_both_ways(LINEAR, FIXED, MOVING, tmp_path, "ct", "ct.inverse")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ct.inverse.tfm", "ct.tfm"]


def test_a_transform_that_folds_has_no_inverse_to_write(tmp_path):
    with pytest.raises(TransformError, match="inverse"):
        write_both_ways(bent(30.0), FIXED, MOVING, tmp_path, "ct", "ct.inverse")
