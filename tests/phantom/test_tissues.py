"""Tissue properties against published figures and the rules that they follow."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phantom.anatomy import tissues
from phantom.anatomy.chromophores import blood_per_mm, melanosome_per_mm, water_per_mm
from phantom.anatomy.tissues import CODE, TISSUES
from phantom.anatomy.xray import MATERIALS, mass_attenuation_cm2_per_g
from volumes.errors import ConfigError

DOCS = Path(__file__).resolve().parents[2] / "docs" / "tissues.md"

# µ/ρ of the elements, cm²/g, at 20, 30, 40, 50, 60, 80 and 100 keV: NISTIR 5632, table 3.
ELEMENTS = {
    "H": (0.3695, 0.3570, 0.3458, 0.3355, 0.3260, 0.3091, 0.2944),
    "C": (0.4420, 0.2562, 0.2076, 0.1871, 0.1753, 0.1610, 0.1514),
    "N": (0.6178, 0.3066, 0.2288, 0.1980, 0.1817, 0.1639, 0.1529),
    "O": (0.8653, 0.3779, 0.2585, 0.2132, 0.1907, 0.1678, 0.1551),
}
# Shares of mass of ICRU report 44; what is left of 1 is Na, S, Cl, P, K, Fe, heavier than the four.
MIXTURES = {
    "water": {"H": 0.111898, "O": 0.888102},
    "adipose": {"H": 0.114, "C": 0.598, "N": 0.007, "O": 0.278},
    "brain": {"H": 0.107, "C": 0.145, "N": 0.022, "O": 0.712},
    "muscle": {"H": 0.102, "C": 0.143, "N": 0.034, "O": 0.710},
    "soft": {"H": 0.102, "C": 0.143, "N": 0.034, "O": 0.708},
    "blood": {"H": 0.102, "C": 0.110, "N": 0.033, "O": 0.745},
}

wavelengths = st.floats(400, 1700)


@pytest.mark.parametrize("material", MIXTURES)
def test_attenuation_is_that_of_the_elements_by_mass(material):
    """Light elements give the lower bound; the few percent left are at most 15 times as strong as oxygen."""
    shares = MIXTURES[material]
    rest = 1 - sum(shares.values())
    for i, kev in enumerate((20, 30, 40, 50, 60, 80, 100)):
        light = sum(share * ELEMENTS[element][i] for element, share in shares.items())
        found = mass_attenuation_cm2_per_g(material, kev)
        assert light * 0.9975 <= found <= light + rest * 15 * ELEMENTS["O"][i] + 5e-4
        if material == "water":
            assert found == pytest.approx(light, rel=3e-3)


def test_attenuation_is_a_power_law_between_tabulated_energies():
    at = [mass_attenuation_cm2_per_g("bone", kev) for kev in (20, np.sqrt(20 * 30), 30)]
    assert at[1] == pytest.approx(np.sqrt(at[0] * at[2]))


def test_bone_stops_most_and_yolk_least_x_rays():
    for kev in (20, 33.3, 60, 100):
        per_mm = tissues.xray_per_mm(kev)
        assert per_mm.argmax() == CODE["bone"]
        if kev < 40:
            assert per_mm.argmin() == CODE["yolk"]
    assert tissues.xray_per_mm(60)[CODE["lumen"]] == pytest.approx(0.02059)
    assert (np.diff([tissues.xray_per_mm(kev) for kev in np.linspace(20, 100, 30)], axis=0) < 0).all()


@pytest.mark.parametrize(
    ("nm", "per_cm"),
    [(500, 2.5e-4), (700, 6.01e-3), (800, 0.0196), (900, 0.0679), (975, 0.449), (1200, 1.25), (1450, 31.5)],
)
def test_water_absorbs_as_published(nm, per_cm):
    """Hale & Querry to 1000 nm; the bands at 1200 and 1450 nm as in Segelstein."""
    assert 10 * water_per_mm(nm) == pytest.approx(per_cm, rel=0.01)


def test_short_wave_infrared_windows_lie_between_the_bands_of_water():
    window, band, second = water_per_mm(1075), water_per_mm(1200), water_per_mm(1260)
    assert window < second < band
    assert water_per_mm(1650) < 0.3 * water_per_mm(1450)


def test_blood_absorbs_as_published():
    """Isosbestic at 797 nm: about 4.2 /cm at 150 g/l whatever the saturation; strongest at the Soret band."""
    assert 10 * blood_per_mm(797) == pytest.approx(np.log(10) * 790 * 150 / 64500, rel=0.03)
    spectrum = [blood_per_mm(nm) for nm in range(400, 1000)]
    assert 410 <= 400 + int(np.argmax(spectrum)) <= 434
    assert blood_per_mm(1300) == 0


def test_melanin_absorbs_as_published():
    assert melanosome_per_mm(500) == pytest.approx(51.9)
    assert melanosome_per_mm(1000) == pytest.approx(51.9 / 8)
    assert tissues.absorption_per_mm(500).argmax() == CODE["pigment"]


@given(wavelengths)
def test_light_properties_are_finite_and_not_negative(nm):
    for values in (tissues.reduced_scattering_per_mm(nm), tissues.absorption_per_mm(nm)):
        assert values.shape == (len(TISSUES),)
        assert values.dtype == np.float64
        assert np.isfinite(values).all()
        assert (values >= 0).all()


def test_scattering_falls_with_wavelength_as_the_power_law_says():
    found = tissues.reduced_scattering_per_mm(1000) / np.where(
        tissues.reduced_scattering_per_mm(500) > 0, tissues.reduced_scattering_per_mm(500), 1
    )
    assert found[CODE["neural"]] == pytest.approx(2**-1.611)
    assert tissues.reduced_scattering_per_mm(500)[CODE["neural"]] == pytest.approx(2.42 * tissues.CLARITY)
    assert tissues.reduced_scattering_per_mm(500)[CODE["medium"]] == 0


def test_refractive_index_lies_between_water_and_dry_matter():
    index = tissues.refractive_index()
    assert ((index >= 1.333) & (index <= 1.514)).all()
    assert index[CODE["neural"]] == pytest.approx(1.369, abs=5e-4)
    assert index.argmax() == CODE["bone"]


def test_spin_echo_has_the_limits_of_its_equation():
    density = np.array([t.proton_density for t in TISSUES])
    np.testing.assert_allclose(tissues.spin_echo(1e9, 0), density, rtol=1e-6)
    short = tissues.spin_echo(1e-3, 0)
    np.testing.assert_allclose(short, density * 1e-3 / [t.t1_ms for t in TISSUES], rtol=1e-4)
    ratio = tissues.spin_echo(5000, 60) / tissues.spin_echo(5000, 20)
    np.testing.assert_allclose(ratio, np.exp([-40 / t.t2_ms for t in TISSUES]))
    assert tissues.spin_echo(5000, 100)[CODE["lumen"]] > tissues.spin_echo(5000, 100)[CODE["neural"]]
    t1_weighted = tissues.spin_echo(500, 10)
    assert t1_weighted[CODE["yolk"]] > t1_weighted[CODE["neuropil"]] > t1_weighted[CODE["lumen"]]


def test_codes_names_and_the_rest_of_the_table():
    assert TISSUES[0].name == "medium"
    assert {t.name: i for i, t in enumerate(TISSUES)} == CODE
    assert {t.material for t in TISSUES} <= set(MATERIALS)
    assert not tissues.living()[CODE["medium"]]
    assert tissues.living()[[CODE["neural"], CODE["soft"]]].all()
    assert tissues.swir_uptake().argmax() == CODE["vessel"]
    assert tissues.autofluorescence().argmax() == CODE["yolk"]
    assert (tissues.autofluorescence() > 0).all()


@pytest.mark.parametrize(
    "ask",
    [
        lambda: tissues.reduced_scattering_per_mm(399),
        lambda: tissues.absorption_per_mm(1701),
        lambda: tissues.absorption_per_mm(float("nan")),
        lambda: water_per_mm(0),
        lambda: tissues.xray_per_mm(19.9),
        lambda: tissues.xray_per_mm(101),
        lambda: mass_attenuation_cm2_per_g("lead", 50),
        lambda: tissues.spin_echo(10, 20),
        lambda: tissues.spin_echo(10, -1),
    ],
)
def test_what_no_table_knows_is_refused(ask):
    with pytest.raises(ConfigError):
        ask()


def test_the_documented_table_is_the_one_in_code():
    rows = [line.split("|")[1:-1] for line in DOCS.read_text().splitlines() if line.startswith("| `")]
    written = {row[0].strip(" `"): [cell.strip() for cell in row[1:]] for row in rows}
    assert list(written) == [t.name for t in TISSUES]
    for tissue in TISSUES:
        values = (
            tissue.scatter_per_cm, tissue.scatter_power, tissue.clarity, tissue.water, tissue.blood, tissue.melanin,
            tissue.density_g_cm3, tissue.proton_density, tissue.t1_ms, tissue.t2_ms,
            tissue.autofluorescence, tissue.swir_uptake,
        )  # fmt: skip
        assert [float(cell) for cell in written[tissue.name][:-2]] == pytest.approx(list(values))
        assert written[tissue.name][-2:] == [tissue.material, "yes" if tissue.living else ""]
