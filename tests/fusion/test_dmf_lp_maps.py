"""What dmf-lp says of its result: whose it is, what was invented, how sure; and that blocks leave no seam."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

import fusion
from fusion.diffusion import inference
from fusion.diffusion.architecture import NetworkConfig, architecture_of
from fusion.diffusion.dmf_lp import DMFLPConfig
from fusion.diffusion.network import FusionNetwork
from fusion.ranges import robust_range
from volumes import Volume, from_array
from volumes.weights import save_weights

SMALL = NetworkConfig(widths=(8, 8, 8))
SHAPE = (4, 22, 25)


def saved(path: Path, noise: float) -> Path:
    torch.manual_seed(0)
    net = FusionNetwork(SMALL)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(noise * torch.randn_like(parameter))
    save_weights(path, net, {"architecture": architecture_of(SMALL)})
    return path


@pytest.fixture
def config(tmp_path: Path) -> DMFLPConfig:
    return DMFLPConfig(weights=saved(tmp_path / "some.safetensors", 0.05), network=SMALL)


@pytest.fixture
def fresh(tmp_path: Path) -> DMFLPConfig:
    """A network that has learnt nothing: a soft choice by energy."""
    return DMFLPConfig(weights=saved(tmp_path / "fresh.safetensors", 0.0), network=SMALL)


def volume(data: np.ndarray, modality: str = "MRI", valid: np.ndarray | None = None) -> Volume:
    return from_array(data.astype(np.float32), (1.0, 1.0, 1.0), modality=modality, valid=valid)


def drawn(rng: np.random.Generator, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return ndimage.gaussian_filter(rng.normal(size=shape), [1.2 * (n > 4) for n in shape])


def changed(config: DMFLPConfig, **fields: object) -> DMFLPConfig:
    return DMFLPConfig(**{**config.model_dump(), **fields})


@pytest.mark.parametrize("shape", [SHAPE, (1, 21, 34), (1, 3, 5)])
@pytest.mark.parametrize("number", [2, 3])
def test_maps_say_of_every_voxel_whose_it_is(config, rng: np.random.Generator, shape, number: int) -> None:
    sources = [volume(50 * drawn(rng, shape), name) for name in ("MRI", "CT", "PET")[:number]]
    fuser = config.build()
    found = fuser.explain(sources)
    assert np.array_equal(found.fused.array, fuser.fuse(sources).array)
    assert found.deviation is None
    shares = found.provenance
    assert [c.name for c in shares.channels] == [f"{i} {v.channels[0].name}" for i, v in enumerate(sources)]
    assert shares.array.shape == (number, *shape)
    assert shares.array.min() >= 0
    assert shares.array.max() <= 1
    assert np.abs(shares.array.sum(0) - 1).max() < 1e-5
    for map_ in (found.provenance, found.invented):
        assert map_.grid.is_close(found.fused.grid)


def test_the_result_lies_beyond_its_sources_by_the_residual_at_most(config, rng: np.random.Generator) -> None:
    sources = [volume(50 * drawn(rng)), volume(drawn(rng), "CT")]
    fuser = config.build()
    common = [s.to_common(v.channel()) for s, v in zip(fuser.scales(sources), sources, strict=True)]
    low, high = np.minimum(*common), np.maximum(*common)
    found = fuser.explain(sources)
    out, span = found.fused.channel(), float(np.ptp(common))
    beyond = SMALL.residual * (high - low) + 1e-5 * span
    assert (out >= low - beyond).all()
    assert (out <= high + beyond).all()
    invented = found.invented.channel()
    assert invented.min() >= 0
    assert invented.max() > 0.02 * span


def test_of_equal_sources_nothing_is_invented_but_rounding(config, rng: np.random.Generator) -> None:
    a = drawn(rng)
    found = config.build().explain([volume(a), volume(a, "CT")])
    assert found.invented.array.max() < 1e-6 * np.ptp(a)
    assert np.abs(found.provenance.array.sum(0) - 1).max() < 1e-5


def test_each_source_is_named_where_it_alone_shows_something(fresh, rng: np.random.Generator) -> None:
    """By a network that chooses by energy: left one source has all detail, right the other; between them neither."""
    shape = (1, 40, 120)
    a, b = np.full(shape, 0.5), np.full(shape, 0.5)
    a[:, :, :40], b[:, :, 80:] = rng.uniform(0.5, 1, (1, 40, 40)), rng.uniform(0.5, 1, (1, 40, 40))
    found = fresh.build().explain([volume(a), volume(b, "CT")]).provenance.array
    assert found[0, :, :, 4:34].mean() > 0.65
    assert found[1, :, :, 86:116].mean() > 0.65
    assert np.abs(found[0, :, :, 56:64] - 0.5).max() < 0.05
    other = fresh.build().explain([volume(b, "CT"), volume(a)]).provenance.array
    assert np.abs(other - found[::-1]).max() < 1e-5


def test_maps_of_sources_with_gaps_sum_to_one_too_and_name_who_has_data(fresh, rng: np.random.Generator) -> None:
    shape, seen = (1, 48, 48), np.ones((1, 48, 48), bool)
    seen[:, :, 24:] = False
    sources = [volume(rng.uniform(size=shape)), volume(rng.uniform(size=shape), "CT", seen)]
    found = fresh.build().explain(sources).provenance.array
    assert np.abs(found.sum(0) - 1).max() < 1e-5
    assert found[0, :, :, 30:].mean() > found[0, :, :, :18].mean() + 0.03


@pytest.mark.parametrize("shape", [(1, 150, 90), (3, 70, 101)])
def test_blocks_are_the_whole_but_for_what_borders_disturb(config, rng: np.random.Generator, shape) -> None:
    """Of weights drawn at random, which see further than any trained ones; equal sources are still exact."""
    pair = [volume(drawn(rng, shape)), volume(drawn(rng, shape), "CT")]
    whole, parts = (changed(config, block=block).build().explain(pair) for block in (512, 64))
    span = float(np.ptp(whole.fused.array))
    off = np.abs(whole.fused.array - parts.fused.array)
    assert off.max() < 0.06 * span
    assert off.mean() < 2e-3 * span
    assert off.max() > 0
    assert np.abs(whole.provenance.array - parts.provenance.array).max() < 0.06
    assert np.abs(parts.provenance.array.sum(0) - 1).max() < 1e-5
    twice = changed(config, block=64).build().fuse([pair[0], volume(pair[0].channel(), "CT")])
    assert np.abs(twice.array - pair[0].array).max() < 1e-5 * span


def test_a_gap_in_one_block_alone_is_a_gap(config, rng: np.random.Generator) -> None:
    shape, seen = (1, 66, 130), np.ones((1, 66, 130), bool)
    seen[:, :, 100:] = False
    a, b = drawn(rng, shape), drawn(rng, shape)
    outs = []
    for rubbish in (0.0, 1e6):
        pair = [volume(a), volume(np.where(seen, b, rubbish), "CT", seen)]
        outs.append(changed(config, block=64).build().fuse(pair).array)
    assert np.array_equal(*outs)
    whole = changed(config, block=512).build().fuse(pair).array
    assert np.abs(outs[0] - whole).max() < 0.02 * np.ptp(whole)


def test_samples_are_seeded_and_tell_how_far_they_lie_apart(config, rng: np.random.Generator) -> None:
    pair = [volume(drawn(rng)), volume(drawn(rng), "CT")]
    drawn_ = changed(config, samples=3, steps=2, sigma=0.5)
    first, again = drawn_.build().explain(pair), drawn_.build().explain(pair)
    assert first.deviation is not None
    assert np.array_equal(first.fused.array, again.fused.array)
    assert np.array_equal(first.deviation.array, again.deviation.array)
    assert np.array_equal(first.fused.array, fusion.fuse(pair, drawn_.build()).array)
    assert np.median(first.deviation.array) > 0
    assert first.deviation.array.min() >= 0
    other = changed(drawn_, seed=1).build().explain(pair)
    assert not np.array_equal(first.fused.array, other.fused.array)
    assert np.abs(first.provenance.array.sum(0) - 1).max() < 1e-5


def test_deviation_grows_with_sigma_and_without_it_samples_are_the_plain_walk(config, rng) -> None:
    pair = [volume(drawn(rng)), volume(drawn(rng), "CT")]
    deviations = []
    for sigma in (0.0, 0.1, 1.0):
        found = changed(config, samples=4, steps=3, sigma=sigma).build().explain(pair)
        deviations.append(float(found.deviation.array.mean()))
        if sigma == 0:
            plain = changed(config, steps=3).build().fuse(pair).array
            assert np.abs(found.fused.array - plain).max() < 1e-5 * np.ptp(plain)
    assert deviations[0] < 1e-6
    assert deviations[0] < deviations[1] < deviations[2]


def test_samples_give_their_mean_and_their_standard_deviation(config, rng, monkeypatch) -> None:
    """Of walks that end at 0.1, 0.2 and 0.3 of the joint range."""
    ends = iter((0.1, 0.2, 0.3))

    def walk(estimate: Callable, start: torch.Tensor, *_: object) -> torch.Tensor:
        estimate(start, 0.0)
        return torch.full_like(start, next(ends))

    monkeypatch.setattr(inference, "walk", walk)
    pair = [volume(drawn(rng)), volume(3 * drawn(rng), "CT")]
    ranges = [robust_range(v.channel(), "") for v in pair]
    low, high = min(r[0] for r in ranges), max(r[1] for r in ranges)
    found = changed(config, samples=3, steps=2, match="none").build().explain(pair)
    assert np.abs(found.fused.array - (low + 0.2 * (high - low))).max() < 1e-5 * (high - low)
    assert np.abs(found.deviation.array - 0.1 * (high - low)).max() < 1e-5 * (high - low)


def test_deviation_is_in_the_unit_of_the_fused(config, rng: np.random.Generator) -> None:
    a, b = drawn(rng), drawn(rng)
    own = changed(config, samples=3, steps=2).build()
    found, scaled = (own.explain([volume(c * a), volume(c * b, "CT")]) for c in (1.0, 1000.0))
    for name in ("deviation", "invented"):
        plain, large = (getattr(x, name).array for x in (found, scaled))
        assert np.abs(large - 1000 * plain).max() < 2e-3 * large.max()


def test_a_walk_of_more_steps_is_another_answer_of_the_same_network(config, rng: np.random.Generator) -> None:
    pair = [volume(drawn(rng)), volume(drawn(rng), "CT")]
    one, four = (changed(config, steps=n).build().fuse(pair).array for n in (1, 4))
    assert 0 < np.abs(one - four).max() < 0.5 * np.ptp(one)


def test_half_precision_is_near(config: DMFLPConfig, rng: np.random.Generator) -> None:
    pair = [volume(drawn(rng)), volume(drawn(rng), "CT")]
    exact, half = (changed(config, precision=p).build().fuse(pair).array for p in ("float32", "bfloat16"))
    assert 0 < np.abs(exact - half).max() < 0.05 * np.ptp(exact)
