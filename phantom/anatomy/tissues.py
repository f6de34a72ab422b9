"""What tissues are made of, and how light, X-rays and spins meet them; sources in ``docs/tissues.md``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phantom.anatomy.chromophores import blood_per_mm, melanosome_per_mm, require_wavelength, water_per_mm
from phantom.anatomy.xray import mass_attenuation_cm2_per_g
from volumes.errors import ConfigError

CLARITY = 0.1
"""Scattering of a living larva or organoid as a share of the grown mammal's, from which the published figures come.

An assumption: with an anisotropy of 0.9 it gives a scattering length near 0.4 mm in the brain at 500 nm, so that a
light sheet passes a larva's head, which it does, while 0.04 mm (clarity 1) would stop it in the first layers of cells.
"""
DRY_INDEX, WATER_INDEX = 1.514, 1.333
"""Refractive index of a tissue's solids (Jacques 2013) and of water."""


@dataclass(frozen=True)
class Tissue:
    """One kind of tissue.

    Parameters
    ----------
    name : what it is called.
    scatter_per_cm, scatter_power : a and b of the reduced scattering ``a (λ / 500 nm)^−b`` of grown mammals, 1/cm.
    clarity : the share of that scattering which is left in a small clear specimen.
    water, blood, melanin : volume fractions of water, whole blood and melanosomes.
    material, density_g_cm3 : whose X-ray attenuation it has, and how dense it is.
    proton_density : relative to water.
    t1_ms, t2_ms : relaxation times near 3 T.
    autofluorescence : light of its own, relative to the median stained nucleus.
    swir_uptake : of a dye that circulates, relative to blood.
    living : whether cells may live in it.
    """

    name: str
    scatter_per_cm: float
    scatter_power: float
    clarity: float
    water: float
    blood: float
    melanin: float
    material: str
    density_g_cm3: float
    proton_density: float
    t1_ms: float
    t2_ms: float
    autofluorescence: float
    swir_uptake: float
    living: bool = False


TISSUES: tuple[Tissue, ...] = (
    Tissue("medium", 0.0, 0.0, 1, 0.99, 0, 0, "water", 1.00, 1.00, 2500, 100, 0.01, 0.0),
    Tissue("yolk", 18.4, 0.672, 0.5, 0.50, 0, 0, "adipose", 1.03, 0.90, 371, 133, 0.60, 0.20),
    Tissue("neural", 24.2, 1.611, CLARITY, 0.80, 0.02, 0, "brain", 1.04, 0.82, 1820, 99, 0.05, 0.04, living=True),
    Tissue("neuropil", 24.2, 1.611, 1.5 * CLARITY, 0.76, 0.02, 0, "brain", 1.04, 0.72, 1084, 69, 0.08, 0.05),
    Tissue("soft", 18.9, 1.286, CLARITY, 0.76, 0.01, 0, "muscle", 1.05, 0.79, 1412, 50, 0.08, 0.08, living=True),
    Tissue("notochord", 27.1, 1.627, CLARITY, 0.72, 0, 0, "soft", 1.10, 0.72, 1168, 27, 0.12, 0.03),
    Tissue("bone", 22.9, 0.716, 1, 0.15, 0, 0, "bone", 1.92, 0.20, 223, 0.39, 0.20, 0.10),
    Tissue("pigment", 46.0, 1.421, 5 * CLARITY, 0.60, 0, 0.5, "soft", 1.09, 0.70, 900, 45, 0.25, 0.05),
    Tissue("vessel", 22.0, 0.660, CLARITY, 0.80, 0.5, 0, "blood", 1.06, 0.85, 1932, 275, 0.05, 1.00),
    Tissue("skin", 46.0, 1.421, CLARITY, 0.65, 0.002, 0, "soft", 1.09, 0.70, 1000, 35, 0.15, 0.15),
    Tissue("lumen", 0.01, 0.0, 1, 0.99, 0, 0, "water", 1.00, 1.00, 4163, 2000, 0.015, 0.02),
)
"""In the order of the codes in a label volume; 0 is the medium outside."""

CODE = {tissue.name: code for code, tissue in enumerate(TISSUES)}
"""The code of each name in a label volume."""


def reduced_scattering_per_mm(wavelength_nm: float) -> NDArray[np.float64]:
    """``µs' = clarity · a (λ / 500 nm)^−b`` for each tissue, 1/mm (Jacques 2013, Phys. Med. Biol. 58, R37, table 2).

    Raises
    ------
    ConfigError : a wavelength outside 400 to 1700 nm.
    """
    require_wavelength(wavelength_nm)
    per_cm = (t.clarity * t.scatter_per_cm * (wavelength_nm / 500.0) ** -t.scatter_power for t in TISSUES)
    return _each(value / 10 for value in per_cm)


def absorption_per_mm(wavelength_nm: float) -> NDArray[np.float64]:
    """``µa = W µ(water) + B µ(blood) + M µ(melanosome)`` for each tissue, 1/mm (the sum of Jacques 2013).

    Raises
    ------
    ConfigError : a wavelength outside 400 to 1700 nm.
    """
    water, blood, melanin = (one(wavelength_nm) for one in (water_per_mm, blood_per_mm, melanosome_per_mm))
    return _each(t.water * water + t.blood * blood + t.melanin * melanin for t in TISSUES)


def autofluorescence() -> NDArray[np.float64]:
    """Light that each tissue sends by itself; 1 is that of the median stained nucleus. Assumed."""
    return _each(t.autofluorescence for t in TISSUES)


def refractive_index() -> NDArray[np.float64]:
    """``n = 1.514 − (1.514 − 1.333) W`` for each tissue's volume fraction of water (Jacques 2013)."""
    return _each(DRY_INDEX - (DRY_INDEX - WATER_INDEX) * t.water for t in TISSUES)


def xray_per_mm(kev: float) -> NDArray[np.float64]:
    """``µ = ρ · (µ/ρ)`` for each tissue, 1/mm (Hubbell & Seltzer, NISTIR 5632; densities of ICRU report 44).

    Raises
    ------
    ConfigError : an energy outside 20 to 100 keV.
    """
    return _each(t.density_g_cm3 * mass_attenuation_cm2_per_g(t.material, kev) / 10 for t in TISSUES)


def spin_echo(tr_ms: float, te_ms: float) -> NDArray[np.float64]:
    """Signal of a spin echo, ``PD (1 − e^(−TR/T1)) e^(−TE/T2)``, for each tissue, 0 to 1.

    Raises
    ------
    ConfigError : a repetition time that is not above the echo time, or an echo time below 0.
    """
    if not 0 <= te_ms < tr_ms < np.inf:
        raise ConfigError("needs 0 ≤ te_ms < tr_ms", field="tr_ms, te_ms", value=(tr_ms, te_ms))
    return _each(t.proton_density * -np.expm1(-tr_ms / t.t1_ms) * np.exp(-te_ms / t.t2_ms) for t in TISSUES)


def swir_uptake() -> NDArray[np.float64]:
    """How much of a circulating short-wave infrared dye each tissue holds; 1 is that of blood. Assumed."""
    return _each(t.swir_uptake for t in TISSUES)


def living() -> NDArray[np.bool_]:
    """Whether cells may live in each tissue."""
    return np.array([t.living for t in TISSUES])


def _each(values: Iterable[float]) -> NDArray[np.float64]:
    return np.fromiter(values, dtype=np.float64, count=len(TISSUES))
