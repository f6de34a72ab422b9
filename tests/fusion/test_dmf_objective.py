"""Each term of the objective weighs as configured and asks of the items that it should; its gradient is right."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy import ndimage
from skimage.metrics import structural_similarity
from torch import Tensor

from fusion.diffusion.objective import (
    ASKED,
    BEYOND,
    KEPT,
    LEAST,
    LEVELS,
    LOUDEST,
    MOST,
    RANGE,
    TOLD,
    _bent,
    held,
    objective,
    tamed,
)
from fusion.diffusion.objective_config import ObjectiveConfig
from fusion.losses.entropy import boundary_entropy_hinge, entropy_hinge
from fusion.losses.strong_edges import strong_edge_hinge
from fusion.metrics import evaluate, per_source

NONE = {"target": 0.0, "gains": 0.0, "edges": 0.0, "entropy": 0.0, "boundary_entropy": 0.0}
TERMS = tuple(NONE)
SHAPE = (1, 44, 42)
FIGURES = ("SCD", "VIF", "Q", "SSIM")


def drawn(rng: np.random.Generator, number: int, shape: tuple[int, ...] = SHAPE, batch: int = 2) -> Tensor:
    """Smooth pictures within 0.05 to 0.95, float64."""
    smooth = ndimage.gaussian_filter(rng.normal(size=(batch, number, *shape)), [0, 0, *(1.5 * (n > 1) for n in shape)])
    return torch.as_tensor(0.05 + 0.9 * (smooth - smooth.min()) / np.ptp(smooth))


def terms(fused: Tensor, sources: Tensor, aim: Tensor | None = None, undegraded=None, **weights: float) -> dict:
    clean = torch.ones(len(fused), dtype=torch.bool) if undegraded is None else torch.tensor(undegraded)
    own = sources.mean(1, keepdim=True) if aim is None else aim
    found = objective(ObjectiveConfig(**{**NONE, **weights}), fused, own, sources, clean)
    return {name: term.item() for name, term in found.items()}


def with_noise(rng: np.random.Generator, sources: Tensor) -> Tensor:
    return sources.mean(1, keepdim=True) + 0.05 * torch.as_tensor(rng.normal(size=(len(sources), 1, *SHAPE)))


@pytest.mark.parametrize("name", TERMS)
def test_a_term_grows_with_its_weight_and_is_left_out_without_one(rng: np.random.Generator, name: str) -> None:
    sources = drawn(rng, 2)
    fused = with_noise(rng, sources) * 0.3
    one, three = (terms(fused, sources, **{name: weight}) for weight in (1.0, 3.0))
    assert set(one) == {name}
    assert one[name] != 0
    assert three[name] == pytest.approx(3 * one[name])
    assert terms(fused, sources) == {}
    both = terms(fused, sources, **{name: 2.0, "target": 5.0})
    assert set(both) == {name, "target"}


def test_the_target_is_ten_times_the_mean_difference(rng: np.random.Generator) -> None:
    sources, target = drawn(rng, 2), drawn(rng, 1)
    fused = target + 0.03
    assert terms(fused, sources, target, target=1.0)["target"] == pytest.approx(0.3)
    assert terms(target, sources, target, target=1.0)["target"] == 0


def test_the_target_weighs_less_only_where_gains_are_asked_of_an_undegraded_item(rng: np.random.Generator) -> None:
    sources, target = drawn(rng, 2), drawn(rng, 1)
    off = torch.tensor([0.1, 0.3]).view(2, 1, 1, 1, 1)
    given = {"target": 1.0, "target_undegraded": 0.2}
    for seen, expected in (([False, False], 2.0), ([True, False], 1.6), ([True, True], 0.4)):
        found = terms(target + off, sources, target, seen, gains=1.0, **given)["target"]
        assert found == pytest.approx(expected)
    assert terms(target + off, sources, target, [True, True], **given)["target"] == pytest.approx(2.0)


@pytest.mark.parametrize("number", [2, 3])
def test_the_maximum_itself_has_no_gain(rng: np.random.Generator, number: int) -> None:
    sources = drawn(rng, number)
    assert terms(sources.amax(1, keepdim=True), sources, gains=1.0)["gains"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("share", [0.5, 0.8, 1.2])
def test_gains_are_those_of_the_evaluators_figures(rng: np.random.Generator, share: float) -> None:
    """Relative to the maximum's; beyond what is asked they count a quarter, and each figure as it is weighed."""
    sources = drawn(rng, 2, batch=1)
    fused = (share * sources.amax(1, keepdim=True) + (1 - share) * sources.amin(1, keepdim=True)).clamp(0, 1)
    figures = []
    own = [LEVELS * s.numpy() for s in sources[0, :, 0]]
    for picture in (fused, sources.amax(1, keepdim=True)):
        seen = LEVELS * picture[0, 0, 0].numpy()
        whole = evaluate(seen, own)
        similar = sum(structural_similarity(s, seen, data_range=RANGE) for s in own)
        figures.append([whole["SCD"], whole["VIF"], whole["Qabf"], similar])
    after, before = np.array(figures)
    gain = (after - before) / np.maximum(before, [LEAST[name] for name in FIGURES])
    asked = np.array([ASKED[name] for name in FIGURES])
    bent = np.where(gain < asked, gain, asked + BEYOND * np.minimum(gain - asked, MOST))
    assert np.abs(gain).max() > 0.05
    for counts in ((2.0, 1.0, 1.0, 5.0), (0.0, 3.0, 0.5, 1.0)):
        weights = dict(zip(("differences", "fidelity", "transfer", "similarity"), counts, strict=True))
        expected = -(bent * counts).sum()
        # The evaluator's own slip where two edges are equally strong, as the maximum's are, is what differs.
        assert terms(fused, sources, gains=1.0, **weights)["gains"] == pytest.approx(expected, abs=0.01)


def test_a_source_that_is_hidden_costs_what_the_evaluator_misses_of_it(rng: np.random.Generator) -> None:
    """The one that is copied costs nothing."""
    sources = drawn(rng, 2, batch=1)
    own = [LEVELS * s.numpy() for s in sources[0, :, 0]]
    there = per_source(LEVELS * sources.amax(1)[0, 0].numpy(), own)["VIF"]
    kept = per_source(own[0], own)["VIF"]
    missing = [max(0.0, KEPT - k / max(t, TOLD)) for k, t in zip(kept, there, strict=True)]
    assert missing[0] == 0
    assert missing[1] > 0.3
    copied = sources[:, :1]
    plain, guarded = (terms(copied, sources, gains=1.0, own_fidelity=weight)["gains"] for weight in (0.0, 2.0))
    assert guarded - plain == pytest.approx(2 * sum(missing), abs=0.01)
    highest = terms(sources.amax(1, keepdim=True), sources, gains=1.0, own_fidelity=2.0)
    assert highest["gains"] == pytest.approx(0, abs=1e-9)


def test_white_that_comes_darker_costs_its_grey_levels(rng: np.random.Generator) -> None:
    """What lies above white does not, nor what no source has white, nor what came degraded."""
    sources = drawn(rng, 2, batch=1)
    sources[:, 1, :, :11] = 1.0
    fused = torch.full_like(sources[:, :1], 0.9)
    assert terms(fused, sources, white=2.0)["white"] == pytest.approx(2 * 0.1 * LEVELS * 11 / SHAPE[1])
    assert terms(fused + 0.2, sources, white=2.0)["white"] == 0
    assert terms(fused, sources.clamp(max=0.99), white=2.0)["white"] == 0
    assert terms(fused, sources, undegraded=[False], white=2.0)["white"] == 0


def test_what_is_beyond_the_asked_counts_a_share_and_has_an_end() -> None:
    gain = torch.tensor([-3.0, -0.2, 0.0, 0.1, 0.15, 0.35, 0.65, 9.0], dtype=torch.float64)
    expected = [-1.0, -0.2, 0.0, 0.1, 0.15, 0.15 + BEYOND * 0.2, 0.15 + BEYOND * 0.5, 0.15 + BEYOND * MOST]
    assert _bent(gain, 0.15).tolist() == pytest.approx(expected)


def test_gains_are_asked_of_undegraded_items_alone(rng: np.random.Generator) -> None:
    sources, fused = drawn(rng, 2), drawn(rng, 1)
    first = terms(fused[:1], sources[:1], gains=1.0)["gains"]
    assert terms(fused, sources, undegraded=[True, False], gains=1.0)["gains"] == pytest.approx(first)
    assert terms(fused, sources, undegraded=[False, False], gains=1.0)["gains"] == 0


def test_without_an_undegraded_item_there_is_still_a_gradient_of_zero(rng: np.random.Generator) -> None:
    fused = drawn(rng, 1).requires_grad_()
    none = torch.zeros(2, dtype=torch.bool)
    found = objective(ObjectiveConfig(target=0, gains=1), fused, fused.detach(), drawn(rng, 2), none)
    sum(found.values()).backward()
    assert fused.grad.abs().max() == 0


def test_edges_and_entropies_are_those_of_the_losses(rng: np.random.Generator) -> None:
    sources = drawn(rng, 3)
    fused = 0.3 * drawn(rng, 1) + 0.4
    clean = [False, True]
    edges = sum(strong_edge_hinge(fused, sources[:, m : m + 1]).mean().item() for m in range(3))
    assert edges > 0.1
    assert terms(fused, sources, undegraded=clean, edges=1.0)["edges"] == pytest.approx(edges)
    for name, hinge in (("entropy", entropy_hinge), ("boundary_entropy", boundary_entropy_hinge)):
        expected = hinge(fused, sources, 32).mean().item()
        assert expected > 0
        assert terms(fused, sources, undegraded=clean, **{name: 1.0})[name] == pytest.approx(expected)


def test_the_gradient_of_the_sum_is_that_of_finite_differences(rng: np.random.Generator) -> None:
    sources = drawn(rng, 2, (2, 18, 17))
    target = 0.5 * sources.sum(1, keepdim=True)
    fused = (target + 0.01 * torch.as_tensor(rng.normal(size=target.shape))).requires_grad_()
    clean = torch.tensor([True, False])
    # Histograms are stepwise linear; their gradient is tested where they are.
    config = ObjectiveConfig(target=1, gains=1, edges=1)

    def total(x: Tensor) -> Tensor:
        return torch.stack(list(objective(config, x, target, sources, clean).values())).sum()

    near = {"eps": 1e-7, "atol": 1e-4, "rtol": 1e-3, "fast_mode": True, "check_undefined_grad": False}
    assert torch.autograd.gradcheck(total, (fused,), **near)


def test_a_held_picture_is_cut_and_only_told_to_come_back() -> None:
    fused = torch.tensor([-0.2, -0.2, 0.0, 0.5, 0.5, 1.0, 1.3, 1.3], dtype=torch.float64).requires_grad_()
    cut = held(fused)
    assert cut.tolist() == pytest.approx([0, 0, 0, 0.5, 0.5, 1, 1, 1], abs=1e-12)
    pull = torch.tensor([3.0, -3.0, 3.0, 3.0, -3.0, -3.0, 3.0, -3.0], dtype=torch.float64)
    cut.backward(pull)
    assert fused.grad.tolist() == [0, -3, 3, 3, -3, -3, 3, 0]


def test_what_is_drawn_above_white_shows_nothing(rng: np.random.Generator) -> None:
    """On a saturated source the edges of another one count only where a file would hold them."""
    sources = torch.cat([torch.ones(1, 1, *SHAPE, dtype=torch.float64), drawn(rng, 1, batch=1)], 1)
    above, below = 1 + 0.5 * sources[:, 1:], 1 - 0.5 * sources[:, 1:]
    flat = terms(torch.ones_like(above), sources, edges=1.0)["edges"]
    assert terms(above, sources, edges=1.0)["edges"] == pytest.approx(flat)
    assert terms(1.2 - below, sources, edges=1.0)["edges"] < 0.5 * flat


def test_no_voxel_drowns_the_others_of_its_item() -> None:
    fused = torch.rand(2, 1, 1, 5, 5, requires_grad=True)
    pull = torch.ones_like(fused)
    pull[0, ..., 0, 0], pull[0, ..., 0, 1], pull[0, ..., 0, 2] = 1e6, -1e6, torch.nan
    pull[1, ..., 0, 0], pull[1, ..., 0, 1] = -20.0, 1.5
    same = tamed(fused)
    assert torch.equal(same, fused)
    same.backward(pull)
    expected = pull.clone()
    expected[0, ..., 0, :3] = torch.tensor([LOUDEST, -LOUDEST, 0])
    torch.testing.assert_close(fused.grad, expected)
    assert tamed(fused[:0]).shape == (0, 1, 1, 5, 5)


@pytest.mark.parametrize("shape", [(1, 96, 20), (6, 16, 16), (2, 3, 5)])
def test_every_term_of_any_shape_is_finite_and_has_a_finite_gradient(rng: np.random.Generator, shape) -> None:
    sources = drawn(rng, 2, shape).float()
    sources[:, 1, :, : shape[1] // 2] = 0
    sources[1] = 0
    for start in (sources.mean(1, keepdim=True), torch.zeros(2, 1, *shape), sources.amax(1, keepdim=True)):
        fused = start.clone().requires_grad_()
        weights = dict.fromkeys(TERMS, 1.0)
        clean = torch.ones(2, dtype=torch.bool)
        found = objective(ObjectiveConfig(**weights), fused, sources.amax(1, keepdim=True), sources, clean)
        assert set(found) == set(TERMS)
        sum(found.values()).backward()
        assert all(term.isfinite() for term in found.values())
        assert fused.grad.isfinite().all()


@pytest.mark.parametrize("wrong", [{"gains": -1.0}, {"target_undegraded": -0.1}, {"contrast": 1.0}])
def test_weights_out_of_range_are_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        ObjectiveConfig(**wrong)
