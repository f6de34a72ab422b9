"""Drawing on demand: an acquisition is what its pose, its cells and its instrument say, however it is asked for."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from phantom import acquisition as drawing
from phantom.acquisition import Acquisition
from phantom.anatomy.anatomy import Anatomy
from phantom.anatomy.tissues import CODE
from phantom.cells.cells import Cells
from phantom.cells.history import History
from phantom.cells.shape import BUMPS
from phantom.cells.texture import Look
from phantom.instruments.instrument import InstrumentConfig, Picture
from phantom.pose import posed
from volumes.volume import Channel, from_array

SHAPE, SPACING = (11, 16, 18), (3.0, 2.0, 1.5)
SIZE = 60.0
TIMES = (5.0, 10.0, 20.0)


@dataclass(frozen=True, eq=False)
class Ruler:
    """Writes a random number a voxel, and as its clean picture the specimen's z under each voxel."""

    halo_um: float = 0.0
    projects: bool = False
    scenes: list[Any] = field(default_factory=list)

    channel: ClassVar[Channel] = Channel("ruler", "fluorescence", 500.0)
    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.uint16)

    def take(self, scene, noise):
        self.scenes.append(scene)
        clean = scene.points_um[scene.core, ..., 0]
        if self.projects:
            clean = clean.sum(0, keepdims=True)
        assert len(noise) == len(clean)
        image = np.stack([rng.integers(0, 1 << 16, clean.shape[1:]) for rng in noise])
        return Picture(image.astype(np.uint16), clean)


def ellipsoids(rng: np.random.Generator, first: int = 1) -> Cells:
    """Smooth, turned ellipsoids on a lattice that reaches beyond the field on all sides; none meets another."""
    places = (np.stack(np.meshgrid(*[np.arange(5)] * 3, indexing="ij"), -1).reshape(-1, 3) - 2.0) * 14.0
    n = len(places)
    turn = np.linalg.qr(rng.standard_normal((n, 3, 3)))[0]
    turn[:, :, 0] *= np.linalg.det(turn)[:, None]
    return Cells(
        number=np.arange(first, first + n, dtype=np.int32),
        mother=np.zeros(n, np.int32),
        centre_um=places + rng.uniform(-1, 1, (n, 3)),
        frame_um=turn * rng.uniform(3, 6, (n, 1, 3)),
        bumps=np.zeros((n, BUMPS)),
        body=np.full(n, 1.2),
        condensed=np.zeros(n),
        brightness=np.ones((n, 3)),
        seed=np.arange(n, dtype=np.int64),
    )


def acquired(name: str = "one", seed: int = 3, first: int = 1, ruler: Ruler | None = None, **pose) -> Acquisition:
    codes = np.full((20, 20, 20), CODE["soft"], np.uint8)
    anatomy = Anatomy(from_array(codes, (3, 3, 3), modality="labels", origin_um=(-28.5,) * 3))
    config = InstrumentConfig(**{"shape": SHAPE, "spacing_um": SPACING, "frames": len(TIMES), **pose})
    place = posed(config, anatomy.centre_um, anatomy.extent_um, seed, name)
    history = History(np.array([0.0, 20.0]), (ellipsoids(np.random.default_rng(1), first),) * 2)
    return Acquisition(name, ruler or Ruler(), place, TIMES, anatomy, history, Look(), seed)


@pytest.fixture
def thin(monkeypatch):
    """Slabs of two planes each."""
    monkeypatch.setattr(drawing, "SLAB_VOXELS", 2 * SHAPE[1] * SHAPE[2])


def voxels(seen: Acquisition) -> np.ndarray:
    """Indices of the whole grid, (n, 3)."""
    return np.stack(np.meshgrid(*map(np.arange, seen.pose.grid.shape), indexing="ij"), -1).reshape(-1, 3).astype(float)


MOVED = {"rotation_deg": (20.0, -35.0, 50.0), "scale": (1.1, 0.8, 0.9), "axes": ("x", "-z", "y"), "drift_um": 1.5}


FLAT = {"shape": (8, 25, 25), "spacing_um": (6.0, 1.0, 1.0), "axes": ("x", "-z", "y")}


@pytest.mark.parametrize(
    "pose", [{}, MOVED, {**MOVED, "deformation_um": 1.0}, FLAT], ids=["plain", "moved", "bent", "flat"]
)
def test_labels_are_the_cells_that_hold_each_voxels_centre(thin, pose):
    """Against the question asked of every cell at every voxel, cells with a centre outside of the field included."""
    seen = acquired(**pose)
    cells = seen.cells(0)
    for frame in (0, 2):
        at = seen.pose.specimen(seen.grid.to_world(voxels(seen)), frame)
        inner = np.einsum("nij,npj->npi", np.linalg.inv(cells.frame_um), at[None] - cells.centre_um[:, None])
        holds = np.linalg.norm(inner, axis=-1)
        expected = np.where(holds.min(0) <= 1, cells.number[holds.argmin(0)], 0)
        clear = np.abs(holds - 1).min(0) > 1e-4
        found = seen.labels()[frame].channel().ravel()
        np.testing.assert_array_equal(found[clear], expected[clear])
        assert len(np.unique(found)) > 10
        centre = seen.grid.to_index(seen.pose.world(cells.centre_um, frame))
        beyond = cells.number[((centre < -0.5) | (centre > np.array(seen.grid.shape) - 0.5)).any(1)]
        assert np.isin(beyond, found).any()


@pytest.mark.parametrize("drift", [0.0, 1.5])
def test_points_are_those_of_the_pose_at_every_frame_in_any_order(thin, drift):
    """A stage that moves must not be answered with the points of another frame, nor one slab with those of another."""
    seen = acquired(drift_um=drift, rotation_deg=(20.0, -35.0, 50.0))
    for frame in (2, 0, 1, 2):
        expected = seen.pose.specimen(seen.grid.to_world(voxels(seen)), frame)[:, 0]
        np.testing.assert_allclose(seen.clean()[frame].channel().ravel(), expected, atol=1e-5)
    assert len(seen._points_of) == (drift == 0)


def test_points_of_a_still_stage_are_found_once(monkeypatch):
    seen, asked = acquired(), []
    plain = type(seen.pose).specimen
    monkeypatch.setattr(type(seen.pose), "specimen", lambda *args: asked.append(args) or plain(*args))
    for frame in (0, 1, 2):
        seen.drawn(frame, 0)
    assert len(asked) == SHAPE[0]


def test_a_scene_has_its_planes_its_halo_and_its_clock(thin):
    seen = acquired(ruler=Ruler(halo_um=4.0))
    assert (seen.slab_planes, seen.slabs) == (2, 6)
    scene = seen.scene(1, 5)
    assert (scene.first, scene.core, scene.planes) == (8, slice(2, 3), 11)
    assert scene.points_um.shape == (5, *SHAPE[1:], 3)
    assert scene.time_s == 5.0
    assert seen.scene(0, 0).first == -2
    index = np.array([[8.0, 3.0, 4.0], [12.0, 3.0, 4.0]])
    expected = seen.pose.specimen(seen.grid.to_world(index), 1)
    np.testing.assert_allclose(scene.points_um[[0, -1], 3, 4], expected, atol=1e-5)


def test_an_instrument_keeps_its_seed_and_no_two_share_it(thin):
    one = acquired()
    seeds = {one.scene(frame, slab).seed for frame in (0, 2) for slab in (0, 3)}
    assert len(seeds) == 1
    others = {acquired(name="two").scene(0, 0).seed, acquired(seed=4).scene(0, 0).seed}
    assert len(seeds | others) == 3


def test_noise_is_its_own_for_every_plane_frame_instrument_and_seed(thin):
    one = acquired()
    planes = [plane.tobytes() for frame in range(3) for plane in one.image()[frame].channel()]
    planes += [
        plane.tobytes() for other in (acquired(name="two"), acquired(seed=4)) for plane in other.image()[0].data[0]
    ]
    assert len(set(planes)) == len(planes) == 5 * SHAPE[0]


def test_frames_and_slabs_in_any_order_give_the_same_bytes(thin):
    seen, again = acquired(drift_um=1.0), acquired(drift_um=1.0)
    forwards = {(f, s): seen.drawn(f, s) for f in range(3) for s in range(6)}
    for f, s in [(2, 5), (0, 3), (1, 0), (2, 0), (0, 0), (1, 5)]:
        for kind in ("image", "clean", "labels"):
            np.testing.assert_array_equal(getattr(again.drawn(f, s), kind), getattr(forwards[f, s], kind))


def test_slabs_are_drawn_once_while_they_fit_and_the_longest_unused_goes_first(thin, monkeypatch):
    seen = acquired()
    one = seen.drawn(0, 0).nbytes
    assert one == 2 * SHAPE[1] * SHAPE[2] * (2 + 4 + 2)
    monkeypatch.setattr(drawing, "KEPT_BYTES", 3 * one)
    for slab in (0, 1, 2, 0, 1, 2, 0):
        seen.drawn(0, slab)
    taken = seen.instrument.scenes
    assert len(taken) == 3
    seen.drawn(0, 3)
    assert list(seen._kept) == [(0, 2), (0, 0), (0, 3)]
    seen.drawn(0, 0)
    assert len(taken) == 4
    seen.drawn(0, 1)
    assert len(taken) == 5
    assert sum(d.nbytes for d in seen._kept.values()) <= 3 * one
    monkeypatch.setattr(drawing, "KEPT_BYTES", 1)
    kept = seen.drawn(1, 1)
    assert list(seen._kept.values()) == [kept]
    assert seen.drawn(1, 1) is kept


SEEN = acquired()
WHOLE = {kind: np.array(getattr(SEEN, kind)()[1].data[...]) for kind in ("image", "clean", "labels")}
planes = st.slices(SHAPE[0])
keys = st.one_of(
    hnp.basic_indices((1, *SHAPE), allow_newaxis=True),
    st.tuples(st.sampled_from([0, slice(None), slice(None, None, -1), [0], np.array([0, 0])]), planes),
    st.tuples(st.sampled_from([0, slice(None)]), planes, planes, st.just(Ellipsis)),
    st.tuples(st.just(0), hnp.arrays(np.int64, st.integers(1, 4), elements=st.integers(-SHAPE[0], SHAPE[0] - 1))),
    st.tuples(st.just(True), planes),
    hnp.arrays(bool, (1, *SHAPE[:2])),
)


@given(key=keys, kind=st.sampled_from(["image", "clean", "labels"]))
def test_any_index_gives_what_numpy_gives(key, kind):
    found = getattr(SEEN, kind)()[1].data[key]
    expected = WHOLE[kind][key]
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == expected.dtype
    assert np.shape(found) == np.shape(expected)


@pytest.mark.parametrize("key", [(0, SHAPE[0]), (1, slice(0, 2)), (0, 0, 0, 0, 0), "z"])
def test_what_numpy_refuses_is_refused(key):
    with pytest.raises(IndexError):
        SEEN.image()[0].data[key]


def test_only_the_slabs_that_are_asked_for_are_drawn(thin):
    seen = acquired()
    array = seen.image()[1].data
    assert array.shape == (1, *SHAPE)
    assert not seen.instrument.scenes
    assert (array[:, 5:7].shape, array[0, 5:8, 3].shape) == ((1, 2, *SHAPE[1:]), (3, SHAPE[2]))
    assert [scene.first for scene in seen.instrument.scenes] == [4, 6]
    np.testing.assert_array_equal(np.asarray(array), seen.image()[1].array)
    assert np.asarray(array, np.float32).dtype == np.float32


def test_a_movie_has_the_instruments_times_and_channel():
    seen = acquired()
    assert seen.image().times_s == seen.clean().times_s == TIMES
    assert [volume.time_s for volume in seen.labels()] == list(TIMES)
    assert (seen.image().channels, seen.clean().channels) == ((Ruler.channel,),) * 2
    assert seen.labels()[0].modality == "labels"


@pytest.mark.parametrize(("first", "kind"), [(65535 - 124, np.uint16), (65536 - 124, np.uint32)])
def test_numbers_beyond_16_bits_are_kept_whole(first, kind):
    seen = acquired(first=first)
    labels = seen.labels()[0]
    assert labels.data.dtype == labels.array.dtype == kind
    assert set(np.unique(labels.array)) <= {0, *seen.cells(0).number.tolist()}
    assert labels.array.max() > first


def test_a_projection_sees_the_whole_depth_at_once_and_labels_the_foremost(thin):
    first_cell = (-22.0, -22.0, -22.0)
    deep = acquired(looks_at_um=first_cell)
    flat = acquired(ruler=Ruler(projects=True), looks_at_um=first_cell)
    assert (flat.slabs, flat.slab_planes) == (1, SHAPE[0])
    stack = deep.labels()[0].channel()
    first = (stack > 0).argmax(0)
    np.testing.assert_array_equal(flat.labels()[0].channel()[0], np.take_along_axis(stack, first[None], 0)[0])
    assert any(len(np.unique(line[line > 0])) > 1 for line in stack.reshape(SHAPE[0], -1).T)
    assert (stack == 1).any()
    np.testing.assert_allclose(flat.clean()[0].channel()[0], deep.clean()[0].channel().sum(0), rtol=1e-4)
    middle = deep.grid.to_world([(5.0, 3.0, 4.0)])
    np.testing.assert_allclose(flat.grid.to_world([(0.0, 3.0, 4.0)]), middle)
    assert flat.image()[0].grid.shape == (1, *SHAPE[1:])
