"""Properties are sampled, and integrated along rays, as closed forms and scipy say."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from phantom.anatomy.anatomy import KEPT, Anatomy
from phantom.anatomy.paths import Paths
from phantom.anatomy.tissues import CODE, TISSUES, living
from volumes import Volume, from_array
from volumes.errors import ConfigError, ContentError, GridError

SPACING = (2.0, 1.5, 1.0)
ORIGIN = (-7.0, 3.0, 11.0)
TURN = np.roll(np.eye(3), 1, axis=0).tolist()


def values(**named):
    """A property that is 0 but for some tissues."""
    out = np.zeros(len(TISSUES))
    for name, value in named.items():
        out[CODE[name]] = value
    return out


def patchwork(rng, shape=(9, 11, 13), **more) -> Anatomy:
    """Tissues strewn at random."""
    codes = rng.integers(0, len(TISSUES), shape).astype(np.uint8)
    return Anatomy(from_array(codes, SPACING, modality="labels", origin_um=ORIGIN, **more))


def filled(shape, spacing, code="soft", where=None) -> Anatomy:
    codes = np.zeros(shape, np.uint8)
    codes[... if where is None else where] = CODE[code]
    return Anatomy(from_array(codes, spacing, modality="labels"))


def sphere(radius_um=20.0, spacing=1.0) -> tuple[Anatomy, np.ndarray]:
    """A ball in the middle of a box, and its centre."""
    n = int(2.5 * radius_um / spacing)
    axis = (np.arange(n) - (n - 1) / 2) * spacing
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    centre = np.full(3, (n - 1) / 2 * spacing)
    return filled((n, n, n), (spacing,) * 3, where=z**2 + y**2 + x**2 <= radius_um**2), centre


@pytest.mark.parametrize("direction", [np.eye(3).tolist(), TURN])
def test_sampling_is_trilinear_and_tissue_0_outside(rng, direction):
    anatomy = patchwork(rng, direction=direction)
    property_ = rng.random(len(TISSUES))
    low, high = anatomy.grid.corners_um.min(0), anatomy.grid.corners_um.max(0)
    points = rng.uniform(low - 4, high + 4, (5, 40, 30, 3)).astype(np.float32)
    found = anatomy.sampled(property_, points, SPACING)
    index = anatomy.grid.to_index(points.reshape(-1, 3)).T
    padded = np.pad(property_[anatomy.labels.channel()], 2, constant_values=property_[0])
    expected = ndimage.map_coordinates(padded, np.clip(index + 2, 0, np.array(padded.shape)[:, None] - 1), order=1)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.ravel(), expected, atol=2e-5)


def test_sampling_at_the_voxels_gives_their_tissue(rng):
    anatomy = patchwork(rng)
    index = np.stack(np.meshgrid(*map(np.arange, anatomy.grid.shape), indexing="ij"), -1)
    points = anatomy.grid.to_world(index.reshape(-1, 3)).reshape(index.shape)
    found = anatomy.sampled(np.arange(len(TISSUES)), points.astype(np.float32), SPACING)
    np.testing.assert_allclose(found, anatomy.labels.channel(), atol=1e-4)
    np.testing.assert_array_equal(anatomy.living(points.reshape(-1, 3)), living()[anatomy.labels.channel().ravel()])


def test_nothing_lives_outside():
    anatomy = filled((4, 4, 4), SPACING)
    assert anatomy.living(np.array([[3.0, 2.0, 1.0]])).all()
    assert not anatomy.living(np.array([[-1.1, 0, 0], [0, 5.3, 0], [0, 0, 1e6], [0, 0, -1e6]])).any()


def test_coarse_voxels_see_the_mean_of_what_they_hold(rng):
    """Stripes finer than the asking voxel vanish into their mean; voxels of the labels' own size keep them."""
    codes = np.zeros((40, 40, 40), np.uint8)
    codes[:, :, ::2] = CODE["yolk"]
    anatomy = Anatomy(from_array(codes, (1, 1, 1), modality="labels"))
    points = rng.uniform(15, 25, (1, 20, 20, 3)).astype(np.float32)
    points[..., 2] = np.rint(points[..., 2])
    fine = anatomy.sampled(values(yolk=1.0), points, (1, 1, 1))
    coarse = anatomy.sampled(values(yolk=1.0), points, (5, 5, 5))
    assert fine.std() > 0.45
    assert np.abs(coarse - 0.5).max() < 0.01
    assert np.abs(anatomy.sampled(values(yolk=1.0), points, (2, 1, 0.5)) - fine).max() == 0


def test_smoothing_has_the_width_of_the_box_that_is_left():
    """The variance of a point's picture is (s² − a²) / 12 along each axis, on top of the interpolation's."""
    anatomy = filled((41, 41, 41), (1, 1, 1), where=(20, 20, 20))
    index = np.stack(np.meshgrid(*[np.arange(41)] * 3, indexing="ij"), -1).astype(np.float32)
    seen = anatomy.sampled(values(soft=1.0), index, (6, 6, 6))
    for axis in range(3):
        spread = (seen * (index[..., axis] - 20) ** 2).sum() / seen.sum()
        assert spread == pytest.approx(35 / 12, rel=0.03)
    assert seen.sum() == pytest.approx(1, rel=1e-3)


def test_texture_multiplies_and_only_when_asked(rng):
    plain = patchwork(rng)
    strength = rng.uniform(0.5, 1.5, plain.grid.shape).astype(np.float32)
    texture = from_array(strength, SPACING, modality="optical", origin_um=ORIGIN)
    anatomy = Anatomy(plain.labels, texture)
    points = plain.grid.to_world(np.argwhere(strength > 0)).reshape(*plain.grid.shape, 3).astype(np.float32)
    property_ = rng.random(len(TISSUES))
    without = anatomy.sampled(property_, points, SPACING)
    np.testing.assert_array_equal(without, plain.sampled(property_, points, SPACING, textured=True))
    np.testing.assert_allclose(
        anatomy.sampled(property_, points, SPACING, textured=True), without * strength, atol=1e-4
    )


def test_answers_do_not_depend_on_what_was_asked_before(rng):
    anatomy, fresh = patchwork(rng), patchwork(np.random.default_rng(20240229))
    np.testing.assert_array_equal(anatomy.labels.channel(), fresh.labels.channel())
    points = rng.uniform(0, 15, (2, 9, 9, 3)).astype(np.float32)
    properties = rng.random((3 * KEPT, len(TISSUES)))
    asked = [anatomy.sampled(p, points, (4, 4, 4)) for p in properties]
    again = [anatomy.sampled(p, points, (4, 4, 4)) for p in properties[::-1]][::-1]
    np.testing.assert_array_equal(asked, again)
    np.testing.assert_array_equal(asked[7], fresh.sampled(properties[7], points, (4, 4, 4)))
    mutable = properties[0].copy()
    anatomy.sampled(mutable, points, (4, 4, 4))
    mutable[:] = 0
    assert not anatomy.sampled(mutable, points, (4, 4, 4)).any()


def test_box_and_centre(rng):
    anatomy = patchwork(rng, direction=TURN)
    corners = anatomy.grid.corners_um
    np.testing.assert_allclose(anatomy.centre_um, corners.mean(0))
    np.testing.assert_allclose(anatomy.extent_um, np.ptp(corners, axis=0) + np.abs(anatomy.grid.axes) @ SPACING)


def test_labels_and_textures_that_mean_nothing_are_refused(rng):
    good = patchwork(rng)
    for codes in (np.full((4, 4, 4), len(TISSUES), np.uint8), np.full((4, 4, 4), -1), np.zeros((4, 4, 4), np.float32)):
        with pytest.raises(ContentError, match="labels"):
            Anatomy(from_array(codes, SPACING, modality="labels"))
    with pytest.raises(GridError, match="texture"):
        Anatomy(good.labels, from_array(np.ones(good.grid.shape), SPACING, modality="optical"))
    broken = np.full(good.grid.shape, np.nan, np.float32)
    with pytest.raises(ContentError, match="texture"):
        Anatomy(good.labels, Volume(broken[None], good.grid, good.labels.channels))
    for wrong in (np.zeros(3), np.full(len(TISSUES), np.nan)):
        with pytest.raises(ConfigError, match="values"):
            good.sampled(wrong, np.zeros((1, 1, 1, 3), np.float32), SPACING)


def straight(offset, spacing, turn=None):
    """An instrument whose voxel (0, 0, 0) lies at ``offset`` of the specimen."""
    matrix = (np.eye(3) if turn is None else turn) * np.asarray(spacing)
    return lambda index: index @ matrix.T + offset


def chord(points, centre, along, radius):
    """Length of ray inside a ball up to each point, coming from −∞ along ``along``."""
    from_centre = points - centre
    t = from_centre @ along
    half = np.sqrt(np.maximum(radius**2 - (from_centre**2).sum(-1) + t**2, 0))
    return np.clip(t + half, 0, 2 * half)


@pytest.mark.parametrize("axis", [0, 2])
@pytest.mark.parametrize("turn_deg", [(0, 0, 0), (20, -15, 30)])
def test_rays_through_a_ball_have_the_length_of_its_chord(axis, turn_deg):
    """The field of view starts in the middle of the ball; the way through the part before it counts too."""
    anatomy, centre = sphere()
    turn = Rotation.from_rotvec(np.radians(turn_deg)).as_matrix()
    spacing, shape = (1.5, 1.0, 0.8), (14, 26, 30)
    to_specimen = straight(centre - turn @ (4.0, 13.0, 10.0), spacing, turn)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1).reshape(-1, 3).astype(float)
    found = Paths(anatomy, shape, spacing, to_specimen).sampled(values(soft=3.0), axis, 0, shape)
    expected = 3.0e-3 * chord(to_specimen(index), centre, turn[:, axis], 20.0)
    assert np.median(expected[index[:, axis] == 0]) > 0.02
    assert found.dtype == np.float32
    off = np.abs(found.ravel() - expected) / 3.0e-3
    grazing = np.linalg.norm(np.cross(to_specimen(index) - centre, turn[:, axis]), axis=1) > 17.0
    assert off[~grazing].max() < 1.5  # µm of tissue; the ball's voxels are 1 µm
    assert off.mean() < 0.4


def test_a_specimen_wholly_before_the_field_of_view_casts_its_shadow():
    anatomy, centre = sphere()
    to_specimen = straight(centre + np.array((60.0, -2.0, -2.0)), (1.0, 1.0, 1.0))
    found = Paths(anatomy, (6, 5, 5), (1.0, 1.0, 1.0), to_specimen).sampled(values(soft=1.0), 0, 0, (6, 5, 5))
    np.testing.assert_allclose(found, 0.040, atol=0.001)


def test_a_field_of_view_beside_the_specimen_is_clear():
    anatomy, centre = sphere()
    to_specimen = straight(centre + np.array((0.0, 80.0, 0.0)), (1.0, 1.0, 1.0))
    found = Paths(anatomy, (6, 5, 5), (1.0, 1.0, 1.0), to_specimen).sampled(values(soft=1.0), 0, 0, (6, 5, 5))
    assert not found.any()


def test_slabs_with_halo_give_the_same_bytes_as_the_whole():
    anatomy, centre = sphere()
    shape, spacing = (20, 18, 22), (2.0, 2.0, 2.0)
    paths = Paths(anatomy, shape, spacing, straight(centre - 20.0, spacing))
    for axis in (0, 2):
        whole = paths.sampled(values(soft=1.0), axis, -4, (28, 18, 22))
        for first in (-4, 3, 15):
            part = paths.sampled(values(soft=1.0), axis, first, (6, 18, 22))
            np.testing.assert_array_equal(part, whole[first + 4 : first + 10])
    beyond = paths.sampled(values(soft=1.0), 0, 10**6, (1, 18, 22))
    assert (beyond >= whole[-1:].min()).all()
    assert beyond.max() == pytest.approx(0.040, abs=0.001)


def test_paths_follow_a_map_that_is_not_linear():
    """A map that folds rays into parabolas, against a brute-force sum along each of them."""
    anatomy, centre = sphere()
    bend = lambda index: (  # noqa: E731
        index + centre - 10 + np.stack([0 * index[:, 0], 0.02 * (index[:, 0] - 9) ** 2, 0 * index[:, 0]], -1)
    )
    shape = (20, 12, 12)
    found = Paths(anatomy, shape, (1.0, 1.0, 1.0), bend).sampled(values(soft=2.0), 0, 0, shape)
    steps = np.arange(-60, 19.0, 0.25)
    for y, x in ((0, 0), (5, 7), (11, 3)):
        line = bend(np.stack(np.broadcast_arrays(steps, float(y), float(x)), -1)).astype(np.float32)
        at = anatomy.sampled(values(soft=2.0), line[None, None], (1, 1, 1))[0, 0]
        assert found[-1, y, x] == pytest.approx(at.sum() * 0.25e-3, abs=2e-3)


def test_integrals_add_up_and_never_fall(rng):
    anatomy = patchwork(rng)
    paths = Paths(anatomy, (9, 9, 9), (2.0, 2.0, 2.0), straight(np.array(ORIGIN), (2.0, 2.0, 2.0)))
    a, b = rng.random((2, len(TISSUES)))
    for axis in (0, 2):
        together = paths.sampled(a + b, axis, 0, (9, 9, 9))
        apart = paths.sampled(a, axis, 0, (9, 9, 9)) + paths.sampled(b, axis, 0, (9, 9, 9))
        np.testing.assert_allclose(together, apart, rtol=1e-4)
        assert (np.diff(together, axis=axis) >= 0).all()


def test_another_axis_is_refused():
    anatomy, centre = sphere(5.0)
    paths = Paths(anatomy, (4, 4, 4), (1.0, 1.0, 1.0), straight(centre, (1, 1, 1)))
    with pytest.raises(ConfigError, match="axis"):
        paths.sampled(values(soft=1.0), 1, 0, (4, 4, 4))
