"""Guidance: its direction is the gradient of its aims, it climbs, stays within bounds, and does nothing unasked."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

import fusion
from fusion.guidance.aims import Aims
from fusion.guidance.ascent import REACH, ascended
from fusion.guidance.config import PICTURE_STEPS, GuidanceConfig
from fusion.metrics import evaluate, per_source
from phantom.patchwork import pictures_of, random_structure
from volumes import Volume, from_array

STEPS = 12


def drawn(shape: tuple[int, int, int], number: int = 2, seed: int = 0) -> np.ndarray:
    """Sources (number, z, y, x), float32 on 0 to 1."""
    rng = np.random.default_rng(seed)
    looks = ("contrast", "functional", "contrast")[:number]
    return np.ascontiguousarray(pictures_of(random_structure(shape, rng), looks, rng), np.float32)


def volumes_of(sources: np.ndarray, kinds: tuple[str, ...] = ("MRI", "PET", "CT")) -> list[Volume]:
    return [from_array(s, (1, 1, 1), modality=kind) for s, kind in zip(sources, kinds, strict=False)]


def bounds(sources: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As the module says, of sources within 0 to 1."""
    lowest, highest = sources.min(0), sources.max(0)
    beyond = REACH * (highest - lowest)
    return np.maximum(lowest - beyond, 0), np.minimum(highest + beyond, 1)


@pytest.mark.parametrize("number", [2, 3])
def test_the_direction_is_the_gradient_of_the_aims(number: int) -> None:
    """Central differences along it, and along it at random halves of the places alone."""
    rng = np.random.default_rng(1)
    sources = drawn((1, 48, 40), number, 4)[:, 0]
    aims = Aims(sources, GuidanceConfig(own_fidelity=3.0, white=0.0))
    fused = (0.6 * sources.max(0) + 0.2 * sources.mean(0) + 0.05).astype(np.float32)
    _, gradient = aims.with_gradient(fused)
    for half in (np.ones(fused.shape, bool), *(rng.random((4, *fused.shape)) < 0.5)):
        step = np.float32(2e-3 / np.abs(gradient).max()) * gradient * half
        along = 2 * float(np.vdot(gradient.astype(np.float64), step.astype(np.float64)))
        rise = aims.with_gradient(fused + step)[0] - aims.with_gradient(fused - step)[0]
        assert rise == pytest.approx(along, rel=0.05)


@pytest.mark.parametrize("number", [2, 3])
def test_it_climbs_and_stays_within_its_bounds(number: int) -> None:
    sources = drawn((1, 64, 57), number, 2)
    start, config = sources.max(0), GuidanceConfig()
    led = ascended(start, sources, config, STEPS)
    aims = Aims(sources[:, 0], config)
    assert aims.with_gradient(led[0])[0] > aims.with_gradient(start[0])[0] + 0.1
    least, most = bounds(sources)
    assert (led >= least - 1e-6).all()
    assert (led <= most + 1e-6).all()
    equal = sources.min(0) == sources.max(0)
    assert (led[equal] == sources[0][equal]).all()


def test_each_plane_is_led_by_itself() -> None:
    sources = drawn((3, 40, 40), 2, 5)
    whole = ascended(sources.max(0), sources, GuidanceConfig(), 4)
    for z in range(3):
        alone = ascended(sources[:, z : z + 1].max(0), sources[:, z : z + 1], GuidanceConfig(), 4)
        np.testing.assert_array_equal(whole[z : z + 1], alone)


@pytest.mark.parametrize("shape", [(1, 16, 40), (2, 40, 5)])
def test_planes_smaller_than_the_window_stay_as_they_are(shape: tuple[int, int, int]) -> None:
    sources = drawn((2, 40, 40), 2)[:, : shape[0], : shape[1], : shape[2]]
    np.testing.assert_array_equal(ascended(sources.max(0), sources, GuidanceConfig(), 5), sources.max(0))


def test_beside_a_flat_source_only_edges_count() -> None:
    sources = drawn((1, 40, 40), 2)
    sources[1] = 0.3
    config = GuidanceConfig(edges=0.0)
    start = (0.5 * sources[0] + 0.1).astype(np.float32)
    led = ascended(start, sources, config, 5)
    np.testing.assert_allclose(led, np.clip(start, *bounds(sources)), atol=1e-7)


def test_pictures_are_led_and_volumes_are_not_unless_asked() -> None:
    config = GuidanceConfig()
    assert config.steps_of(planes=1, clean=True) == PICTURE_STEPS
    assert config.steps_of(planes=2, clean=True) == 0
    assert config.steps_of(planes=1, clean=False) == 0
    assert GuidanceConfig(steps=3).steps_of(planes=9, clean=False) == 3
    solid = volumes_of(drawn((20, 24, 24)))
    plain, unguided, led = (
        fusion.fuse(solid, fusion.DMFLPConfig(match="none", guidance=guidance)).array
        for guidance in (GuidanceConfig(), GuidanceConfig(steps=0), GuidanceConfig(steps=2))
    )
    np.testing.assert_array_equal(plain, unguided)
    assert np.abs(led - plain).max() > 1e-3


@pytest.mark.parametrize("seed", range(4))
def test_a_guided_picture_hides_no_source_and_is_ahead_of_the_maximum(seed: int) -> None:
    """The walk alone leaves some of these sources seven tenths of the fidelity that the maximum leaves them."""
    sources = drawn((1, 96, 90), 2, seed)
    levels = [255 * s[0].astype(np.float64) for s in sources]
    fused = fusion.fuse(volumes_of(sources), fusion.DMFLPConfig(match="none")).channel()[0]
    ours, highest = np.clip(np.rint(255 * fused), 0, 255), np.maximum(*levels)
    for figure in ("SCD", "VIF", "Qabf"):
        assert evaluate(ours, levels)[figure] > evaluate(highest, levels)[figure]
    own, own_before = (per_source(f, levels)["VIF"] for f in (ours, highest))
    assert (np.array(own) > 0.9 * np.array(own_before)).all()


@pytest.mark.parametrize("kinds", [("MRI", "PET", "CT"), ("MRI", "MRI", "MRI")])
def test_no_order_of_the_sources_leaves_a_trace(kinds: tuple[str, ...]) -> None:
    three = volumes_of(drawn((1, 40, 44), 3, 3), kinds)
    config = fusion.DMFLPConfig(match="none", guidance=GuidanceConfig(steps=6))
    first = config.build().explain(three)
    other = config.build().explain([three[i] for i in (2, 0, 1)])
    np.testing.assert_array_equal(first.fused.array, other.fused.array)
    np.testing.assert_array_equal(first.provenance.array[[2, 0, 1]], other.provenance.array)
    np.testing.assert_array_equal(first.invented.array, other.invented.array)


def test_equal_sources_give_themselves_and_nothing_is_invented() -> None:
    one = drawn((1, 40, 44), 1, 3)[0]
    explained = fusion.DMFLPConfig(match="none").build().explain(volumes_of(np.stack([one, one])))
    np.testing.assert_allclose(explained.fused.channel(), one, atol=2e-6)
    assert explained.invented.array.max() < 2e-6


def test_doubled_sources_give_the_doubled_picture() -> None:
    sources = drawn((1, 40, 44), 2, 6)
    config = fusion.DMFLPConfig(match="none")
    once, twice = (fusion.fuse(volumes_of(np.float32(c) * sources), config).array for c in (1, 2))
    np.testing.assert_array_equal(twice, 2 * once)


def test_gaps_stay_gaps_and_where_one_source_has_no_data_the_other_is_shown() -> None:
    sources = drawn((1, 48, 48), 2, 8)
    valid = np.ones((2, 1, 48, 48), bool)
    valid[0, :, :, :12] = False
    valid[:, :, :, :4] = False
    pair = [
        Volume(s[None], v.grid, v.channels, None, m)
        for s, v, m in zip(sources, volumes_of(sources), valid, strict=True)
    ]
    fused = fusion.fuse(pair, fusion.DMFLPConfig(match="none"))
    assert (fused.channel()[..., :4] == 0).all()
    np.testing.assert_allclose(fused.channel()[..., 5:10], sources[1][..., 5:10], atol=0.05)


@pytest.mark.parametrize("wrong", [{"steps": -1}, {"edges": -1.0}, {"fidelity": float("inf")}, {"unknown": 1}])
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        fusion.DMFLPConfig.model_validate({"guidance": wrong})
