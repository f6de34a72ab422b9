"""What a scene answers: the light of each cell by dye, tissue with and without fine structure, paths of its slab."""

import numpy as np
import pytest

from phantom.anatomy.anatomy import Anatomy
from phantom.anatomy.paths import Paths
from phantom.anatomy.tissues import CODE, TISSUES
from phantom.cells.cells import DYES, Cells
from phantom.cells.raster import Raster
from phantom.cells.shape import BUMPS
from phantom.scene import Scene
from volumes.errors import ConfigError
from volumes.volume import from_array

SHAPE = (3, 4, 5)


@pytest.fixture
def scene(rng) -> Scene:
    cells = Cells(
        number=np.array([7, 9, 4], np.int32),
        mother=np.zeros(3, np.int32),
        centre_um=np.zeros((3, 3)),
        frame_um=np.tile(np.eye(3), (3, 1, 1)),
        bumps=np.zeros((3, BUMPS)),
        body=np.full(3, 1.5),
        condensed=np.zeros(3),
        brightness=np.array([[1.0, 10.0, 100.0], [2.0, 20.0, 200.0], [3.0, 30.0, 0.0]]),
        seed=np.arange(3),
    )
    row, owner, surface = (rng.integers(-1, 3, SHAPE).astype(np.int32) for _ in range(3))
    fill, light, membrane = (rng.random(SHAPE, np.float32) for _ in range(3))
    raster = Raster(row, owner, fill, light, membrane, surface)
    codes = np.full((8, 8, 8), CODE["soft"], np.uint8)
    codes[:, :, 4:] = CODE["bone"]
    texture = rng.uniform(0.5, 1.5, codes.shape).astype(np.float32)
    anatomy = Anatomy(from_array(codes, (1, 1, 1), modality="labels"), from_array(texture, (1, 1, 1), modality="CT"))
    points = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1).astype(np.float32)
    paths = Paths(anatomy, (8, 4, 5), (1.0, 1.0, 1.0), lambda index: index)
    return Scene((1.0, 1.0, 1.0), 2, slice(1, 2), 8, points, cells, raster, anatomy, paths)


def test_every_dye_takes_its_own_column_its_own_strength_and_its_own_rows(scene):
    raster = scene.raster
    for column, name in enumerate(DYES):
        strength, row = (raster.light, raster.owner_row)
        if name == "membrane":
            strength, row = raster.membrane, raster.membrane_row
        found = scene.dye(name)
        assert found.dtype == np.float32
        for at in np.ndindex(SHAPE):
            shines = scene.cells.brightness[row[at], column] if row[at] >= 0 else 0.0
            assert found[at] == pytest.approx(strength[at] * shines, rel=1e-6)
    with pytest.raises(ConfigError, match="nuclear, membrane, swir"):
        scene.dye("gfp")


def test_a_scene_without_cells_is_dark(scene):
    nobody = np.full(SHAPE, -1, np.int32)
    ones = np.ones(SHAPE, np.float32)
    raster = Raster(nobody, nobody, 0 * ones, ones, ones, nobody)
    empty = Scene(scene.spacing_um, 0, scene.core, 8, scene.points_um, Cells.none(), raster, scene.anatomy, scene.paths)
    for name in DYES:
        assert not empty.dye(name).any()


def test_tissue_is_looked_up_at_the_points_and_textured_when_asked(scene):
    values = np.arange(len(TISSUES), dtype=float)
    codes, texture = (volume.channel()[:3, :4, :5] for volume in (scene.anatomy.labels, scene.anatomy.texture))
    np.testing.assert_allclose(scene.tissue(values), codes, rtol=1e-6)
    np.testing.assert_allclose(scene.tissue(values, textured=True), codes * texture, rtol=1e-6)


def test_a_path_is_that_of_the_slab_along_the_axis_asked_for(scene):
    values = np.zeros(len(TISSUES))
    values[CODE["soft"]] = 1000.0
    for axis in (0, 2):
        np.testing.assert_array_equal(scene.path(values, axis), scene.paths.sampled(values, axis, 2, SHAPE))
    deep = scene.path(values)[:, 1, 1]
    np.testing.assert_allclose(np.diff(deep), 1.0, atol=0.05)
    np.testing.assert_allclose(np.diff(scene.path(values, axis=2)[1, 1, :4]), 1.0, atol=0.2)
