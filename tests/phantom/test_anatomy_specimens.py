"""Embryo and zebrafish hold every tissue, leave room for cells, and look the same from no two sides."""

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

import configs
from phantom.anatomy.config import AnatomyConfig
from phantom.anatomy.embryo import EmbryoConfig
from phantom.anatomy.solids import ball, band_passed, depth, tube, unit_mean
from phantom.anatomy.tissues import CODE, TISSUES, living
from phantom.anatomy.zebrafish import ZebrafishConfig
from volumes import read, write
from volumes.errors import ConfigError, ContentError, GridError

STAINS = {"terk": configs.demo_data("zbrain-tERK.nrrd"), "h2b": configs.demo_data("zbrain-H2B-RFP.nrrd")}


@pytest.fixture(scope="module")
def embryo():
    return EmbryoConfig(spacing_um=5.0).build(np.random.default_rng(3))


@pytest.fixture(scope="module")
def fish():
    return ZebrafishConfig(**STAINS).build(np.random.default_rng(3))


@pytest.fixture(params=["embryo", "fish"])
def specimen(request):
    return request.getfixturevalue(request.param)


def codes_of(anatomy):
    return anatomy.labels.channel()


def overlap(a, b):
    """Share of the body that has the same tissue in both."""
    body = (a > 0) | (b > 0)
    return (a == b)[body].mean()


def test_every_tissue_is_there_and_cells_have_room(specimen):
    codes = codes_of(specimen)
    assert set(np.unique(codes)) == set(range(len(TISSUES)))
    body = codes > 0
    assert living()[codes[body]].mean() >= 0.4
    assert 0.15 < body.mean() < 0.75


def test_no_axis_is_one_of_symmetry(specimen):
    """Turned half around any axis, or mirrored along any, the tissue lies elsewhere; a brain has like halves."""
    codes = codes_of(specimen)
    for axes in ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2)):
        flipped = np.flip(codes, axes)
        special = (codes > 0) & (codes != CODE["soft"])
        assert (codes == flipped)[special].mean() < (0.85 if axes == (1,) else 0.7)


def test_the_heart_lies_left(specimen):
    """Vessels weigh more on the side of low y in front, which no mirror image shares."""
    codes = codes_of(specimen)
    z, y, x = np.nonzero(codes == CODE["vessel"])
    front = x < np.percentile(x, 40)
    low = z < np.median(z[front])
    middle = np.median(np.nonzero(codes == CODE["neural"])[1])
    assert np.mean(y[front & low]) < middle


def test_texture_is_one_on_average_in_each_tissue(specimen):
    codes, strength = codes_of(specimen), specimen.texture.channel()
    assert strength.dtype == np.float32
    assert strength.min() >= 0
    for code in range(len(TISSUES)):
        assert strength[codes == code].mean(dtype=np.float64) == pytest.approx(1, abs=1e-3)
    assert (strength[codes == 0] == 1).all()
    assert strength[codes == CODE["neural"]].std() > 0.1


def test_skin_covers_the_body_of_the_embryo(embryo):
    codes = codes_of(embryo)
    outside = np.pad(codes == 0, 1, constant_values=True)
    for axis in range(3):
        for step in (-1, 1):
            beside = np.roll(outside, step, axis)[1:-1, 1:-1, 1:-1] & (codes > 0)
            assert (codes[beside] == CODE["skin"]).all()


def test_the_same_seed_gives_the_same_embryo_and_another_a_similar_one():
    config = EmbryoConfig(spacing_um=6.0)
    one, same, other, third = (codes_of(config.build(np.random.default_rng(seed))) for seed in (1, 1, 2, 3))
    np.testing.assert_array_equal(one, same)
    assert 0.6 < overlap(one, other) < 0.97
    assert 0.6 < overlap(one, third) < 0.97


@pytest.mark.parametrize("seed", range(6))
def test_no_seed_loses_a_tissue(seed):
    anatomy = EmbryoConfig(size_um=(60.0, 60.0, 80.0)).build(np.random.default_rng(seed))
    assert len(np.unique(codes_of(anatomy))) == len(TISSUES)
    assert living()[codes_of(anatomy)[codes_of(anatomy) > 0]].mean() >= 0.4
    edge = np.ones(codes_of(anatomy).shape, bool)
    edge[1:-1, 1:-1, 1:-1] = False
    assert not codes_of(anatomy)[edge].any()


@pytest.mark.parametrize("size", [(64.0, 128.0, 128.0), (2000.0, 900.0, 1500.0)])
def test_an_embryo_has_the_size_that_was_asked_for(size):
    anatomy = EmbryoConfig(size_um=size).build(np.random.default_rng(0))
    spacing = max(size) / 100
    assert anatomy.grid.spacing_um == (spacing,) * 3
    assert np.abs(anatomy.extent_um - size).max() <= spacing
    body = np.argwhere(codes_of(anatomy) > 0)
    assert (np.ptp(body, axis=0) * spacing / size > 0.7).all()


def test_sizes_without_room_are_refused():
    for config in (EmbryoConfig(spacing_um=20.0), EmbryoConfig(spacing_um=0.5)):
        with pytest.raises(ConfigError, match="spacing_um"):
            config.build(np.random.default_rng(0))


def test_the_fish_keeps_what_was_measured(fish):
    """Labels lie where the stains are bright, in the atlas's own frame; the texture there follows the stain."""
    h2b = read(STAINS["h2b"], modality="fluorescence")
    points = h2b.grid.to_world(np.argwhere(h2b.channel() > 120))
    index = np.rint(fish.grid.to_index(points)).astype(int)
    here = codes_of(fish)[tuple(index.T)]
    assert (here == CODE["neural"]).mean() > 0.9
    stain, strength = h2b.channel()[h2b.channel() > 120].astype(float), fish.texture.channel()[tuple(index.T)]
    assert np.corrcoef(stain[here == CODE["neural"]], strength[here == CODE["neural"]])[0, 1] > 0.999


def test_the_fish_has_two_eyes_with_pigment_and_two_pairs_of_otoliths(fish):
    codes = codes_of(fish)
    middle = codes.shape[1] // 2
    left, right = codes[:, :middle], codes[:, middle:]
    for side in (left, right):
        assert (side == CODE["pigment"]).sum() > 5000
        ear = side[40:60, :, 115:150]
        assert (ear == CODE["bone"]).sum() > 50


def test_a_fish_needs_two_stains_that_fit(tmp_path):
    rng = np.random.default_rng(0)
    with pytest.raises(ConfigError, match="terk, h2b"):
        ZebrafishConfig(terk=STAINS["terk"]).build(rng)
    stain = read(STAINS["terk"], modality="fluorescence")
    smaller, empty = tmp_path / "smaller.nrrd", tmp_path / "empty.nrrd"
    write(
        type(stain)(stain.array[:, 1:], stain.grid.__class__((54, 99, 225), stain.grid.spacing_um), stain.channels),
        smaller,
    )
    noise = rng.integers(0, 30, stain.array.shape).astype(np.uint8)
    write(type(stain)(noise, stain.grid, stain.channels), empty)
    with pytest.raises(GridError, match="h2b"):
        ZebrafishConfig(terk=smaller, h2b=STAINS["h2b"]).build(rng)
    with pytest.raises(ContentError, match="terk, h2b"):
        ZebrafishConfig(terk=empty, h2b=empty).build(rng)


def test_the_kind_tells_the_configs_apart():
    adapter = TypeAdapter(AnatomyConfig)
    assert isinstance(adapter.validate_python({"kind": "embryo", "size_um": (90, 90, 120)}), EmbryoConfig)
    assert isinstance(adapter.validate_python({"kind": "zebrafish"}), ZebrafishConfig)
    for wrong in ({"kind": "mouse"}, {"kind": "embryo", "size": 3}, {"kind": "embryo", "size_um": (0, 1, 1)}):
        with pytest.raises(ValidationError):
            adapter.validate_python(wrong)


def test_a_ball_and_a_tube_have_their_volumes():
    shape = (40, 44, 48)
    assert ball(shape, (20, 21, 23), (9, 12, 15)).sum() == pytest.approx(4 / 3 * np.pi * 9 * 12 * 15, rel=0.01)
    line = np.array([[20.0, 21.0, 10.0], [20.0, 21.0, 38.0]])
    assert tube(shape, line, 6.0).sum() == pytest.approx(np.pi * 36 * 28 + 4 / 3 * np.pi * 216, rel=0.03)
    assert tube(shape, line, 0.1).sum() >= 28
    assert tube(shape, line - 1000, 6.0).sum() == 0


def test_depth_is_the_distance_to_the_outside():
    inside = ball((31, 31, 31), (15, 15, 15), (12, 12, 12))
    z, y, x = np.indices((31, 31, 31)) - 15
    off = depth(inside)[inside] - (12.5 - np.sqrt(z**2 + y**2 + x**2))[inside]
    assert np.abs(off).max() < 1.2


def test_noise_has_no_mean_and_lies_between_its_scales(rng):
    noise = band_passed((48, 48, 48), 1.0, 4.0, rng)
    assert noise.std() == pytest.approx(1, abs=1e-3)
    power = np.abs(np.fft.fftn(noise)) ** 2
    frequency = np.sqrt(sum(np.square(np.meshgrid(*[np.fft.fftfreq(48)] * 3, indexing="ij"))))
    band = (frequency > 0.02) & (frequency < 0.25)
    assert power[band].sum() > 0.8 * power.sum()
    assert abs(noise.mean()) < 1e-3


def test_unit_mean_leaves_tissues_without_strength_at_one(rng):
    labels = rng.integers(0, 3, (12, 12, 12)).astype(np.uint8)
    strength = np.where(labels == 2, 0, rng.random(labels.shape))
    out = unit_mean(strength, labels)
    assert (out[labels != 1] == 1).all()
    assert out[labels == 1].mean() == pytest.approx(1, abs=1e-5)
