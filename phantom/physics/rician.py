"""The magnitude of a complex picture with noise in both channels, which is what MRI scanners write."""

from __future__ import annotations

import numpy as np

from phantom.physics.kspace import Plane
from volumes.errors import ContentError


def magnitude(signal: Plane, in_phase: Plane, in_quadrature: Plane) -> Plane:
    """``|S + n₁ + i n₂|``: Rician for Gaussian noise of equal deviation σ.

    Where S is 0 it is Rayleigh, of mean ``σ √(π/2)``; for S ≫ σ its mean is ``S + σ²/2S`` (Gudbjartsson & Patz 1995,
    "The Rician distribution of noisy MRI data", Magnetic Resonance in Medicine 34).

    Raises
    ------
    ContentError : a signal that is not finite.
    """
    if not np.isfinite(signal).all():
        raise ContentError("must be finite", field="signal")
    seen: Plane = np.hypot(signal + in_phase, in_quadrature)
    return seen
