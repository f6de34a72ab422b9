"""The endless source of training pairs."""

from itertools import islice

import numpy as np
import pytest

from phantom import SamplesConfig, samples
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
