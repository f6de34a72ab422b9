"""What holds for any weights: equal sources come back, order leaves no trace, weights are convex, the range bounded."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional

from fusion.diffusion.architecture import MODALITIES, NetworkConfig, architecture_of, number_of
from fusion.diffusion.bands import collapse, gaussian, laplacian, plan_of, prefused
from fusion.diffusion.network import BASE, DARK, FAINT, GATE, OWN, Convolution, FusionNetwork, Inputs, Prediction
from volumes.modality import KNOWN

SMALL = NetworkConfig(widths=(6, 8, 8, 8), residual=0.5)
SHAPES = [(8, 16, 12), (5, 13, 18), (1, 24, 19), (3, 1, 9), (1, 3, 5), (2, 2, 2), (1, 1, 1)]
CUBIC = (1.0, 1.0, 1.0)


def perturbed(config: NetworkConfig = SMALL, seed: int = 0, kind: torch.dtype = torch.float64) -> FusionNetwork:
    """Far from its start, where nothing is invented and the logits are those of energies alone."""
    torch.manual_seed(seed)
    net = FusionNetwork(config)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        for name, parameter in net.named_parameters():
            parameter.mul_(10 if "logit" in name else 1)
    return net.to(kind)


def inputs_of(sources: Tensor, modalities: list[int] | None = None, barred: list[Tensor] | None = None) -> Inputs:
    batch, number = sources.shape[:2]
    known = torch.tensor([modalities or list(range(1, number + 1))] * batch)
    return Inputs(sources, plan_of(sources.shape[2:], CUBIC, SMALL.halvings), known, barred)


def predicted(net: FusionNetwork, inputs: Inputs, time: float = 0.3) -> Prediction:
    with torch.no_grad():
        return net(inputs, prefused(inputs.sources, inputs.plan), torch.full((len(inputs.sources),), time).double())


def drawn(rng: np.random.Generator, number: int, shape: tuple[int, ...], batch: int = 1) -> Tensor:
    return torch.as_tensor(rng.uniform(size=(batch, number, *shape)))


@pytest.fixture(scope="module")
def net() -> FusionNetwork:
    return perturbed()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("number", [2, 3, 4])
def test_equal_sources_come_back_whatever_their_modalities(net, rng, shape, number: int) -> None:
    one = drawn(rng, 1, shape, 2)
    out = predicted(net, inputs_of(one.expand(-1, number, -1, -1, -1)))
    assert torch.equal(out.fused, one.double())
    assert out.invented.abs().max() < 1e-14


@pytest.mark.parametrize("shape", SHAPES[:4])
@pytest.mark.parametrize("number", [2, 3, 4])
def test_the_order_of_sources_leaves_no_trace_beyond_rounding(net, rng, shape, number: int) -> None:
    sources, names = drawn(rng, number, shape), list(range(1, number + 1))
    first = predicted(net, inputs_of(sources, names))
    assert (first.fused - sources.mean(1, keepdim=True)).abs().max() > 1e-2
    for order in list(permutations(range(number)))[1:6]:
        other = predicted(net, inputs_of(sources[:, list(order)], [names[i] for i in order]))
        assert (other.fused - first.fused).abs().max() < 1e-11
        for mine, theirs in zip(first.weights, other.weights, strict=True):
            assert (mine[:, list(order)] - theirs).abs().max() < 1e-11


@pytest.mark.parametrize("shape", SHAPES)
def test_weights_are_convex_and_the_result_is_what_they_make_and_what_was_invented(net, rng, shape) -> None:
    sources = drawn(rng, 3, shape, 2)
    sources[:, 1] *= 20
    inputs = inputs_of(sources)
    out = predicted(net, inputs)
    assert len(out.weights) == len(inputs.plan) + 1
    for weight, band in zip([*out.weights, out.own], [*gaussian(sources, inputs.plan), sources], strict=True):
        assert weight.shape == band.shape
        assert weight.min() >= 0
        assert (weight.sum(1) - 1).abs().max() < 1e-12
    assert out.gate.min() >= 0
    assert out.gate.max() <= 1
    chosen = [(w * b).sum(1, keepdim=True) for w, b in zip(out.weights, laplacian(sources, inputs.plan), strict=True)]
    values = (out.own * sources).sum(1, keepdim=True)
    mixed = out.gate * collapse(chosen, inputs.plan) + (1 - out.gate) * values
    assert (mixed + out.invented - out.fused).abs().max() < 1e-12
    assert out.invented.abs().max() > 1e-3


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("residual", [0.0, 0.1, 0.5])
def test_no_voxel_lies_further_beyond_its_sources_than_the_residual_allows(rng, shape, residual: float) -> None:
    sources = drawn(rng, 2, shape)
    out = predicted(perturbed(NetworkConfig(widths=SMALL.widths, residual=residual)), inputs_of(sources))
    low, high = sources.amin(1, keepdim=True), sources.amax(1, keepdim=True)
    beyond = torch.maximum(low - out.fused, out.fused - high)
    assert (beyond <= residual * (high - low) + 1e-12).all()


def test_what_was_invented_is_bounded_where_the_mixture_lies_between_the_sources(net, rng) -> None:
    sources = drawn(rng, 2, (6, 20, 20))
    out = predicted(net, inputs_of(sources))
    low, high = sources.amin(1, keepdim=True), sources.amax(1, keepdim=True)
    mixed = out.fused - out.invented
    between = (mixed >= low) & (mixed <= high)
    assert between.double().mean() > 0.5
    assert (out.invented.abs() <= SMALL.residual * (high - low) + 1e-12)[between].all()


@pytest.mark.parametrize("shape", [(1, 40, 40), (12, 20, 20)])
def test_where_all_sources_are_black_the_result_is(net: FusionNetwork, rng: np.random.Generator, shape) -> None:
    """Exactly, beside bright things too."""
    sources = drawn(rng, 2, shape)
    dark = torch.as_tensor(rng.random(shape) < 0.5)
    sources[..., dark] = 0
    out = predicted(net, inputs_of(sources)).fused
    assert out[..., dark].abs().max() == 0
    assert out[..., ~dark].abs().min() > 0


def test_what_is_barred_is_never_chosen(net: FusionNetwork, rng: np.random.Generator) -> None:
    sources = drawn(rng, 3, (4, 12, 10))
    open_ = inputs_of(sources)
    shut = [torch.as_tensor(rng.random(band.shape) < 0.5) for band in gaussian(sources, open_.plan)]
    for level in shut:
        level[:, 2] = False
    out = predicted(net, inputs_of(sources, barred=shut))
    for weight, level in zip(out.weights, shut, strict=True):
        assert weight[level].abs().max() == 0
        assert (weight.sum(1) - 1).abs().max() < 1e-12
        assert weight[~level].min() > 0


def test_items_of_a_batch_do_not_see_each_other_and_each_has_its_time(net, rng) -> None:
    sources = drawn(rng, 2, (3, 9, 8), 2)
    inputs = inputs_of(sources)
    state, times = prefused(sources, inputs.plan), torch.tensor([0.1, 0.9]).double()
    with torch.no_grad():
        both = net(inputs, state, times).fused
        for i in range(2):
            own = Inputs(sources[[i]], inputs.plan, inputs.modalities[[i]])
            assert (net(own, state[[i]], times[[i]]).fused - both[[i]]).abs().max() < 1e-12
        assert (net(inputs, state, times.flip(0)).fused - both).abs().max() > 1e-6
        assert (net(inputs, state + 0.3, times).fused - both).abs().max() > 1e-6


def test_modalities_play_a_part(net: FusionNetwork, rng: np.random.Generator) -> None:
    sources = drawn(rng, 2, (1, 9, 8))
    first, other = (predicted(net, inputs_of(sources, names)).fused for names in ([1, 2], [1, 3]))
    assert (first - other).abs().max() > 1e-6


def test_every_parameter_that_takes_part_learns(rng: np.random.Generator) -> None:
    net = perturbed()
    inputs = inputs_of(drawn(rng, 3, (9, 10, 11)))
    out = net(inputs, prefused(inputs.sources, inputs.plan), torch.tensor([0.3]).double())
    (out.fused - 0.1).square().sum().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or p.grad.abs().max() == 0] == []


def test_a_fresh_network_is_a_soft_choice_by_energy_beside_a_soft_maximum(rng: np.random.Generator) -> None:
    torch.manual_seed(0)
    fresh, sources = FusionNetwork(SMALL).double(), drawn(rng, 2, (6, 12, 12))
    inputs = inputs_of(sources)
    out = predicted(fresh, inputs)
    bands = laplacian(sources, inputs.plan)
    for weight, band in zip(out.weights[:-1], bands[:-1], strict=True):
        energy = functional.conv3d((band**2).transpose(0, 1), band.new_ones(1, 1, 3, 3, 3), padding=1).transpose(0, 1)
        root = (energy + FAINT).sqrt()
        assert (weight - root / root.sum(1, keepdim=True)).abs().max() < 1e-9
    assert (out.weights[-1] - (BASE * bands[-1]).softmax(1)).abs().max() < 1e-12
    powers = (sources.clamp_min(0) + DARK) ** OWN
    assert (out.own - powers / powers.sum(1, keepdim=True)).abs().max() < 1e-12
    assert (out.gate - 1 / (1 + math.exp(-GATE))).abs().max() < 1e-12
    assert torch.equal(out.fused, predicted(fresh, inputs, time=0.9).fused)


def test_a_voxel_that_is_halved_away_keeps_its_place(rng: np.random.Generator) -> None:
    """Stride 2 starts at voxel 0, as the pyramid does."""
    layer = Convolution(2, 3).double()
    for shape, axes in (((5, 8, 7), (0, 1, 2)), ((6, 5, 9), (1, 2)), ((1, 8, 7), (1, 2)), ((4, 1, 7), (0, 2))):
        x = drawn(rng, 2, shape)
        whole = functional.conv3d(functional.pad(x, (1,) * 6), layer.weight, layer.bias)
        kept = whole[(slice(None), slice(None), *(slice(None, None, 2 if a in axes else 1) for a in range(3)))]
        assert (layer(x, axes) - kept).abs().max() < 1e-12
        assert (layer(x) - whole).abs().max() < 1e-12


def test_the_architecture_says_all_that_shapes_the_weights() -> None:
    said = architecture_of(SMALL)
    assert said["widths"] == [6, 8, 8, 8]
    assert said["modalities"] == list(MODALITIES)
    assert SMALL.halvings == 3
    assert all(number_of(name) == i for i, name in enumerate(MODALITIES))
    assert number_of("sonar") == number_of("unknown") == 0
    assert {known.name for known in KNOWN.values()} - {"labels"} == set(MODALITIES) - {"unknown"}


@pytest.mark.parametrize("wrong", [{"widths": (8,)}, {"residual": -0.1}, {"residual": 1.5}, {"depth": 3}])
def test_sizes_out_of_range_are_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        NetworkConfig(**wrong)
