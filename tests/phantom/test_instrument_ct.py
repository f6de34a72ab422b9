"""The CT as an instrument: Hounsfield units, noise as ordered, slabs that glue, configs that are refused."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from pydantic import ValidationError

from phantom.anatomy import tissues
from phantom.instruments.ct import UPTAKE, CTConfig
from phantom.physics.xrays import iodine_per_mm
from volumes.errors import ConfigError

SHAPE = (6, 48, 52)
FLESH = tissues.CODE["neural"]
WATER_PER_MM = 0.03756
"""At 30 keV, from NIST's table."""


@dataclass
class Specimen:
    """A cylinder of flesh in medium, with a square rod of nucleus in it: a scene of what a CT asks for."""

    first: int = 0
    count: int = SHAPE[0]
    halo: int = 0
    flesh: bool = True
    spacing_um: tuple[float, float, float] = (5.0, 5.0, 5.0)
    planes: int = SHAPE[0]
    seed: int = 3

    @property
    def core(self):
        return slice(self.halo, self.halo + self.count)

    @property
    def radius(self):
        y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
        return np.hypot(y - 23.5, x - 25.5)

    def tissue(self, values, textured=False):  # noqa: ARG002 - it has no fine structure
        plane = np.where((self.radius < 20) & self.flesh, values[FLESH], values[0]).astype(np.float32)
        return np.repeat(plane[None], self.count + 2 * self.halo, 0)

    def nuclei(self):
        fill = np.zeros((self.count + 2 * self.halo, *SHAPE[1:]), np.float32)
        fill[:, 30:36, 20:26] = self.flesh
        return fill


def generators(first=0, count=SHAPE[0]):
    return [np.random.default_rng((11, z)) for z in range(first, first + count)]


def scanner(difficulty=0.5, **config):
    return CTConfig(shape=SHAPE, spacing_um=(5, 5, 5), **config).build(difficulty)


def test_it_writes_hounsfield_units_as_int16():
    ct = scanner()
    picture = ct.take(Specimen(), generators())
    assert picture.image.dtype == ct.dtype == np.int16
    assert picture.clean.dtype == np.float32
    assert picture.image.shape == picture.clean.shape == SHAPE
    assert (ct.channel.modality, ct.halo_um, ct.projects) == ("CT", 0, False)


def test_clean_is_the_attenuation_of_tissue_and_stain():
    specimen = Specimen()
    clean = scanner(0.0).take(specimen, generators()).clean
    bare = tissues.xray_per_mm(30.0)
    medium, flesh = 1000 * (bare[[0, FLESH]] / WATER_PER_MM - 1)
    stained = flesh + 25 * iodine_per_mm(30) / WATER_PER_MM * 1000
    assert clean[:, specimen.radius > 23].mean() == pytest.approx(medium, abs=0.02 * stained)
    inner = (specimen.radius < 16) & (specimen.radius > 13)
    assert clean[:, inner].mean() == pytest.approx(stained, rel=0.02)
    nucleus = 0.5 * 25 * iodine_per_mm(30) / WATER_PER_MM * 1000
    assert clean[:, 32:34, 22:24].mean() - stained == pytest.approx(nucleus, rel=0.1)


def test_above_the_k_edge_the_stain_shows_better():
    specimen = Specimen()
    below, above = (scanner(0, kev=kev).take(specimen, generators()).clean[:, 20, 25].mean() for kev in (33.1, 33.2))
    assert above > 4 * below


def test_noise_is_as_ordered():
    for wanted in (50.0, 200.0):
        ct = scanner(noise_hu=wanted, ring_sd=0, electronic_sd=0)
        picture = ct.take(Specimen(flesh=False), generators())
        assert (picture.image - picture.clean).std() == pytest.approx(wanted, rel=0.06)


def test_noise_grows_as_the_exposure_shrinks():
    noise = []
    for photons in (1e6, 1e5, 1e4):
        picture = scanner(photons=photons, ring_sd=0, electronic_sd=0).take(Specimen(), generators())
        noise.append((picture.image - picture.clean).std())
    np.testing.assert_allclose(np.divide(noise[1:], noise[:-1]), np.sqrt(10), rtol=0.02)


def test_harder_worlds_are_noisier_and_default_nuclei_are_barely_seen():
    specimen, seen = Specimen(), []
    for difficulty in (0.0, 0.5, 1.0):
        picture = scanner(difficulty).take(specimen, generators())
        contrast = picture.clean[:, 31:35, 21:25].mean() - picture.clean[:, 20:24, 30:34].mean()
        seen.append(contrast / (picture.image - picture.clean).std())
    assert seen[0] > 4
    assert 1 < seen[1] < 3
    assert seen[2] < 0.6


def test_rings_lie_about_the_axis_and_stay_over_time():
    ct = scanner(photons=1e12, ring_sd=1e-3, electronic_sd=0)
    pictures = [ct.take(Specimen(), [np.random.default_rng((k, z)) for z in range(6)]) for k in (1, 2)]
    rings, later = (p.image - p.clean for p in pictures)
    assert np.abs(rings).max() > 20
    assert np.abs(rings - later).max() < 0.05 * np.abs(rings).max()
    assert np.corrcoef(rings[0].ravel(), rings[1].ravel())[0, 1] < 0.5
    specimen = Specimen()
    upper = np.arange(SHAPE[1])[:, None] > 24
    whole = np.rint(specimen.radius * 2).astype(int)
    for half in (upper, ~upper):
        band = half & (specimen.radius > 4) & (specimen.radius < 20)
        mean = np.bincount(whole[band], rings[0][band]) / np.maximum(np.bincount(whole[band]), 1)
        assert (rings[0][band] - mean[whole[band]]).var() < 0.35 * rings[0][band].var()


def test_a_hardened_beam_cups_a_thick_body():
    specimen = Specimen()
    plain, hard = (scanner(0, stain_mg_per_ml=3000, hardening=h).take(specimen, generators()).clean for h in (0.0, 0.6))
    middle = specimen.radius < 5
    rim = (specimen.radius > 14) & (specimen.radius < 17) & (np.arange(SHAPE[1])[:, None] < 24)
    flat, cupped = (clean[0, middle].mean() / clean[0, rim].mean() for clean in (plain, hard))
    assert flat == pytest.approx(1, abs=0.01)
    assert 0.5 < cupped < 0.97


def test_every_tissue_has_an_uptake():
    assert list(UPTAKE) == [tissue.name for tissue in tissues.TISSUES]
    assert UPTAKE["medium"] == 0 <= min(UPTAKE.values())


def test_slabs_glued_are_the_whole_and_a_seed_gives_the_same_bytes():
    ct = scanner(0.8)
    whole = ct.take(Specimen(), generators())
    np.testing.assert_array_equal(ct.take(Specimen(), generators()).image, whole.image)
    parts = []
    for first, count, halo in ((0, 1, 0), (1, 3, 1), (4, 2, 0)):
        parts.append(ct.take(Specimen(first - halo, count, halo), generators(first, count)))
    np.testing.assert_array_equal(np.concatenate([p.image for p in parts]), whole.image)
    np.testing.assert_array_equal(np.concatenate([p.clean for p in parts]), whole.clean)
    other = ct.take(Specimen(), [np.random.default_rng(z) for z in range(6)])
    assert (other.image != whole.image).mean() > 0.9


@pytest.mark.parametrize(
    "wrong",
    [
        {"spacing_um": (5, 5, 4)},
        {"kev": 19},
        {"kev": 101},
        {"views": 0},
        {"photons": 0},
        {"photons": 1e5, "noise_hu": 50},
        {"noise_hu": -1},
        {"hardening": 1},
        {"ring_sd": -0.1},
        {"window": "box"},
        {"stain_mg_per_ml": float("nan")},
        {"doze": 3},
    ],
)
def test_configs_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        CTConfig(**{"shape": SHAPE, "spacing_um": (5, 5, 5), **wrong})


def test_scenes_and_difficulties_that_do_not_fit_are_refused():
    for difficulty in (-0.1, 1.1, np.nan):
        with pytest.raises(ConfigError, match="difficulty"):
            scanner(difficulty)
    with pytest.raises(ConfigError, match="noise"):
        scanner().take(Specimen(), generators()[:-1])
    with pytest.raises(ConfigError, match="square"):
        scanner().take(replace(Specimen(), spacing_um=(5, 5, 4)), generators())
