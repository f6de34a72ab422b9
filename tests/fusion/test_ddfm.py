"""The corrected walk: where its sources and its prior agree, what it keeps of each, and what it refuses."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy import ndimage
from torch import Tensor, nn

import fusion
from fusion.diffusion import ddfm
from fusion.diffusion.ddfm import DDFM, DDFMConfig, Likelihood, prior_architecture
from fusion.diffusion.noise import alpha_bars
from fusion.diffusion.unet_sizes import UNetSizes
from fusion.pixelwise import MeanConfig
from volumes import Volume, from_array
from volumes.errors import ConfigError, WeightsError
from volumes.weights import save_weights

TINY = UNetSizes(widths=(4, 8), patch=2, groups=2)
SPACING = (2.0, 0.5, 0.5)


class NormalPrior(nn.Module):
    """Says v of pictures whose voxels are N(0, 0.5²) and independent: the exact posterior mean."""

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        at = alpha_bars()[time].view(-1, 1, 1, 1, 1)
        clean = at.sqrt() * 0.25 / (at * 0.25 + 1 - at) * x
        noise = (x - at.sqrt() * clean) / (1 - at).sqrt()
        return at.sqrt() * noise - (1 - at).sqrt() * clean


def smooth(rng: np.random.Generator, shape=(5, 20, 21)) -> np.ndarray:
    return ndimage.gaussian_filter(rng.normal(size=shape), 2)


def volume(data: np.ndarray, modality: str = "MRI") -> Volume:
    return from_array(data, SPACING, modality=modality)


@pytest.fixture
def trained(tmp_path: Path) -> DDFMConfig:
    torch.manual_seed(0)
    net = TINY.network(1)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.1)
    path = tmp_path / "prior.safetensors"
    save_weights(path, net, {"architecture": prior_architecture(TINY)}, torch.bfloat16)
    return DDFMConfig(weights=path, network=TINY, steps=2)


def test_one_thing_seen_twice_in_different_units_is_found(rng: np.random.Generator) -> None:
    a = smooth(rng)
    fused = fusion.fuse([volume(a), volume(300 * a + 50, "CT")], DDFM(DDFMConfig(steps=15), NormalPrior()))
    scale = DDFM(DDFMConfig(steps=15), NormalPrior()).scales([volume(a), volume(300 * a + 50, "CT")])[0]
    off = fused.channel() - scale.to_common(a)
    assert np.sqrt(np.mean(off**2)) < 0.02 * np.ptp(scale.to_common(a))


def test_more_of_the_edges_stay_than_in_the_mean(rng: np.random.Generator) -> None:
    a, b = smooth(rng), ndimage.gaussian_filter(rng.normal(size=(5, 20, 21)), 1)
    a[:, :, :10] = a.mean()
    b[:, :, 11:] = b.mean()
    pair = [volume(a), volume(b, "CT")]
    fused = fusion.fuse(pair, DDFM(DDFMConfig(steps=15), NormalPrior()))
    kept, of_mean = fusion.metrics.edges_kept(fused, pair), fusion.metrics.edges_kept("mean", pair)
    assert min(kept) > 0.9
    assert sum(kept) >= sum(of_mean)
    steep = [np.abs(np.diff(v.channel(), axis=2)).mean() for v in (fused, fusion.fuse(pair, MeanConfig()))]
    assert steep[0] > 1.3 * steep[1]


def test_where_one_source_lacks_data_the_other_carries_the_result(rng: np.random.Generator) -> None:
    a, b = volume(smooth(rng)), volume(smooth(rng), "CT")
    seen = np.ones(a.grid.shape, bool)
    seen[:, :8] = False
    masked = Volume(b.data, b.grid, b.channels, b.time_s, seen)
    fuser = DDFM(DDFMConfig(steps=10), NormalPrior())
    fused = fusion.fuse([a, masked], fuser).channel()
    alone = fuser.scales([a, masked])[0].to_common(a.channel())
    off = (fused - alone)[:, :6]
    assert np.sqrt(np.mean(off**2)) < 0.03 * np.ptp(alone)


@pytest.mark.parametrize("shape", [(1, 9, 14), (2, 8, 8), (5, 7, 9)])
@pytest.mark.parametrize("scheduler", ["ddim", "dpm-solver++"])
def test_one_set_of_weights_serves_slices_and_volumes_and_any_order(trained, rng, shape, scheduler: str) -> None:
    volumes = [volume(rng.uniform(size=shape), name) for name in ("MRI", "CT", "PET")]
    fuser = trained.model_copy(update={"scheduler": scheduler}).build()
    first = fusion.fuse(volumes, fuser).channel()
    assert first.shape == shape
    assert first.dtype == np.float32
    for order in permutations(volumes):
        assert np.array_equal(fusion.fuse(list(order), fuser).channel(), first)


def test_one_seed_one_result(trained: DDFMConfig, rng: np.random.Generator) -> None:
    pair = [volume(smooth(rng)), volume(smooth(rng), "CT")]
    first = fusion.fuse(pair, trained.build()).channel()
    assert np.array_equal(fusion.fuse(pair, trained.build()).channel(), first)
    other = trained.model_copy(update={"seed": 1}).build()
    assert not np.array_equal(fusion.fuse(pair, other).channel(), first)


def test_the_prior_is_asked_once_a_step(rng: np.random.Generator) -> None:
    asked: list[int] = []

    class Counting(NormalPrior):
        def forward(self, x: Tensor, time: Tensor) -> Tensor:
            asked.append(int(time))
            return super().forward(x, time)

    fusion.fuse([volume(smooth(rng)), volume(smooth(rng), "CT")], DDFM(DDFMConfig(steps=7), Counting()))
    assert len(asked) == 7
    assert asked[0] == 999


def test_the_shipped_prior_is_of_the_default_sizes_and_small() -> None:
    number = sum(p.numel() for p in DDFMConfig().network.network(1).parameters())
    assert number <= 1_000_000


def test_without_weights_or_with_foreign_ones_it_says_which(trained, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(ddfm, "PRIOR", tmp_path / "nothing.safetensors")
    with pytest.raises(WeightsError, match=r"nothing\.safetensors.*is not there"):
        DDFMConfig().build()
    with pytest.raises(WeightsError, match=r"prior\.safetensors.*architecture\.widths"):
        trained.model_copy(update={"network": UNetSizes(widths=(4, 4), patch=2, groups=2)}).build()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_an_error(trained: DDFMConfig) -> None:
    with pytest.raises(ConfigError, match="device: torch sees no such device"):
        trained.model_copy(update={"device": "cuda"}).build()


@pytest.mark.parametrize("wrong", [{"deviation": 0.0}, {"gradient": -1.0}, {"coupling": 0.0}, {"em_steps": 0}])
def test_a_likelihood_out_of_range_is_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Likelihood(**wrong)
