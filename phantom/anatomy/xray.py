"""How strongly the stuff of tissues attenuates X-rays of 20 to 100 keV."""

from __future__ import annotations

import numpy as np

from volumes.errors import ConfigError

LOWEST_KEV, HIGHEST_KEV = 20.0, 100.0

_KEV = np.array([20.0, 30.0, 40.0, 50.0, 60.0, 80.0, 100.0])

# µ/ρ in cm²/g with coherent scattering: Hubbell & Seltzer, NISTIR 5632, table 4 (tissues of ICRU report 44).
_CM2_PER_G = {
    "water": (0.8096, 0.3756, 0.2683, 0.2269, 0.2059, 0.1837, 0.1707),
    "soft": (0.8230, 0.3790, 0.2688, 0.2264, 0.2048, 0.1823, 0.1693),
    "muscle": (0.8205, 0.3783, 0.2685, 0.2262, 0.2048, 0.1823, 0.1693),
    "brain": (0.8281, 0.3813, 0.2705, 0.2278, 0.2060, 0.1831, 0.1701),
    "blood": (0.8428, 0.3852, 0.2715, 0.2278, 0.2057, 0.1827, 0.1695),
    "adipose": (0.5678, 0.3063, 0.2396, 0.2123, 0.1974, 0.1800, 0.1688),
    "bone": (4.001, 1.331, 0.6655, 0.4242, 0.3148, 0.2229, 0.1855),
}
MATERIALS = tuple(_CM2_PER_G)


def mass_attenuation_cm2_per_g(material: str, kev: float) -> float:
    """``µ/ρ`` of one of :data:`MATERIALS`, cm²/g, linear in the logarithms of both energy and attenuation.

    Raises
    ------
    ConfigError : an energy outside 20 to 100 keV, or no such material.
    """
    if not LOWEST_KEV <= kev <= HIGHEST_KEV:
        raise ConfigError("the tissue tables know 20 to 100 keV", field="kev", value=kev)
    if material not in _CM2_PER_G:
        raise ConfigError("no such material", field="material", value=material, remedy=f"One of {MATERIALS}")
    return float(np.exp(np.interp(np.log(kev), np.log(_KEV), np.log(_CM2_PER_G[material]))))
