"""The MRI as an instrument: signals, noise as ordered, slabs that glue, configs that are refused."""

from dataclasses import dataclass

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats

from phantom.anatomy import tissues
from phantom.instruments.mri import GAIN, MRIConfig
from volumes.errors import ConfigError

SHAPE = (6, 40, 44)
FLESH = tissues.CODE["soft"]


@dataclass
class Specimen:
    """A cylinder of flesh in medium, one nucleus in it: a scene of what an MRI asks for."""

    first: int = 0
    count: int = SHAPE[0]
    halo: int = 0
    spacing_um: tuple[float, float, float] = (20.0, 10.0, 10.0)
    planes: int = SHAPE[0]
    seed: int = 3

    @property
    def core(self):
        return slice(self.halo, self.halo + self.count)

    def tissue(self, values, textured=False):  # noqa: ARG002 - it has no fine structure
        y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
        plane = np.where(np.hypot(y - 20, x - 22) < 16, values[FLESH], values[0]).astype(np.float32)
        return np.repeat(plane[None], self.count + 2 * self.halo, 0)

    def nuclei(self):
        fill = np.zeros((self.count + 2 * self.halo, *SHAPE[1:]), np.float32)
        fill[:, 24:28, 20:24] = 1
        return fill


def generators(first=0, count=SHAPE[0]):
    return [np.random.default_rng((11, z)) for z in range(first, first + count)]


def scanner(difficulty=0.5, **config):
    return MRIConfig(shape=SHAPE, spacing_um=(20, 10, 10), **config).build(difficulty)


def test_it_writes_uint16():
    mri = scanner()
    picture = mri.take(Specimen(), generators())
    assert picture.image.dtype == mri.dtype == np.uint16
    assert picture.clean.dtype == np.float32
    assert picture.image.shape == picture.clean.shape == SHAPE
    assert (mri.channel.modality, mri.halo_um, mri.projects) == ("MRI", 0, False)


def test_an_easy_scan_shows_the_spin_echo_of_each_tissue():
    clean = scanner(0.0, tr_ms=2000, te_ms=30).take(Specimen(), generators()).clean
    stuff = tissues.TISSUES
    signals = [t.proton_density * (1 - np.exp(-2000 / t.t1_ms)) * np.exp(-30 / t.t2_ms) for t in stuff]
    np.testing.assert_allclose(clean[:, 0, 0], GAIN * signals[0], rtol=1e-4)
    np.testing.assert_allclose(clean[:, 20, 22], GAIN * signals[FLESH], rtol=1e-4)
    np.testing.assert_allclose(clean[:, 25, 22], 1.25 * GAIN * signals[FLESH], rtol=1e-4)


def test_the_noise_is_rician_about_clean_with_the_ordered_ratio():
    mri = scanner(0.0, snr=5, nuclear_contrast=0)
    pictures = [mri.take(Specimen(), [np.random.default_rng((k, z)) for z in range(6)]) for k in range(30)]
    sd = GAIN * tissues.spin_echo(2500, 40)[tissues.living()].mean() / 5
    for y, x in ((0, 0), (20, 22)):
        seen = np.concatenate([p.image[:, y, x] for p in pictures]).astype(float)
        level = float(pictures[0].clean[0, y, x])
        assert stats.kstest(seen, stats.rice(level / sd, scale=sd).cdf).pvalue > 1e-3


def test_harder_worlds_are_noisier_less_even_and_less_sharp():
    noise, spread, edge = [], [], []
    for difficulty in (0.0, 0.5, 1.0):
        picture = scanner(difficulty).take(Specimen(), generators())
        noise.append((picture.image - picture.clean).std())
        corners = picture.clean[:, 1:-1:37, 1:-1:41]
        spread.append(corners.max() / corners.min())
        edge.append(np.abs(np.diff(picture.clean[0, 20] / picture.clean[0, 20].mean())).max())
    assert 1.5 * noise[0] < noise[1] < noise[2] / 1.5
    assert spread[0] < 1.001
    assert 1.02 < spread[1] < spread[2]
    assert edge[0] > edge[2]


def test_the_bias_stays_over_time_and_follows_its_seed():
    flat, biased, again, other = (
        scanner(0, bias=b, bias_seed=s).take(Specimen(seed=k), generators()).clean
        for b, s, k in ((0, 1, 3), (0.4, 1, 3), (0.4, 1, 4), (0.4, 2, 3))
    )
    np.testing.assert_array_equal(biased, again)
    assert np.abs(np.log(biased / flat)).max() <= 0.4 + 1e-4
    assert np.abs(other - biased).max() > 0.02 * flat.max()
    own = [scanner(0, bias=0.4).take(Specimen(seed=k), generators()).clean for k in (3, 4)]
    assert np.abs(own[0] - own[1]).max() > 0.02 * flat.max()


def test_slabs_glued_are_the_whole_and_a_seed_gives_the_same_bytes():
    mri = scanner(0.8)
    whole = mri.take(Specimen(), generators())
    np.testing.assert_array_equal(mri.take(Specimen(), generators()).image, whole.image)
    parts = []
    for first, count, halo in ((0, 1, 0), (1, 3, 1), (4, 2, 0)):
        parts.append(mri.take(Specimen(first - halo, count, halo), generators(first, count)))
    np.testing.assert_array_equal(np.concatenate([p.image for p in parts]), whole.image)
    np.testing.assert_array_equal(np.concatenate([p.clean for p in parts]), whole.clean)


@pytest.mark.parametrize(
    "wrong",
    [
        {"te_ms": 3000},
        {"tr_ms": 0},
        {"snr": 0},
        {"matrix": 1.2},
        {"matrix": 0},
        {"bias": -0.1},
        {"bias_seed": -1},
        {"nuclear_contrast": -1.5},
        {"flip_deg": 90},
    ],
)
def test_configs_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        MRIConfig(**{"shape": SHAPE, "spacing_um": (20, 10, 10), **wrong})


def test_scenes_and_difficulties_that_do_not_fit_are_refused():
    for difficulty in (-0.1, 1.1, np.nan):
        with pytest.raises(ConfigError, match="difficulty"):
            scanner(difficulty)
    with pytest.raises(ConfigError, match="noise"):
        scanner().take(Specimen(), generators()[:-1])
