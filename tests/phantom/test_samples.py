"""The endless source of training pairs."""

from itertools import islice

import numpy as np
import pytest

from phantom import SamplesConfig, acquisition, samples
from volumes.errors import ConfigError

QUICK = {"shape": (24, 24, 24), "diameter_voxels": (8.0, 10.0)}


def some(n: int, seed: int = 0, **more):
    return list(islice(samples(SamplesConfig(**{**QUICK, **more}), seed), n))


def test_a_sample_is_an_image_its_clean_picture_and_its_labels_on_one_grid():
    for sample in some(4):
        image, clean = sample.images["light_sheet"], sample.clean["light_sheet"]
        assert image.grid == clean.grid == sample.labels.grid
        assert image.grid.shape == (24, 24, 24)
        labels = sample.labels.channel()
        assert labels.max() > 0
        seen = [np.corrcoef(v.channel().ravel(), labels.ravel() > 0)[0, 1] for v in (image, clean)]
        assert 0.2 <= seen[0] <= seen[1]
        assert 0 <= sample.difficulty <= 1


def test_the_same_seed_gives_the_same_samples_and_no_two_are_alike():
    one, again, other = some(3), some(3), some(3, seed=1)
    images = [[s.images["light_sheet"].array.tobytes() for s in group] for group in (one, again, other)]
    assert images[0] == images[1]
    assert len({*images[0], *images[2]}) == 6


def test_several_instruments_see_the_same_piece():
    (sample,) = some(1, instruments=("light_sheet", "swir", "ct", "mri"), hardest=0.0)
    assert list(sample.images) == ["light_sheet", "swir", "ct", "mri"]
    assert {v.modality for v in sample.images.values()} == {"fluorescence", "SWIR", "CT", "MRI"}
    mask = sample.labels.channel() > 0
    for name in ("light_sheet", "ct"):
        assert np.corrcoef(sample.clean[name].channel().ravel(), mask.ravel())[0, 1] > 0.2


def test_a_misalignment_moves_all_but_the_first_instrument():
    asked = {"instruments": ("light_sheet", "confocal"), "hardest": 0.0}
    straight, moved = (some(1, misaligned_voxels=m, **asked)[0] for m in (0.0, 1.0))
    for name, same in (("light_sheet", True), ("confocal", False)):
        both = [sample.clean[name].channel() for sample in (straight, moved)]
        assert np.array_equal(*both) == same


def test_difficulty_follows_the_power():
    drawn = [s.difficulty for s in some(60, shape=(8, 12, 12), least_correlation=-1.0, hardest=0.8)]
    expected = 0.8 * np.linspace(0, 1, 1001) ** 1.5
    found = np.quantile(drawn, [0.25, 0.5, 0.75])
    np.testing.assert_allclose(found, np.quantile(expected, [0.25, 0.5, 0.75]), atol=0.13)


def test_pieces_that_show_nothing_are_drawn_again_and_then_refused():
    with pytest.raises(ConfigError, match="least_correlation"):
        some(1, least_correlation=0.999, shape=(8, 12, 12))


@pytest.mark.parametrize("field", ["shape", "diameter_voxels", "anisotropy", "density"])
def test_ranges_that_cannot_be_are_refused(field):
    bad = {"shape": (0, 8, 8), "diameter_voxels": (0.0, 5.0), "anisotropy": (3.0, 1.0), "density": (0.2, 0.9)}[field]
    with pytest.raises(ValueError, match=field):
        SamplesConfig(**{field: bad})


def test_a_piece_larger_than_a_slab_is_whole(monkeypatch):
    (whole,) = some(1)
    monkeypatch.setattr(acquisition, "SLAB_VOXELS", 5 * 24 * 24)
    (glued,) = some(1)
    kinds = [glued.images["light_sheet"].array.dtype, glued.clean["light_sheet"].array.dtype]
    assert kinds == [np.uint16, np.float32]
    for kind in ("images", "clean"):
        np.testing.assert_array_equal(
            getattr(glued, kind)["light_sheet"].array, getattr(whole, kind)["light_sheet"].array
        )
    np.testing.assert_array_equal(glued.labels.array, whole.labels.array)


def test_another_instrument_changes_neither_the_piece_nor_the_first_ones_picture():
    (alone,), (both,) = some(1), some(1, instruments=("light_sheet", "mri"), misaligned_voxels=1.0)
    np.testing.assert_array_equal(alone.labels.array, both.labels.array)
    np.testing.assert_array_equal(alone.images["light_sheet"].array, both.images["light_sheet"].array)


def test_voxels_are_as_large_as_the_nuclei_and_the_anisotropy_ask():
    drawn = some(12, anisotropy=(2.0, 3.0), shape=(8, 16, 16), least_correlation=-1.0)
    ratios = [s.labels.grid.spacing_um[0] / s.labels.grid.spacing_um[1] for s in drawn]
    diameters = [10.0 / s.labels.grid.spacing_um[2] for s in drawn]
    assert all(s.labels.grid.spacing_um[1] == s.labels.grid.spacing_um[2] for s in drawn)
    for values, low, high in ((ratios, 2.0, 3.0), (diameters, 8.0, 10.0)):
        assert low <= min(values) < low + (high - low) / 2 < max(values) <= high


@pytest.mark.parametrize("diameter", [7.0, 11.0])
def test_nuclei_have_the_diameter_and_the_density_asked_for(diameter):
    one = {"density": (0.2, 0.2), "size_spread": (0.0, 0.0), "hardest": 0.0, "anisotropy": (1.0, 1.0)}
    drawn = some(6, seed=2, shape=(40, 40, 40), diameter_voxels=(diameter, diameter), least_correlation=-1.0, **one)
    volumes, filled = [], []
    for sample in drawn:
        labels = sample.labels.channel()
        rim = np.ones(labels.shape, bool)
        rim[1:-1, 1:-1, 1:-1] = False
        size = np.bincount(labels.ravel())[1:]
        size[np.unique(labels[rim])[1:] - 1] = 0
        volumes += size[size > 0].tolist()
        filled.append((labels > 0).mean())
    assert np.mean(volumes) == pytest.approx(np.pi / 6 * diameter**3, rel=0.03)
    assert 0.15 < np.mean(filled) < 0.25


def test_a_misalignment_has_its_deviation_along_each_axis_in_voxels():
    """Seen in the clean picture of a second microscope of the same kind of sight, which the shift moves as a whole."""
    asked = {"shape": (16, 24, 24), "hardest": 0.0, "anisotropy": (2.0, 2.0), "density": (0.05, 0.1)}
    off = []
    for sample in some(8, seed=1, instruments=("light_sheet", "confocal"), misaligned_voxels=1.5, **asked):
        one, other = (sample.clean[n].channel() for n in ("light_sheet", "confocal"))
        spectrum = np.fft.fftn(one - one.mean()) * np.fft.fftn(other - other.mean()).conj()
        peak = np.unravel_index(np.fft.ifftn(spectrum).real.argmax(), one.shape)
        off.append([(p + n // 2) % n - n // 2 for p, n in zip(peak, one.shape, strict=True)])
    spread = np.sqrt(np.square(off).mean(0))
    assert (spread > 0.6).all()
    assert (spread < 3.0).all()
