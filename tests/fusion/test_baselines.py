"""The fusers to compare with, each against the equation that it stands for, by another library where there is one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import pywt
from PIL import Image
from pydantic import ValidationError
from scipy import ndimage

import fusion
from fusion.local_entropy import local_entropy
from fusion.saliency import local_variances, softmax, weighted_mean
from fusion.wavelet import restored, transformed
from volumes import Volume, from_array
from volumes.errors import ConfigError

ONE = (1.0, 1.0, 1.0)


def volumes(arrays: np.ndarray, spacing: tuple[float, float, float] = ONE) -> list[Volume]:
    return [from_array(a, spacing, modality=f"m{i}") for i, a in enumerate(arrays)]


def fused(arrays: np.ndarray, config: object, spacing: tuple[float, float, float] = ONE) -> np.ndarray:
    return fusion.fuse(volumes(arrays, spacing), config.model_copy(update={"match": "none"})).channel()


@pytest.fixture
def three(rng: np.random.Generator) -> np.ndarray:
    return ndimage.gaussian_filter(rng.normal(size=(3, 9, 22, 25)), (0, 1, 1, 1)).astype(np.float32)


def test_mean_and_maximum_are_numpys(three: np.ndarray) -> None:
    assert np.allclose(fused(three, fusion.MeanConfig()), three.astype(float).mean(axis=0), atol=1e-7)
    assert np.array_equal(fused(three, fusion.MaxConfig()), three.max(axis=0))


def test_given_weights_are_one_a_source(three: np.ndarray) -> None:
    out = fused(three, fusion.WeightedConfig(weights=(1.0, 0.0, 3.0)))
    assert np.allclose(out, three[0] / 4 + 3 * three[2] / 4, atol=1e-6)
    with pytest.raises(ConfigError, match="weights: 2 weights for 3 sources"):
        fused(three, fusion.WeightedConfig(weights=(1.0, 2.0)))
    for wrong in ((0.0, 0.0), (-1.0, 2.0), (np.inf, 1.0), ()):
        with pytest.raises(ValidationError):
            fusion.WeightedConfig(weights=wrong)


def test_where_the_weighted_source_has_no_data_the_others_stand_in(three: np.ndarray) -> None:
    mask = np.ones(three[0].shape, bool)
    mask[:, 10:] = False
    first = from_array(three[0], ONE, modality="a", valid=mask)
    config = fusion.WeightedConfig(weights=(1.0, 0.0), match="none")
    out = fusion.fuse([first, from_array(three[1], ONE, modality="b")], config).channel()
    assert np.array_equal(out, np.where(mask, three[0], three[1]))


@pytest.mark.parametrize("radius", [1, 2])
def test_local_variance_is_that_of_the_valid_voxels_around(three: np.ndarray, rng, radius: int) -> None:
    masks = rng.random(three.shape) < 0.7
    got = local_variances([100 + t for t in three], list(masks), radius)
    for m, z, y, x in [(0, 0, 0, 0), (1, 4, 10, 12), (2, 8, 21, 24), (0, 3, 0, 24)]:
        around = tuple(slice(max(c - radius, 0), c + radius + 1) for c in (z, y, x))
        inside = three[m][around][masks[m][around]].astype(float)
        assert got[m, z, y, x] == pytest.approx(inside.var(), rel=1e-4)
    assert (local_variances([np.full((3, 4, 5), 7.1)], None, 1) == 0).all()


def test_energy_weights_are_the_variances(three: np.ndarray) -> None:
    """Of sources with the variance 4 and 1 everywhere, four fifths and one fifth."""
    pattern = np.where(np.indices((6, 24, 24)).sum(axis=0) % 2, 1.0, -1.0)
    out = fused(np.stack([2 * pattern + 10, pattern]), fusion.WeightedConfig(radius=3))
    middle = (slice(None), slice(4, -4), slice(4, -4))
    assert np.allclose(out[middle], (0.8 * (2 * pattern + 10) + 0.2 * pattern)[middle], atol=0.03)


def test_entropy_weights_are_the_softmax_of_the_entropies(three: np.ndarray) -> None:
    config = fusion.WeightedConfig(weights="local-entropy", temperature_bits=0.7)
    ends = np.percentile(three.reshape(3, -1).astype(float), [0.5, 99.8], axis=1)
    bits = np.stack([local_entropy(t, ends[0].min(), ends[1].max()) for t in three]).astype(float)
    weights = np.exp(bits / 0.7) / np.exp(bits / 0.7).sum(axis=0)
    assert np.abs(fused(three, config) - (weights * three).sum(axis=0)).max() < 2e-3
    assert np.allclose(softmax(bits, 0.7), weights)


def test_a_mean_without_any_weight_is_the_plain_one(three: np.ndarray) -> None:
    assert np.allclose(weighted_mean(three, np.zeros(three.shape)), three.mean(axis=0), atol=1e-6)
    assert np.isfinite(softmax(np.array([0.0, 1e4, 5.0]), 1e-3)).all()


@pytest.mark.parametrize("wavelet", ["haar", "db4", "bior4.4"])
@pytest.mark.parametrize("shape", [(11, 37, 41), (1, 64, 50), (8, 8, 8), (1, 1, 33), (2, 3, 4)])
def test_wavelets_give_back_any_size(rng: np.random.Generator, wavelet: str, shape: tuple[int, ...]) -> None:
    data = rng.normal(size=shape)
    for levels in (None, 1, 2):
        base, steps = transformed(data, (2.0, 0.5, 0.5), pywt.Wavelet(wavelet), levels)
        assert levels is None or len(steps) <= levels
        assert np.abs(restored(base, steps, pywt.Wavelet(wavelet)) - data).max() < 1e-9


def test_on_cubes_the_rule_is_that_of_pywavelets_own_transform(rng: np.random.Generator) -> None:
    pair = rng.normal(size=(2, 32, 32, 32))
    first, second = (pywt.wavedecn(p, "db4", "symmetric", level=2) for p in pair)
    joined = [(first[0] + second[0]) / 2]
    joined += [{k: np.where(np.abs(a[k]) >= np.abs(b[k]), a[k], b[k]) for k in a}
               for a, b in zip(first[1:], second[1:], strict=True)]  # fmt: skip
    expected = pywt.waverecn(joined, "db4", "symmetric")
    assert np.abs(fused(pair, fusion.DWTConfig(levels=2)) - expected).max() < 1e-5


def test_coarse_and_short_axes_are_left_alone(rng: np.random.Generator) -> None:
    """Six planes four times as far apart as voxels: each plane is transformed as the picture that it is."""
    pair = rng.normal(size=(2, 6, 40, 44))
    out = fused(pair, fusion.DWTConfig(levels=1), (4.0, 1.0, 1.0))
    for z in range(6):
        assert np.allclose(out[z], fused(pair[:, z : z + 1], fusion.DWTConfig(levels=1))[0], atol=1e-6)


def test_an_unknown_wavelet_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"no discrete wavelet; known: .*db4"):
        fusion.DWTConfig(wavelet="ripple")
    with pytest.raises(ValidationError, match="no discrete wavelet"):
        fusion.DWTConfig(wavelet="mexh")


def picture(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("L"), np.float32)


def test_on_real_pairs_wavelets_stand_to_the_maximum_as_in_the_known_table(data: Path) -> None:
    """Table: SD .793 and SF 1.02 of the maximum's; its 21 pairs are others, its number of levels is not told."""
    folder = data / "fusion" / "harvard" / "CT-MRI"
    names = sorted(p.name for p in (folder / "CT").glob("*.png"))[::9]
    assert names
    figures: dict[str, list[tuple[float, float]]] = {"dwt": [], "max": []}
    for name in names:
        pair = np.stack([picture(folder / kind / name) for kind in ("CT", "MRI")])
        for config in (fusion.DWTConfig(levels=5), fusion.MaxConfig()):
            grey = np.clip(np.rint(fused(pair, config)[0]), 0, 255)
            frequency = np.sqrt((np.diff(grey, axis=0) ** 2).mean() + (np.diff(grey, axis=1) ** 2).mean())
            figures[config.kind].append((grey.std(), frequency))
    ratio = np.mean(figures["dwt"], axis=0) / np.mean(figures["max"], axis=0)
    assert ratio == pytest.approx((0.793, 1.02), rel=0.08)
