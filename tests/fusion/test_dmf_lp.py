"""dmf-lp as a fuser, for any weights: its symmetries, gaps, shapes, movies, and what it refuses."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy import ndimage

import fusion
from fusion.diffusion import inference
from fusion.diffusion.architecture import NetworkConfig, architecture_of
from fusion.diffusion.dmf_lp import DMFLPConfig
from fusion.diffusion.network import FusionNetwork
from volumes import Channel, TimeLapse, Volume, from_array
from volumes.errors import ConfigError, ContentError, WeightsError
from volumes.weights import save_weights

SMALL = NetworkConfig(widths=(8, 8, 8))
SPACING = (2.0, 0.5, 0.5)
ODD = (5, 19, 23)


def saved(path: Path, seed: int = 0, network: NetworkConfig = SMALL) -> Path:
    """Weights as no training would leave them."""
    torch.manual_seed(seed)
    net = FusionNetwork(network)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    save_weights(path, net, {"architecture": architecture_of(network)})
    return path


@pytest.fixture
def config(tmp_path: Path) -> DMFLPConfig:
    return DMFLPConfig(weights=saved(tmp_path / "some.safetensors"), network=SMALL)


def volume(data: np.ndarray, modality: str = "MRI", valid: np.ndarray | None = None) -> Volume:
    return from_array(data.astype(np.float32), SPACING, modality=modality, valid=valid)


def drawn(rng: np.random.Generator, shape: tuple[int, ...] = ODD) -> np.ndarray:
    return ndimage.gaussian_filter(rng.normal(size=shape), [1.2 * (n > 4) for n in shape])


def fused(config: DMFLPConfig, *volumes: Volume) -> np.ndarray:
    out = fusion.fuse(list(volumes), config.build()).channel()
    assert out.dtype == np.float32
    assert np.isfinite(out).all()
    return out


def changed(config: DMFLPConfig, **fields: object) -> DMFLPConfig:
    return DMFLPConfig(**{**config.model_dump(), **fields})


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("shape", [ODD, (1, 31, 17)])
def test_a_source_and_itself_give_itself(config, rng: np.random.Generator, shape, steps: int) -> None:
    a = 500 * drawn(rng, shape) + 2000
    out = fused(changed(config, steps=steps), volume(a), volume(a, "CT"))
    assert np.abs(out - a).max() < 2e-6 * np.abs(a).max()


@pytest.mark.parametrize("steps", [1, 2])
def test_the_order_of_sources_leaves_no_trace_beyond_rounding(config, rng: np.random.Generator, steps: int) -> None:
    volumes = [volume(drawn(rng), name) for name in ("MRI", "CT", "fluorescence")]
    for some in (volumes[:2], volumes):
        first = fused(changed(config, steps=steps), *some)
        for order in list(permutations(some))[1:]:
            assert np.abs(fused(changed(config, steps=steps), *order) - first).max() < 2e-5 * np.ptp(first)


@pytest.mark.parametrize("match", ["percentile", "none"])
def test_factors_and_shifts_pass_through(config, rng: np.random.Generator, match: str) -> None:
    a, b, own = drawn(rng), drawn(rng), changed(config, match=match)
    first = fused(own, volume(a), volume(b, "CT"))
    for c, d in ((40.0, 0.0), (0.01, 3.0), (3.0, -7.0)):
        other = fused(own, volume(c * a + d), volume(c * b + d, "CT"))
        assert np.abs(other - (c * first + d)).max() < 1e-4 * np.ptp(c * first)


def test_the_unit_of_one_source_alone_plays_no_part(config: DMFLPConfig, rng: np.random.Generator) -> None:
    a, b = drawn(rng), drawn(rng)
    fuser, outs = config.build(), []
    for c, d in ((1.0, 0.0), (1000.0, 50.0)):
        pair = [volume(a), volume(c * b + d, "CT")]
        outs.append(fuser.scales(pair)[0].to_own(fuser.fuse(pair).channel()))
    assert np.abs(outs[0] - outs[1]).max() < 1e-4 * np.ptp(outs[0])


@pytest.mark.parametrize("shape", [(1, 16, 16), (1, 3, 5), (1, 1, 1), (2, 2, 2), (2, 9, 1), (7, 5, 64)])
@pytest.mark.parametrize("number", [2, 3])
def test_any_shape_comes_back_as_it_came(config: DMFLPConfig, rng: np.random.Generator, shape, number: int) -> None:
    sources = [volume(rng.normal(size=shape), name) for name in ("MRI", "sonar", "PET")[:number]]
    assert fused(changed(config, match="none"), *sources).shape == shape


def test_a_slice_is_not_the_volume_that_repeats_it(config: DMFLPConfig, rng: np.random.Generator) -> None:
    """It is the plane alone, but for what lies beside it the same picture: the middle planes of the kernels act."""
    pair = [drawn(rng, (1, 20, 20)) for _ in range(2)]
    out = fused(config, *(volume(p) for p in pair))
    assert np.abs(out - np.mean(pair, axis=0)).max() > 0.01
    assert np.corrcoef(out.ravel(), np.sum(pair, axis=0).ravel())[0, 1] > 0.5


@pytest.mark.parametrize("steps", [1, 2])
def test_what_stands_in_invalid_voxels_does_not_matter(config, rng: np.random.Generator, steps: int) -> None:
    a, b = drawn(rng), drawn(rng)
    first, second = np.ones(ODD, bool), np.ones(ODD, bool)
    first[:, :6], second[:, 12:], second[0] = False, False, False
    outs = []
    for rubbish in (0.0, 1e30, np.nan):
        pair = (volume(np.where(first, a, rubbish), "MRI", first), volume(np.where(second, b, rubbish), "CT", second))
        whole = fusion.fuse(list(pair), changed(config, steps=steps).build())
        assert np.array_equal(whole.mask(), first | second)
        assert (whole.channel()[~whole.mask()] == 0).all()
        outs.append(whole.channel())
    assert np.array_equal(outs[0], outs[1])
    assert np.array_equal(outs[0], outs[2])


def test_a_copy_that_lacks_a_half_changes_nothing(config: DMFLPConfig, rng: np.random.Generator) -> None:
    a, half = drawn(rng), np.ones(ODD, bool)
    half[:, 9:] = False
    out = fused(changed(config, match="none"), volume(a), volume(np.where(half, a, 99), "CT", half))
    assert np.abs(out - a).max() < 1e-5 * np.ptp(a)


def test_channels_of_one_name_are_fused_with_each_other(config: DMFLPConfig, rng: np.random.Generator) -> None:
    names = [Channel("nuclei", "fluorescence"), Channel("membrane", "SWIR")]
    data = [np.stack([drawn(rng), 30 * drawn(rng)]).astype(np.float32) for _ in range(2)]
    first = from_array(data[0], SPACING, modality="x", channels=names)
    second = from_array(data[1][::-1], SPACING, modality="x", channels=names[::-1])
    out = fusion.fuse([first, second], config.build())
    assert [channel.name for channel in out.channels] == ["nuclei", "membrane"]
    for i, name in enumerate(names):
        alone = fused(config, *(volume(d[i], name.modality) for d in data))
        assert np.abs(out.channel(name.name) - alone).max() < 1e-5 * np.ptp(alone)


def test_modalities_play_a_part_and_unknown_ones_are_one(config: DMFLPConfig, rng: np.random.Generator) -> None:
    a, b = drawn(rng), drawn(rng)
    told, sonar, radar = (fused(config, volume(a), volume(b, name)) for name in ("CT", "sonar", "radar"))
    assert np.array_equal(sonar, radar)
    assert not np.array_equal(told, sonar)


def test_movies_are_fused_frame_by_frame(config: DMFLPConfig, rng: np.random.Generator) -> None:
    """The second frame is the first one turned, so that both have one scale."""
    a, b = drawn(rng, (2, 12, 14)), drawn(rng, (2, 12, 14))
    movies = [
        TimeLapse.from_array(np.stack([x, x[:, ::-1]]).astype(np.float32), SPACING, dt_s=60, modality=name)
        for x, name in ((a, "MRI"), (b, "CT"))
    ]
    movie = fusion.fuse(movies, config.build())
    assert movie.times_s == (0.0, 60.0)
    for frame, (first, second) in zip(movie, ((a, b), (a[:, ::-1], b[:, ::-1])), strict=True):
        alone = fused(config, volume(first), volume(second, "CT"))
        assert np.abs(frame.channel() - alone).max() < 1e-5 * np.ptp(alone)


def test_weights_are_read_anew_when_the_file_is_another(config: DMFLPConfig, rng: np.random.Generator) -> None:
    pair = (volume(drawn(rng)), volume(drawn(rng), "CT"))
    first = fused(config, *pair)
    saved(config.weights, seed=1)
    assert not np.array_equal(fused(config, *pair), first)


def test_missing_damaged_and_foreign_weights_are_told_apart(config, rng, tmp_path: Path, monkeypatch) -> None:
    pair = [volume(drawn(rng)), volume(drawn(rng), "CT")]
    with pytest.raises(WeightsError, match=r"none\.safetensors.*is not there"):
        fusion.fuse(pair, changed(config, weights=tmp_path / "none.safetensors").build())
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(config.weights.read_bytes()[:-100])
    with pytest.raises(WeightsError, match=r"cut\.safetensors.*truncated"):
        fusion.fuse(pair, changed(config, weights=cut).build())
    for other in (NetworkConfig(widths=(8, 8)), NetworkConfig(widths=(8, 8, 8), residual=0.1)):
        with pytest.raises(WeightsError, match=r"architecture\.(widths|residual)"):
            fusion.fuse(pair, changed(config, network=other).build())
    monkeypatch.setattr(inference, "SHIPPED", {"show": tmp_path / "nothing.safetensors"})
    with pytest.raises(WeightsError, match=r"nothing\.safetensors.*is not there"):
        fusion.fuse(pair, DMFLPConfig().build())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_an_error(config: DMFLPConfig, rng: np.random.Generator) -> None:
    with pytest.raises(ConfigError, match="device: torch sees no such device"):
        fusion.fuse([volume(drawn(rng)), volume(drawn(rng), "CT")], changed(config, device="cuda").build())


@pytest.mark.parametrize("wrong", [{"samples": 1, "steps": 4}, {"samples": 4}, {"samples": 4, "steps": 1}])
def test_samples_need_more_than_one_walk_of_more_than_one_step(wrong: dict) -> None:
    with pytest.raises(ValidationError, match="samples need two walks or more"):
        DMFLPConfig(**wrong)


@pytest.mark.parametrize("wrong", [{"block": 32}, {"steps": 0}, {"sigma": -1.0}, {"sigma": float("inf")}, {"blok": 64}])
def test_settings_out_of_range_are_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        DMFLPConfig(**wrong)


def test_maps_need_sources_of_one_channel(config: DMFLPConfig, rng: np.random.Generator) -> None:
    names = [Channel("nuclei", "fluorescence"), Channel("membrane", "SWIR")]
    two = from_array(rng.normal(size=(2, *ODD)), SPACING, modality="x", channels=names)
    for volumes in ([two, two], [volume(drawn(rng))]):
        with pytest.raises(ContentError, match="two or more sources of one channel each"):
            config.build().explain(volumes)
