"""What a registration looks at instead of the raw intensities of one channel, chosen by how the instrument sees.

``raw``, as they are. ``faint``, noise smoothed away and dim tissue told from none, for a stain that lights few cells.
``phase``, the refractive index behind a stack of brightfield pictures, whose own contrast vanishes in focus and turns
over through it. The transform that is found on these holds for the raw volumes, since the grid stays.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float32, Float64
from scipy import fft, ndimage

from volumes.errors import ConfigError, ContentError
from volumes.grid import Grid
from volumes.shapes import AnyArray, Voxels
from volumes.volume import Volume, require_finite

Contrast: TypeAlias = Literal["raw", "faint", "phase"]

SMOOTHING_VOXELS, SMOOTHING_FIELD = 1.5, 0.01
"""σ of the smoothing that is not stated: by the geometric mean of the voxel's sides, but never a greater share than
this of the field's diagonal, since a blur that is wide beside the specimen moves its outline."""
DARKEST, DARK = 1.0, 20.0
"""Percentiles of the intensities: the zero, and one that is still background, whose distance is the unit."""
CONE = 0.15
"""Blur a µm of distance from the focus, NA / 2n, of a condenser of aperture 0.4 in water."""
DAMPING = 0.1
"""Share of the transfer function below which a frequency counts as lost; its maximum is e^(−½)."""
REACH = 20.0
"""Beyond this times the smoothing's σ, lateral structure is an uneven lamp rather than the specimen."""
BORDER = 16.0
"""The stack is mirrored at its borders over this many σ of the smoothing, so that its ends do not meet."""


def contrast(volume: Volume, kind: Contrast, channel: int | str = 0, *, smoothing_um: float | None = None) -> Volume:
    """One channel as a registration should see it: float32 on the same grid, at the same time, ``valid`` kept.

    Parameters
    ----------
    volume : the volume.
    kind : the contrast; ``raw`` gives the volume back, with that channel alone.
    channel : by position or name.
    smoothing_um : σ of the noise's smoothing; left out, :func:`default_smoothing_um`.

    Raises
    ------
    ContentError : voxels that are not finite, or a volume without contrast to work on.
    ConfigError : a contrast that is not known, or a smoothing that is no length.
    """
    position = [c.name for c in volume.channels].index(channel) if isinstance(channel, str) else channel
    voxels = volume.channel(channel)
    described = (volume.channels[position],)
    if kind == "raw":
        return volume.with_data(voxels, described)
    sigma = default_smoothing_um(volume.grid) if smoothing_um is None else smoothing_um
    if not 0 < sigma < np.inf:
        raise ConfigError("must be a length above 0", field="smoothing_um", value=smoothing_um)
    require_finite(volume, kind)
    seen = _filled(voxels, volume)
    if kind == "faint":
        return volume.with_data(faint(seen, volume.grid.spacing_um, sigma), described)
    if kind == "phase":
        return volume.with_data(phase(seen, volume.grid.spacing_um, sigma), described)
    raise ConfigError("no such contrast", field="contrast", value=kind, remedy="Known: raw, faint, phase")


def default_smoothing_um(grid: Grid) -> float:
    """1.5 times the geometric mean of the voxel's sides, at most 1 % of the field's diagonal."""
    voxel = float(np.prod(grid.spacing_um) ** (1 / 3))
    diagonal = float(np.linalg.norm(grid.extent_um))
    return min(SMOOTHING_VOXELS * voxel, SMOOTHING_FIELD * diagonal)


def faint(voxels: Voxels, spacing_um: tuple[float, float, float], sigma_um: float) -> Float32[np.ndarray, "z y x"]:
    """``arsinh((v − v₁) / (v₂₀ − v₁))`` of the smoothed voxels, vₚ their p-th percentile, 0 below v₁.

    It is linear in the background and a logarithm above, so that tissue which hardly shines is as far from the dark as
    bright cells are from the tissue (Lupton, Gunn & Szalay 1999, Astron. J. 118, 1406, on such a scale of light).
    """
    smooth = ndimage.gaussian_filter(voxels.astype(np.float32), [sigma_um / s for s in spacing_um])
    low, dark = (np.float32(v) for v in np.percentile(smooth, (DARKEST, DARK)))
    unit = dark - low if dark > low else smooth.max() - low
    if not unit > 0:
        raise ContentError("is constant: there is nothing to align", field="faint", value=float(low))
    out: Float32[np.ndarray, "z y x"] = np.arcsinh(np.maximum(smooth - low, 0) / unit)
    return out


def phase(
    voxels: Voxels, spacing_um: tuple[float, float, float], sigma_um: float, cone: float = CONE
) -> Float32[np.ndarray, "z y x"]:
    """The index of refraction, up to a factor and its sign, that a focal stack of a weak object comes from.

    A plane at the distance d from the focus adds ``−(d/n) ∇²p`` blurred by ``σ = cone · d`` to the logarithm of the
    light (Teague 1983, J. Opt. Soc. Am. 73, 1434). Summed over all planes that is, in frequencies k_z along the axis z
    and k across it, a transfer function ``i T``, ``T = u exp(−u²/2)`` with ``u = k_z / (cone · k)``. It is inverted as
    ``−i T / (T² + damping²)`` (Tikhonov), times the smoothing; what is wide compared with it is left out.

    Parameters
    ----------
    voxels : (z, y, x), one picture a focus; the light's zero need not be known.
    spacing_um : (z, y, x).
    sigma_um : of the smoothing across the axis.
    cone : blur a µm of distance from the focus.
    """
    light = np.maximum(voxels.astype(np.float32), np.float32(1e-6) * max(float(voxels.max()), 1e-30))
    middle = np.float32(np.median(light))
    if not light.max() > light.min():
        raise ContentError("is constant: there is nothing to align", field="phase", value=float(middle))
    pads = [min(round(BORDER * sigma_um / s), n - 1) for s, n in zip(spacing_um, voxels.shape, strict=True)]
    around = np.pad(np.log(light / middle), [(p, p) for p in pads], mode="reflect")
    spectrum = fft.rfftn(around) * _inverse_transfer(around.shape, spacing_um, sigma_um, cone)
    out: Float32[np.ndarray, "z y x"] = fft.irfftn(spectrum, around.shape).astype(np.float32)
    return np.ascontiguousarray(out[tuple(slice(p, p + n) for p, n in zip(pads, voxels.shape, strict=True))])


def _inverse_transfer(
    shape: tuple[int, ...], spacing_um: tuple[float, float, float], sigma_um: float, cone: float
) -> AnyArray:
    """``−i T / (T² + damping²)`` times the band that is kept, (z, y, x / 2 + 1)."""
    along, down, across = (
        2 * np.pi * frequencies(n, s).astype(np.float32)
        for n, s, frequencies in zip(shape, spacing_um, (fft.fftfreq, fft.fftfreq, fft.rfftfreq), strict=True)
    )
    lateral = down[:, None] ** 2 + across**2
    u = along[:, None, None] / (cone * np.sqrt(np.maximum(lateral, 1e-12)))
    transfer = u * np.exp(-np.minimum(u**2 / 2, 80))
    band: Float64[np.ndarray, "y x"] = np.exp(-lateral * sigma_um**2 / 2)
    band = band * -np.expm1(-lateral * (REACH * sigma_um) ** 2 / 2)
    return np.asarray(-1j * band * transfer / (transfer**2 + DAMPING**2)).astype(np.complex64)


def _filled(voxels: Voxels, volume: Volume) -> Voxels:
    """What is not valid takes the nearest valid value, so that nothing foreign is drawn in."""
    if volume.valid is None or volume.valid.all():
        return voxels
    if not volume.valid.any():
        raise ContentError("holds no valid voxel", field="valid")
    nearest = ndimage.distance_transform_edt(~volume.valid, return_distances=False, return_indices=True)
    out: Voxels = voxels[tuple(nearest)]
    return out
