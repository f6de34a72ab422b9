"""Automatic thresholds held against SimpleITK, scikit-image and their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from tracking3d.segment.image import checked
from tracking3d.segment.threshold import cell_level
from tracking3d.segment.thresholds.histogram import BINS, histogram
from tracking3d.segment.thresholds.level import foreground, level_of
from tracking3d.segment.thresholds.minimum_error import misjudged

ITK = {"otsu": "Otsu", "moments": "Moments", "maximum-entropy": "MaximumEntropy"}


def two_normal(seed, n=40_000):
    """Values of background and cells, as 16-bit numbers."""
    rng = np.random.default_rng(seed)
    share = rng.uniform(0.1, 0.5)
    cells = rng.random(n) < share
    return np.rint(np.where(cells, rng.normal(600, 90, n), rng.normal(200, 40, n))).astype(np.float32)


@pytest.fixture(params=["drawn", 1, 2, "cells3d", "gonuclear"])
def values(request, draw):
    """Voxels of a drawn volume, of two normal classes, and of real ones."""
    if request.param == "drawn":
        return draw()[0].channel().ravel()
    if isinstance(request.param, int):
        return two_normal(request.param)
    folder = request.getfixturevalue("data") / "segmentation"
    if request.param == "cells3d":
        return pytest.importorskip("tifffile").imread(folder / "cells3d" / "nuclei.tif")[::3].astype(np.float32).ravel()
    with pytest.importorskip("h5py").File(folder / "gonuclear" / "1135_mini.h5") as file:
        return file["raw"][::3].astype(np.float32).ravel()


@pytest.mark.parametrize("method", ITK)
def test_levels_are_those_of_simpleitk_within_a_bin(values, method):
    import SimpleITK as sitk  # noqa: N813

    peer = getattr(sitk, f"{ITK[method]}ThresholdImageFilter")()
    peer.SetNumberOfHistogramBins(BINS)
    peer.Execute(sitk.GetImageFromArray(values.reshape(1, 1, -1)))
    width = float(values.max() - values.min()) / BINS
    assert level_of(values, method) == pytest.approx(peer.GetThreshold(), abs=1.01 * width)


def test_otsu_is_that_of_scikit_image_within_a_bin(values):
    from skimage.filters import threshold_otsu

    width = float(values.max() - values.min()) / BINS
    assert level_of(values, "otsu") == pytest.approx(threshold_otsu(values, nbins=BINS), abs=1.01 * width)


def test_entropy_and_error_are_at_their_best_where_the_definitions_say(values):
    """Each criterion from its definition, class by class, for a level after every bin."""
    share = histogram(values).share
    grey = np.arange(BINS)
    entropy, error = np.full(BINS - 1, -np.inf), np.full(BINS - 1, np.inf)
    for cut in range(1, BINS):
        sides = [(share[:cut], grey[:cut]), (share[cut:], grey[cut:])]
        entropy[cut - 1] = sum(-(q := p[p > 0] / p.sum()) @ np.log(q) for p, _ in sides)
        error[cut - 1] = 1.0
        for p, g in sides:
            weight, mean = p.sum(), (p @ g) / p.sum()
            variance = p @ (g - mean) ** 2 / weight + 1 / 12
            error[cut - 1] += weight * np.log(variance) - 2 * weight * np.log(weight)
    low, width = values.min(), (values.max() - values.min()) / BINS
    np.testing.assert_allclose(misjudged(histogram(values)), error, atol=1e-6)
    at = round((level_of(values, "maximum-entropy") - low) / width) - 1
    assert entropy[at] == pytest.approx(entropy.max(), abs=1e-9)


def test_moments_are_kept():
    """Two levels alone: the threshold lies between them, whatever their shares."""
    for share in (0.1, 0.5, 0.8):
        values = np.where(np.arange(1000) < 1000 * share, 10.0, 50.0)
        assert 10 < level_of(values, "moments") < 50


def test_minimum_error_parts_two_normal_classes_as_bayes_would():
    values = two_normal(1)
    rng = np.random.default_rng(1)
    share = rng.uniform(0.1, 0.5)
    x = np.linspace(200, 600, 4001)
    cost = np.log(40) + (x - 200) ** 2 / 2 / 40**2 - np.log(1 - share)
    bayes = x[np.argmin(np.abs(cost - (np.log(90) + (x - 600) ** 2 / 2 / 90**2 - np.log(share))))]
    assert level_of(values, "minimum-error") == pytest.approx(bayes, abs=3 * float(values.max() - values.min()) / BINS)


def test_a_number_is_its_own_level_and_clipped_otsu_is_the_watersheds(draw):
    image, _ = draw()
    values = image.channel().ravel()
    assert level_of(values, 41.5) == 41.5
    assert level_of(values, "clipped-otsu") == cell_level(values)
    ready = checked(image)
    np.testing.assert_array_equal(foreground(ready, ready.voxels, 41.5), image.channel() > 41.5)


@pytest.mark.parametrize("method", ["otsu", "moments", "maximum-entropy", "minimum-error", "clipped-otsu"])
def test_equal_values_have_nothing_above_their_level(method):
    assert level_of(np.full(9, 3.0, np.float32), method) == 3.0
