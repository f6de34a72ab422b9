"""The networks: any size, the same in a block as in the whole, and losses that vanish where all is said rightly."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tracking3d.segment.network.architecture import (
    ArchitectureConfig,
    DynUNetConfig,
    MedNeXtConfig,
    SegResNetConfig,
    SwinUNETRConfig,
    UNetConfig,
    architecture_of,
)
from tracking3d.segment.network.build import build_network, encoder_of
from tracking3d.segment.network.heads import FOREGROUND, HEADS, SIZE, WEIGHT
from tracking3d.segment.network.loss import loss
from tracking3d.segment.network.targets import targets
from volumes.errors import ConfigError

SMALL = UNetConfig(widths=(8, 8, 8))
RECEPTIVE = 40
"""Voxels beyond which nothing changes what the default network says: 2 + 4 + 2 + 8 + 4 + 8 + 8 + 4, rounded up."""


def small_unet() -> torch.nn.Module:
    torch.manual_seed(0)
    return build_network(SMALL).eval()


@pytest.mark.parametrize("shape", [(1, 30, 17), (24, 24, 24), (33, 25, 41)])
def test_any_size_goes_in_and_comes_out(shape: tuple[int, int, int]) -> None:
    with torch.inference_mode():
        assert small_unet()(torch.randn(2, 1, *shape)).shape == (2, HEADS, *shape)


def test_a_block_gives_what_the_whole_volume_does(rng: np.random.Generator) -> None:
    network, voxels = small_unet(), torch.from_numpy(rng.random((1, 1, 24, 24, 160), dtype=np.float32))
    with torch.inference_mode():
        whole, block = network(voxels), network(voxels[..., 32:144])
    inner = slice(32 + RECEPTIVE, 144 - RECEPTIVE)
    assert torch.allclose(whole[..., inner], block[..., RECEPTIVE:-RECEPTIVE], atol=1e-5)
    assert not torch.allclose(whole[..., 32:40], block[..., :8], atol=1e-5)


def test_what_is_moved_by_a_coarse_voxel_is_said_elsewhere(rng: np.random.Generator) -> None:
    network, voxels = small_unet(), torch.zeros(1, 1, 24, 24, 128)
    voxels[..., 48:72] = torch.from_numpy(rng.random((24, 24, 24), dtype=np.float32))
    with torch.inference_mode():
        here, there = network(voxels), network(voxels.roll(8, -1))
    assert torch.allclose(here.roll(8, -1)[..., 48:80], there[..., 48:80], atol=1e-5)


@pytest.mark.parametrize(
    "config",
    [
        UNetConfig(widths=(8, 16), blocks=2),
        SegResNetConfig(width=8, down=(1, 1), up=(1,)),
        DynUNetConfig(widths=(4, 8, 8)),
        SwinUNETRConfig(),
        MedNeXtConfig(width=4, blocks=1),
    ],
    ids=lambda config: config.kind,
)
def test_every_kind_says_all_heads_and_knows_its_encoder(config: ArchitectureConfig) -> None:
    torch.manual_seed(1)
    network = build_network(config).eval()
    # A transformer takes half a minute on a CPU: of it the shapes are enough.
    where = "meta" if config.kind == "swinunetr" else "cpu"
    with torch.inference_mode():
        said = network.to(where)(torch.randn(1, 1, 20, 33, 31, device=where))
    assert said.shape == (1, HEADS, 20, 33, 31)
    assert where == "meta" or said.isfinite().all()
    inside = {id(weight) for part in encoder_of(network) for weight in part.parameters()}
    known = {id(weight) for weight in network.parameters()}
    assert inside
    assert inside < known


def test_seeds_decide_the_weights() -> None:
    first, again = (dict(small_unet().named_parameters()) for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="up"):
        build_network(SegResNetConfig(down=(1, 1, 1), up=(1,)))
    with pytest.raises(ConfigError, match="freeze"):
        encoder_of(torch.nn.Identity())


def test_architectures_differ_by_kind_and_size() -> None:
    known = [architecture_of(config) for config in (UNetConfig(), SMALL, DynUNetConfig())]
    assert known[0] == architecture_of(UNetConfig())
    assert known[0] != known[1] != known[2]


def drawn() -> torch.Tensor:
    labels = np.zeros((24, 24, 24), int)
    labels[4:14, 4:14, 4:14], labels[16:22, 14:22, 4:16] = 1, 2
    return torch.from_numpy(targets(labels))[None]


def test_nothing_is_lost_where_all_is_said() -> None:
    true = drawn()
    said = true[:, :HEADS].clone()
    said[:, FOREGROUND] = 40 * said[:, FOREGROUND] - 20
    terms = loss(said, true)
    assert set(terms) == {"foreground", "distance", "offset", "size"}
    assert all(float(term) == pytest.approx(0, abs=1e-5) for term in terms.values())


@pytest.mark.parametrize("head", range(HEADS))
def test_each_head_that_is_wrong_costs(head: int) -> None:
    true = drawn()
    said = true[:, :HEADS].clone()
    said[:, FOREGROUND] = 40 * said[:, FOREGROUND] - 20
    good = sum(map(float, loss(said, true).values()))
    said[:, head] = -said[:, head] + (0.5 if head else 0)
    assert sum(map(float, loss(said, true).values())) > good + 0.001


def test_what_is_unknown_has_no_gradient() -> None:
    true = drawn()
    true[:, WEIGHT, :12] = 0
    said = torch.randn(1, HEADS, 24, 24, 24, requires_grad=True)
    sum(loss(said, true).values()).backward()
    assert not said.grad[:, :, :12].any()
    assert said.grad[:, :, 12:].any()
    outside = true[:, FOREGROUND] == 0
    assert not said.grad[:, SIZE][outside].any()


def test_empty_batches_have_finite_losses() -> None:
    true = torch.zeros(2, HEADS + 1, 8, 8, 8)
    true[:, WEIGHT] = 1
    assert all(torch.isfinite(term) for term in loss(torch.randn(2, HEADS, 8, 8, 8), true).values())


def test_other_numbers_of_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="targets"):
        loss(torch.zeros(1, HEADS, 8, 8, 8), torch.zeros(1, HEADS, 8, 8, 8))
