"""How strongly water, blood and melanin absorb light of 400 to 1700 nm, in 1/mm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from volumes.errors import ConfigError

SHORTEST_NM, LONGEST_NM = 400.0, 1700.0
"""The range of the tables."""
BLOOD_G_PER_L = 150.0
"""Haemoglobin in whole blood (Prahl's convention; human)."""
HAEMOGLOBIN_G_PER_MOL = 64_500.0
SATURATION = 0.75
"""Share of the haemoglobin that carries oxygen; an assumption, between artery and vein."""

# Wavelength nm, imaginary refractive index k. To 1000 nm: Hale & Querry 1973, Applied Optics 12, 555; above: Segelstein
# 1981, The complex refractive index of water. Every second to fourth row of either, the band at 1450 nm in full.
_WATER_K = np.array(
    [
        (400, 1.86e-9), (425, 1.30e-9), (450, 1.02e-9), (475, 9.35e-10), (500, 1.00e-9), (525, 1.32e-9),
        (550, 1.96e-9), (575, 3.60e-9), (600, 1.09e-8), (625, 1.39e-8), (650, 1.64e-8), (675, 2.23e-8),
        (700, 3.35e-8), (725, 9.15e-8), (750, 1.56e-7), (775, 1.48e-7), (800, 1.25e-7), (825, 1.82e-7),
        (850, 2.93e-7), (875, 3.91e-7), (900, 4.86e-7), (925, 1.06e-6), (950, 2.93e-6), (975, 3.48e-6),
        (1000, 2.89e-6), (1059.3, 1.299e-6), (1078.9, 1.329e-6), (1099.0, 1.708e-6), (1119.4, 2.628e-6),
        (1140.2, 5.951e-6), (1158.8, 1.069e-5), (1199.5, 1.1995e-5), (1250.3, 1.100e-5), (1258.9, 1.079e-5),
        (1300.2, 1.400e-5), (1321.3, 1.912e-5), (1349.0, 4.047e-5), (1370.9, 5.804e-5), (1390.0, 1.060e-4),
        (1399.6, 1.530e-4), (1409.3, 2.540e-4), (1419.1, 3.197e-4), (1428.9, 3.538e-4), (1448.8, 3.637e-4),
        (1468.9, 3.387e-4), (1499.7, 2.248e-4), (1531.1, 1.602e-4), (1570.4, 1.140e-4), (1599.6, 9.347e-5),
        (1640.6, 7.903e-5), (1671.1, 7.404e-5), (1698.2, 7.743e-5), (1710.0, 8.050e-5),
    ]
)  # fmt: skip

# Wavelength nm, molar extinction cm⁻¹/M (decadic) of HbO₂ and of Hb: S. Prahl, Tabulated molar extinction coefficient
# for hemoglobin in water, Oregon Medical Laser Center.
_HAEMOGLOBIN = np.array(
    [
        (400, 266232, 223296), (410, 466840, 303956), (414, 524280, 342596), (420, 480360, 407560),
        (430, 246072, 528600), (434, 165332, 552160), (440, 102580, 413280), (450, 62816, 103292),
        (460, 44480, 23388.8), (470, 33209.2, 16156.4), (480, 26629.2, 14550), (488, 24174.8, 15898),
        (500, 20932.8, 20862), (510, 20035.2, 25773.6), (520, 24202.4, 31589.6), (530, 39956.8, 39036.4),
        (542, 53292, 48148), (550, 43016, 53412), (560, 32613.2, 53788), (570, 44496, 45072), (576, 55540, 40092),
        (586, 26600.4, 32851.6), (594, 7678.8, 22574.8), (600, 3200, 14677.2), (610, 1506, 9443.6),
        (630, 610, 5148.8), (650, 368, 3750.12), (680, 277.6, 2407.92), (700, 290, 1794.28), (730, 390, 1102.2),
        (756, 562, 1560.48), (780, 710, 1075.44), (800, 816, 761.72), (850, 1058, 691.32), (900, 1198, 761.84),
        (950, 1204, 602.24), (1000, 1024, 206.784),
    ]
)  # fmt: skip


def water_per_mm(wavelength_nm: float) -> float:
    """Absorption of pure water at 25 °C: ``4π k / λ``, 1/mm, ``k`` interpolated between tabulated ones in logarithm.

    Hale & Querry 1973 to 1000 nm, Segelstein 1981 above.

    Raises
    ------
    ConfigError : a wavelength outside 400 to 1700 nm.
    """
    require_wavelength(wavelength_nm)
    k = log_interpolated(wavelength_nm, _WATER_K[:, 0], _WATER_K[:, 1])
    return float(4 * np.pi * k / (wavelength_nm * 1e-6))


def blood_per_mm(wavelength_nm: float) -> float:
    """Absorption of whole blood: ``ln 10 · c (S ε(HbO₂) + (1−S) ε(Hb))``, 1/mm.

    Prahl's extinctions, with 150 g/l and S = 0.75. His table ends at 1000 nm; above it 0 is taken, since water
    outweighs haemoglobin there.

    Raises
    ------
    ConfigError : a wavelength outside 400 to 1700 nm.
    """
    require_wavelength(wavelength_nm)
    if wavelength_nm > _HAEMOGLOBIN[-1, 0]:
        return 0.0
    oxygenated, bare = (log_interpolated(wavelength_nm, _HAEMOGLOBIN[:, 0], _HAEMOGLOBIN[:, i]) for i in (1, 2))
    per_cm_molar = SATURATION * oxygenated + (1 - SATURATION) * bare
    return float(np.log(10) * per_cm_molar * BLOOD_G_PER_L / HAEMOGLOBIN_G_PER_MOL / 10)


def melanosome_per_mm(wavelength_nm: float) -> float:
    """Absorption inside a melanosome: ``51.9 (λ / 500 nm)⁻³``, 1/mm (Jacques 2013, Phys. Med. Biol. 58, R37).

    Raises
    ------
    ConfigError : a wavelength outside 400 to 1700 nm.
    """
    require_wavelength(wavelength_nm)
    return float(51.9 * (wavelength_nm / 500.0) ** -3)


def require_wavelength(wavelength_nm: float) -> None:
    """Refuse a wavelength that the tables do not know.

    Raises
    ------
    ConfigError : outside 400 to 1700 nm, or not finite.
    """
    if not SHORTEST_NM <= wavelength_nm <= LONGEST_NM:
        raise ConfigError("the tissue tables know 400 to 1700 nm", field="wavelength_nm", value=wavelength_nm)


def log_interpolated(at: float, x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """``y`` at one place, its logarithm linear between the tabulated ones."""
    return float(np.exp(np.interp(at, x, np.log(y))))
