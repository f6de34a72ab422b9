"""Dyes fade under light."""

from __future__ import annotations

import math

from volumes.errors import ConfigError


def unbleached(time_s: float, lifetime_s: float, resistant: float) -> float:
    """The share of a dye's light that is left: ``r + (1 − r) e^(−t / τ)``.

    Parameters
    ----------
    time_s : t, how long it has been lit.
    lifetime_s : τ; infinite for a dye that never fades.
    resistant : r, the share that does not fade (or is made anew as fast as it does).

    Raises
    ------
    ConfigError : a time below 0, a lifetime that is not above 0, a share outside of 0 to 1.
    """
    if not 0 <= time_s < math.inf:
        raise ConfigError("must be finite and not below 0", field="time_s", value=time_s)
    if not lifetime_s > 0:
        raise ConfigError("must be above 0", field="lifetime_s", value=lifetime_s)
    if not 0 <= resistant <= 1:
        raise ConfigError("must be between 0 and 1", field="resistant", value=resistant)
    return resistant + (1 - resistant) * math.exp(-time_s / lifetime_s)
