"""VIF, Q and SCD in torch are the published evaluator's, on real and drawn pairs, with the gradient they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor

from fusion.losses.differences import correlation, difference_correlation
from fusion.losses.edge_transfer import edge_transfer
from fusion.losses.planes import as_planes
from fusion.losses.visual_fidelity import visual_fidelity
from fusion.metrics import evaluate, grey, per_source

SAME_STRENGTH = 0.9994 - 0.9994 / (1 + np.exp(-7.5))
"""What the published Q gives beyond the formula where two edges are equally strong: it takes g itself for g/g."""
BEST = 0.9994 / (1 + np.exp(-7.5)) * 0.9879 / (1 + np.exp(-4.4))
"""The formula's Q of a picture and itself."""


def tensor(*planes: np.ndarray) -> Tensor:
    """(1, pictures, z, y, x) of float64."""
    return torch.as_tensor(np.stack([np.atleast_3d(p.T).T for p in planes]), dtype=torch.float64)[None]


def drawn(rng: np.random.Generator, shape: tuple[int, ...], number: int = 2) -> list[np.ndarray]:
    """Smooth pictures of 10 to 245."""
    smooth = [ndimage.gaussian_filter(rng.normal(size=shape), [2 * (n > 4) for n in shape]) for _ in range(number)]
    return [10 + 235 * (s - s.min()) / np.ptp(s) for s in smooth]


def mixed(a: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
    """What fusers make: the mean, a weighted mean, one too bright and one that runs against a source."""
    return [(a + b) / 2, 0.8 * a + 0.2 * b, np.clip(1.3 * np.sqrt(a * b), 0, 255), (255 - a + 2 * b) / 3]


@pytest.fixture(scope="module")
def real(data: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Two registered pairs of each kind."""
    pairs = []
    for kinds in ("CT-MRI", "PET-MRI", "SPECT-MRI"):
        folder = data / "fusion" / "harvard" / kinds
        first, second = kinds.split("-")
        for name in sorted(path.name for path in (folder / first).iterdir())[:2]:
            values = [np.asarray(Image.open(folder / kind / name)) for kind in (first, second)]
            a, b = ((grey(v) if v.ndim == 3 else v).astype(float) for v in values)
            pairs.append((a, b))
    return pairs


def figures(fused: np.ndarray, sources: list[np.ndarray]) -> dict[str, list[float]]:
    return {
        "VIF": [visual_fidelity(tensor(s), tensor(fused)).item() for s in sources],
        "Qabf": [edge_transfer(tensor(s) / 255, tensor(fused) / 255).item() for s in sources],
        "SCD": [difference_correlation(tensor(fused) / 255, tensor(*sources) / 255).item()],
    }


def expected(fused: np.ndarray, sources: list[np.ndarray]) -> dict[str, list[float]]:
    own = per_source(fused, sources)
    return {"VIF": own["VIF"], "Qabf": own["Qabf"], "SCD": [evaluate(fused, sources)["SCD"]]}


def test_real_pairs_get_the_evaluators_figures(real: list[tuple[np.ndarray, np.ndarray]]) -> None:
    for a, b in real:
        fused = (a + b) / 2
        want, got = expected(fused, [a, b]), figures(fused, [a, b])
        for name, values in got.items():
            assert values == pytest.approx(want[name], abs=2e-5), name


def test_several_sources_together_get_the_evaluators_q(real: list[tuple[np.ndarray, np.ndarray]]) -> None:
    for a, b in real:
        fused = 0.25 * a + 0.75 * b
        got = edge_transfer(tensor(a, b) / 255, tensor(fused) / 255).item()
        assert got == pytest.approx(evaluate(fused, [a, b])["Qabf"], abs=2e-5)


def test_of_the_maximum_only_the_published_slip_in_equal_edges_is_left_out(
    real: list[tuple[np.ndarray, np.ndarray]],
) -> None:
    for a, b in real:
        fused = np.maximum(a, b)
        want, got = expected(fused, [a, b]), figures(fused, [a, b])
        for published, own in zip(want["Qabf"], got["Qabf"], strict=True):
            assert -1e-5 < published - own < SAME_STRENGTH
        assert got["VIF"] + got["SCD"] == pytest.approx(want["VIF"] + want["SCD"], abs=1e-9)


@pytest.mark.parametrize("shape", [(64, 48), (41, 60), (33, 25), (17, 24)])
def test_drawn_pictures_get_them_too_with_as_many_scales_as_fit(rng: np.random.Generator, shape) -> None:
    a, b = drawn(rng, shape)
    for fused in mixed(a, b):
        got = figures(fused, [a, b])
        own = per_source(fused, [a, b])
        assert got["VIF"] == pytest.approx(own["VIF"], abs=1e-9)
        assert got["Qabf"] == pytest.approx(own["Qabf"], abs=2e-5)


@pytest.mark.parametrize("range_", [1.0, 30.0, 255.0])
def test_single_precision_and_the_range_play_no_part(rng: np.random.Generator, range_: float) -> None:
    a, b = drawn(rng, (48, 52))
    fused = (2 * a + b) / 3
    own = expected(fused, [a, b])
    single = [(tensor(x) / 255 * range_).float() for x in (a, b, fused)]
    assert edge_transfer(single[0], single[2]).item() == pytest.approx(own["Qabf"][0], abs=1e-4)
    found = difference_correlation(single[2], torch.cat(single[:2], 1)).item()
    assert found == pytest.approx(own["SCD"][0], abs=1e-4)
    assert visual_fidelity(255 / range_ * single[0], 255 / range_ * single[2]).item() == pytest.approx(
        own["VIF"][0], abs=1e-4
    )


def test_a_volume_is_judged_plane_by_plane(rng: np.random.Generator) -> None:
    a, b = drawn(rng, (3, 44, 46))
    fused = (a + 2 * b) / 3
    own = [per_source(f, [x]) for f, x in zip(fused, a, strict=True)]
    assert visual_fidelity(tensor(a), tensor(fused)).item() == pytest.approx(np.mean([o["VIF"][0] for o in own]))
    weights = [np.hypot(*(ndimage.sobel(p, axis, mode="constant") for axis in (0, 1))).sum() for p in a]
    mean = np.average([o["Qabf"][0] for o in own], weights=weights)
    assert edge_transfer(tensor(a), tensor(fused)).item() == pytest.approx(mean, abs=2e-5)


def test_items_of_a_batch_do_not_see_each_other(rng: np.random.Generator) -> None:
    pictures = [torch.cat([tensor(*drawn(rng, (2, 30, 26))) for _ in range(2)]) for _ in range(2)]
    a, fused = pictures[0][:, :1], pictures[1][:, :1]
    for figure in (visual_fidelity, edge_transfer):
        each = torch.cat([figure(a[[i]], fused[[i]]) for i in range(2)])
        torch.testing.assert_close(figure(a, fused), each)
    each = torch.cat([difference_correlation(fused[[i]], pictures[0][[i]]) for i in range(2)])
    torch.testing.assert_close(difference_correlation(fused, pictures[0]), each)
    assert as_planes(a).shape == (4, 1, 30, 26)
    assert torch.equal(as_planes(a)[1, 0], a[0, 0, 1])


def test_of_three_sources_each_is_compared_with_what_is_beyond_the_mean_of_the_others(rng) -> None:
    sources = drawn(rng, (20, 21), 3)
    fused = drawn(rng, (20, 21), 1)[0]
    total = 0.0
    for m in range(3):
        rest = np.mean([s for k, s in enumerate(sources) if k != m], axis=0)
        total += np.corrcoef((fused - rest).ravel(), sources[m].ravel())[0, 1]
    assert difference_correlation(tensor(fused), tensor(*sources)).item() == pytest.approx(total)


def test_known_ends(rng: np.random.Generator) -> None:
    a, b = drawn(rng, (50, 47))
    flat = np.full_like(a, 80)
    assert visual_fidelity(tensor(a), tensor(a)).item() == pytest.approx(1, abs=1e-6)
    assert visual_fidelity(tensor(a), tensor(flat)).item() == 0
    assert visual_fidelity(tensor(a), tensor(255 - a)).item() == pytest.approx(0, abs=1e-9)
    assert edge_transfer(tensor(a), tensor(a)).item() == pytest.approx(BEST, abs=1e-6)
    assert edge_transfer(tensor(b), tensor(flat)).item() < 0.2
    assert difference_correlation(tensor(a + b), tensor(a, b)).item() == pytest.approx(2)
    assert correlation(tensor(a), tensor(flat)).item() == pytest.approx(0, abs=1e-6)


def test_a_source_that_is_nearly_flat_gives_a_figure_of_nearly_nothing_itself(rng: np.random.Generator) -> None:
    """Where the evaluator's figure is a ratio of two numbers that are nearly zero, the loss fades out."""
    faint = 80 + drawn(rng, (50, 47))[0] / 10_000
    assert per_source(faint, [faint])["VIF"] == pytest.approx([1], abs=1e-3)
    assert 0 < visual_fidelity(tensor(faint), tensor(faint)).item() < 0.01


def test_gradients_are_those_of_finite_differences(rng: np.random.Generator) -> None:
    a, b = (tensor(p) for p in drawn(rng, (2, 18, 19)))
    fused = (0.6 * a + 0.4 * b).requires_grad_()
    assert torch.autograd.gradcheck(lambda f: visual_fidelity(a, f), (fused,), eps=1e-4, atol=1e-6, fast_mode=True)
    assert torch.autograd.gradcheck(lambda f: edge_transfer(a, f), (fused,), eps=1e-5, atol=1e-6, fast_mode=True)
    both = torch.cat([a, b], 1).requires_grad_()
    assert torch.autograd.gradcheck(difference_correlation, (fused, both), eps=1e-4, atol=1e-7, fast_mode=True)


@pytest.mark.parametrize("level", [0.0, 0.5])
def test_flat_pictures_have_finite_gradients(level: float) -> None:
    source = torch.zeros(1, 1, 1, 20, 20)
    source[..., 8:12, 8:12] = 1
    for before in (source, torch.full_like(source, level)):
        fused = torch.full_like(source, level, requires_grad=True)
        both = torch.cat([before, source], 1)
        total = visual_fidelity(before, fused) + edge_transfer(before, fused) + difference_correlation(fused, both)
        total.sum().backward()
        assert fused.grad is not None
        assert fused.grad.isfinite().all()
