"""The letter of DMF-LP: its loss term by term, its flaw, and the walk that a network which knows the answer ends in."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from skimage.metrics import structural_similarity
from torch import Tensor, nn

import fusion
from fusion.diffusion.literal import LiteralConfig, LiteralFuser, architecture, net_inputs, prefused
from fusion.diffusion.literal_loss import literal_loss
from fusion.diffusion.literal_weights import LiteralWeights
from fusion.diffusion.noise import alpha_bars, noised, velocity
from fusion.diffusion.unet_sizes import UNetSizes
from fusion.pixelwise import MaxConfig
from volumes import Volume, from_array
from volumes.errors import ConfigError, WeightsError
from volumes.weights import save_weights

TINY = UNetSizes(widths=(4, 8), patch=2, groups=2)
SPACING = (2.0, 0.5, 0.5)


class KnowsTheMaximum(nn.Module):
    """Says the noise that stands between x_t and the sources' maximum."""

    def forward(self, inputs: Tensor, time: Tensor) -> Tensor:
        at = alpha_bars()[time].view(-1, 1, 1, 1, 1)
        return (inputs[:, :1] - at.sqrt() * inputs[:, 2:]) / (1 - at).sqrt()


class SaysV(nn.Module):
    """The same, saying v."""

    def forward(self, inputs: Tensor, time: Tensor) -> Tensor:
        at = alpha_bars()[time].view(-1, 1, 1, 1, 1)
        return velocity(inputs[:, 2:], KnowsTheMaximum()(inputs, time), at)


def sources(rng: np.random.Generator, shape=(5, 11, 13), number: int = 2) -> list[Volume]:
    names = ("MRI", "CT", "PET")
    return [from_array(rng.uniform(0, 10.0**m, shape), SPACING, modality=names[m]) for m in range(number)]


@pytest.fixture
def trained(tmp_path: Path) -> LiteralConfig:
    torch.manual_seed(0)
    net = TINY.network(3)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.1)
    path = tmp_path / "literal.safetensors"
    save_weights(path, net, {"architecture": architecture(TINY)})
    return LiteralConfig(weights=path, network=TINY, steps=2)


def drawn(shape=(2, 1, 3, 6, 7)) -> tuple[Tensor, Tensor, Tensor]:
    """Sources in [0, 1], a clean picture in [−1, 1] and noise."""
    generator = torch.Generator().manual_seed(1)
    both = torch.rand(shape[0], 2, *shape[2:], generator=generator, dtype=torch.float64)
    clean = 2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1
    return both, clean, torch.randn(shape, generator=generator, dtype=torch.float64)


def terms(both: Tensor, clean: Tensor, noise: Tensor, said: Tensor, **lambdas: float) -> dict[str, Tensor]:
    at = torch.tensor([0.9, 0.3], dtype=torch.float64)[: clean.shape[0]]
    x = noised(clean, noise, at.view(-1, 1, 1, 1, 1))
    return literal_loss(said, noise, x, at, both, LiteralWeights(**lambdas))


def test_every_term_is_what_its_formula_says() -> None:
    both, clean, noise = drawn()
    found = terms(both, clean, noise, noise, temperature=1e6, intensity=2, structure=3, entropy=5, gradient=7)
    picture, each, at = ((clean + 1) / 2)[:, 0].numpy(), both.numpy(), (0.9, 0.3)
    flat = [np.abs(picture[b] - each[b]).mean() for b in range(2)]  # at a high τ both sources count ½ everywhere
    assert found["intensity"].item() == pytest.approx(2 * np.mean(np.multiply(at, flat)), rel=1e-5)

    def magnitude(v: np.ndarray) -> np.ndarray:
        return np.sqrt(sum(g**2 for g in np.gradient(v)))

    steep = [np.abs(magnitude(picture[b]) - np.maximum(*map(magnitude, each[b]))).mean() for b in range(2)]
    assert found["gradient"].item() == pytest.approx(7 * np.mean(np.multiply(at, steep)), rel=1e-2)
    assert found["noise"].item() == 0
    assert set(found) == {"noise", "intensity", "structure", "entropy", "gradient"}


def test_the_structural_term_is_what_scikit_image_gives() -> None:
    """A wide flat margin, so that the border's rule plays no part."""
    generator = np.random.default_rng(0)
    a, b, f = (np.pad(generator.uniform(size=(1, 12, 12)), ((0, 0), (12, 12), (12, 12))) for _ in range(3))
    both, clean = torch.as_tensor(np.stack([a, b]))[None], 2 * torch.as_tensor(f)[None, None] - 1
    found = terms(both, clean, torch.zeros_like(clean), torch.zeros_like(clean), temperature=1e6)
    alike = [
        structural_similarity(s[0], f[0], data_range=1, gaussian_weights=True, use_sample_covariance=False, full=True)[
            1
        ].mean()
        for s in (a, b)
    ]
    assert found["structure"].item() == pytest.approx(0.9 * (1 - np.mean(alike)), abs=1e-5)


def test_the_entropy_term_is_the_share_of_bits_that_are_lost() -> None:
    levels = torch.arange(16, dtype=torch.float64).repeat(4).view(1, 1, 1, 8, 8) / 15
    both = torch.cat([levels, torch.zeros_like(levels)], 1)
    black = torch.full_like(levels, -1.0)
    found = terms(both, black, torch.zeros_like(black), torch.zeros_like(black), bins=16, entropy=2)
    assert found["entropy"].item() == pytest.approx(2 * 0.9 * 4 / 4, abs=1e-6)


def test_equal_sources_and_a_net_that_finds_them_cost_nothing() -> None:
    both, _, noise = drawn()
    one = both[:, :1]
    found = terms(one.expand(-1, 2, -1, -1, -1), 2 * one - 1, noise, noise)
    assert all(abs(value.item()) < 1e-5 for value in found.values())


def test_terms_of_no_weight_are_left_out() -> None:
    both, clean, noise = drawn()
    found = terms(both, clean, noise, noise + 1, intensity=0, structure=0, entropy=0, gradient=0)
    assert list(found) == ["noise"]
    assert found["noise"].item() == pytest.approx(1)


@pytest.mark.parametrize("name", ["noise", "intensity", "structure", "entropy", "gradient"])
@pytest.mark.parametrize("shape", [(1, 1, 1, 3, 4), (1, 1, 2, 2, 3)])
def test_gradients_of_the_terms_are_those_of_finite_differences(name: str, shape) -> None:
    both, clean, noise = drawn(shape)
    said = (
        noise + 0.05 * torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    ).requires_grad_()
    alone = {"intensity": 0.0, "structure": 0.0, "entropy": 0.0, "gradient": 0.0}
    alone.update({name: 1.0} if name in alone else {})

    def term(said: Tensor) -> Tensor:
        # A fifth of the contrast, few bins: the hinge bites.
        return terms(both, clean * 0.2, noise, said, bins=4, **alone)[name]

    assert torch.autograd.gradcheck(term, (said,), eps=1e-7, atol=1e-5)
    (slope,) = torch.autograd.grad(term(said), said)
    assert slope.abs().max() > 0


def test_the_letters_flaw_the_noise_is_known_from_what_the_net_is_shown() -> None:
    """A formula without a single weight reaches a noise term of zero at every time: nothing is left to be learnt."""
    both, _, noise = drawn((1, 1, 3, 16, 17))

    def first_fusion(shown: Tensor) -> Tensor:
        return torch.tensor(prefused(list(2 * shown[0].numpy() - 1), SPACING))[None, None].double()

    clean = first_fusion(both)
    for time in (0, 500, 999):
        at = alpha_bars()[time].double()
        x = noised(clean, noise, at)
        said = (x - at.sqrt() * first_fusion(both)) / (1 - at).sqrt()
        assert (said - noise).abs().max() < 1e-9


def test_two_sources_can_be_read_back_from_their_pool_but_for_their_order(rng: np.random.Generator) -> None:
    both, x = torch.as_tensor(rng.uniform(size=(1, 2, 3, 4, 5))), torch.zeros(1, 1, 3, 4, 5)
    _, mean, most = net_inputs(x, both).split(1, dim=1)
    torch.testing.assert_close(torch.cat([2 * mean - most, most], 1), both.sort(1).values)


@pytest.mark.parametrize("scheduler", ["ddim", "dpm-solver++"])
@pytest.mark.parametrize("strength", [1.0, 0.5])
@pytest.mark.parametrize("number", [2, 3])
def test_a_net_that_knows_the_maximum_gives_the_maximum(rng, scheduler: str, strength: float, number: int) -> None:
    volumes = sources(rng, number=number)
    config = LiteralConfig(scheduler=scheduler, steps=4, strength=strength)
    got = fusion.fuse(volumes, LiteralFuser(config, KnowsTheMaximum()))
    expected = fusion.fuse(volumes, MaxConfig())
    assert got.channels == expected.channels
    assert np.abs(got.channel() - expected.channel()).max() < 2e-3 * np.ptp(expected.channel())
    assert LiteralFuser(config, KnowsTheMaximum()).scales(volumes) == MaxConfig().build().scales(volumes)


def test_a_net_may_say_v_instead(rng: np.random.Generator) -> None:
    volumes = sources(rng)
    config = LiteralConfig(steps=4, prediction="v_prediction")
    got = fusion.fuse(volumes, LiteralFuser(config, SaysV())).channel()
    expected = fusion.fuse(volumes, MaxConfig()).channel()
    assert np.abs(got - expected).max() < 2e-3 * np.ptp(expected)


def test_weights_that_say_noise_are_not_taken_for_such_as_say_v(trained: LiteralConfig) -> None:
    with pytest.raises(WeightsError, match="prediction"):
        trained.model_copy(update={"prediction": "v_prediction"}).build()


def test_where_one_source_lacks_data_the_other_carries_the_result(rng: np.random.Generator) -> None:
    a, b = sources(rng)
    holes = np.ones(a.grid.shape, bool)
    holes[:, :4] = False
    masked = Volume(b.data, b.grid, b.channels, b.time_s, holes)
    got = fusion.fuse([a, masked], LiteralFuser(LiteralConfig(steps=2), KnowsTheMaximum()))
    expected = fusion.fuse([a, masked], MaxConfig())
    assert np.abs(got.channel() - expected.channel()).max() < 2e-3 * np.ptp(expected.channel())


@pytest.mark.parametrize("shape", [(1, 9, 14), (2, 8, 8), (5, 7, 9)])
def test_one_set_of_weights_serves_slices_and_volumes_and_any_order(trained, rng, shape) -> None:
    volumes = sources(rng, shape, 3)
    fuser = trained.build()
    first = fusion.fuse(volumes, fuser).channel()
    assert first.shape == shape
    assert first.dtype == np.float32
    for order in permutations(volumes):
        assert np.array_equal(fusion.fuse(list(order), fuser).channel(), first)


def test_one_seed_one_result(trained: LiteralConfig, rng: np.random.Generator) -> None:
    volumes = sources(rng)
    first = fusion.fuse(volumes, trained.build()).channel()
    assert np.array_equal(fusion.fuse(volumes, trained.build()).channel(), first)
    other = trained.model_copy(update={"seed": 1}).build()
    assert not np.array_equal(fusion.fuse(volumes, other).channel(), first)


def test_bfloat16_differs_by_its_rounding_alone(trained: LiteralConfig, rng: np.random.Generator) -> None:
    volumes = sources(rng)
    exact = fusion.fuse(volumes, trained.build()).channel()
    half = fusion.fuse(volumes, trained.model_copy(update={"precision": "bfloat16"}).build()).channel()
    assert half.dtype == np.float32
    assert 0 < np.abs(half - exact).max() < 0.1 * np.ptp(exact)


def test_missing_and_foreign_weights_are_refused_with_their_name(trained: LiteralConfig, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"weights: dmf-lp-literal needs a file.*fusetrack train"):
        LiteralConfig().build()
    with pytest.raises(WeightsError, match=r"absent\.safetensors"):
        LiteralConfig(weights=tmp_path / "absent.safetensors").build()
    with pytest.raises(WeightsError, match=r"literal\.safetensors.*architecture\.widths"):
        trained.model_copy(update={"network": UNetSizes(widths=(4, 4), patch=2, groups=2)}).build()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_an_error(trained: LiteralConfig) -> None:
    with pytest.raises(ConfigError, match="device: torch sees no such device"):
        trained.model_copy(update={"device": "cuda"}).build()


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"strength": 0.0}, {"scheduler": "euler"}, {"step": 3}, {"seed": -1}])
def test_a_setting_out_of_range_is_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        LiteralConfig(**wrong)
