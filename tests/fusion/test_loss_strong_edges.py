"""The hinge on strong edges asks nothing where the metric finds all of them kept, and grows with what it finds lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from fusion.losses.strong_edges import ASKED, STRONG, strong_edge_hinge
from fusion.metrics import edges, lost_edges

SHAPES = [(1, 40, 41), (9, 16, 17)]


def drawn(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    smooth = ndimage.gaussian_filter(rng.normal(size=shape), [1.5 * (n > 1) for n in shape])
    return (smooth - smooth.min()) / np.ptp(smooth)


def hinge(fused: np.ndarray, source: np.ndarray) -> float:
    pair = (torch.as_tensor(np.ascontiguousarray(x), dtype=torch.float64)[None, None] for x in (fused, source))
    return strong_edge_hinge(*pair).item()


def slow(fused: np.ndarray, source: np.ndarray) -> float:
    """As the equation reads."""
    axes = [a for a in range(3) if source.shape[a] > 1]
    f, g = (np.stack([np.gradient(x, axis=a) for a in axes]) for x in (fused, source))
    after, before = np.sqrt((f**2).sum(0)), np.sqrt((g**2).sum(0))
    strong = before >= np.quantile(before, STRONG)
    along = (f * g).sum(0)[strong] / (ASKED * before[strong] ** 2)
    return float(np.mean(np.maximum(0, 1 - after[strong] / (ASKED * before[strong])) * np.maximum(0, 1 - along)))


def test_it_asks_for_every_edge_that_the_metric_counts() -> None:
    assert STRONG <= edges.STRONG
    assert ASKED > edges.KEPT


@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_the_formula(rng: np.random.Generator, shape) -> None:
    a, b = drawn(rng, shape), drawn(rng, shape)
    for fused in (b, 0.7 * a + 0.3 * b, np.maximum(a, b), 0.2 * a):
        assert hinge(fused, a) == pytest.approx(slow(fused, a), abs=4e-3)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.35, 0.55, 1.0, 2.0])
def test_a_share_of_the_source_misses_what_lacks_to_the_share_asked(rng, shape, share: float) -> None:
    a = drawn(rng, shape)
    got = hinge(0.5 + share * (a - 0.5), a)
    assert got == pytest.approx(max(0, 1 - share / ASKED) ** 2, abs=2e-3)
    if share > ASKED:
        assert got == 0
        assert lost_edges(share * a, [a], (1.0, 1.0, 1.0)) == [0]


@pytest.mark.parametrize("shape", SHAPES)
def test_what_the_metric_finds_lost_is_missed(rng: np.random.Generator, shape) -> None:
    """A lost edge has less than 0.3 of its gradient, so that two fifths of what is asked are missing."""
    a, counted = drawn(rng, shape), (1 - edges.STRONG) / (1 - STRONG)
    seen = []
    for own in (0.05, 0.15, 0.3, 0.6):
        fused = own * a + (1 - own) * drawn(rng, shape)
        lost = lost_edges(fused, [a], (1.0, 1.0, 1.0))[0]
        assert hinge(fused, a) > (1 - edges.KEPT / ASKED) ** 2 * counted * lost - 0.01
        seen.append(lost)
    assert max(seen) > 0.05


def test_saturated_pictures_of_the_atlas_miss_edges_in_the_maximum_and_not_in_the_mean(data: Path) -> None:
    folder = data / "fusion" / "harvard" / "CT-MRI"
    name = sorted(path.name for path in (folder / "CT").iterdir())[0]
    ct, mri = (np.asarray(Image.open(folder / kind / name), float)[None] / 255 for kind in ("CT", "MRI"))
    missed = {"max": hinge(np.maximum(ct, mri), mri), "mean": hinge((ct + mri) / 2, mri)}
    assert missed["max"] > 3 * missed["mean"]
    assert missed["max"] > 0.1


def test_only_strong_edges_count_and_items_are_judged_apart() -> None:
    source = torch.zeros(2, 1, 1, 30, 30, dtype=torch.float64)
    source[..., 6:10] = source[..., 18:24] = 1  # eight of thirty columns have a gradient of 0.5
    source[..., 4:, :3] += 0.05
    fused = source.clone()
    fused[0, ..., :4] = 0
    fused[1, ..., 4:14] = 0.5
    found = strong_edge_hinge(fused, source)
    assert found[0] == 0
    assert found[1].item() == pytest.approx(0.5)


def test_a_flat_picture_is_told_which_way_to_go(rng: np.random.Generator) -> None:
    """Where another source is saturated the picture is flat; the least step down the hinge shows the edges there."""
    source = torch.as_tensor(drawn(rng, (1, 30, 30)))[None, None]
    flat = torch.ones_like(source).requires_grad_()
    before = strong_edge_hinge(flat, source)
    assert before.item() == pytest.approx(1)
    before.sum().backward()
    step = flat.detach() - 2 * flat.grad
    assert strong_edge_hinge(step, source).item() < 0.97
    assert lost_edges(step[0, 0].numpy() * 50, [source[0, 0].numpy()])[0] < 1


@pytest.mark.parametrize("shape", [(1, 6, 7), (3, 5, 4)])
def test_its_gradient_is_that_of_finite_differences(rng: np.random.Generator, shape) -> None:
    source = torch.as_tensor(drawn(rng, shape))[None, None]
    fused = (0.2 * source + 0.1 * torch.as_tensor(drawn(rng, shape))).requires_grad_()
    assert strong_edge_hinge(fused, source).item() > 0.1
    assert torch.autograd.gradcheck(lambda f: strong_edge_hinge(f, source), (fused,), eps=1e-7, atol=1e-5)


def test_flat_pictures_ask_for_nothing_infinite() -> None:
    flat = torch.full((1, 1, 2, 6, 6), 0.5, requires_grad=True)
    strong_edge_hinge(flat, flat.detach()).sum().backward()
    assert flat.grad is not None
    assert flat.grad.isfinite().all()
