"""Fusion of discrete wavelet coefficients: the largest detail of all sources, the mean of their approximations.

Per level one low- and one high-pass filter along each axis that takes part, every second coefficient kept (Mallat 1989,
"A theory for multiresolution signal decomposition"; Li, Manjunath & Mitra 1995, "Multisensor image fusion using the
wavelet transform"). Not invariant to shifts, so it rings beside strong edges where the sources differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from fusion.details import chosen_details
from fusion.gaps import TOUCHED
from fusion.matched import fused_on_common_scale, matched_scales
from fusion.scales import Match, Scale
from volumes import Volume
from volumes.pyramid import Axes, halving_axes
from volumes.shapes import AnyArray, Mask, Triple, Voxels

if TYPE_CHECKING:
    import pywt

BORDER = "symmetric"
"""How a source goes on beyond its border: mirrored, the outermost voxel twice."""


class DWTConfig(BaseModel):
    """How wavelet fusion is done.

    Parameters
    ----------
    wavelet : the name of a discrete wavelet of PyWavelets.
    levels : how many at most; None goes on until no axis is as long as the filters. An axis that is shorter, or whose
        voxels are still coarser than the others', is left alone.
    match : as in :class:`fusion.LPFConfig`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["dwt"] = "dwt"
    wavelet: str = "db4"
    levels: int | None = Field(default=None, ge=1)
    match: Match = "percentile"

    @field_validator("wavelet")
    @classmethod
    def _known(cls, name: str) -> str:
        import pywt

        known = pywt.wavelist(kind="discrete")
        if name not in known:
            raise ValueError(f"no discrete wavelet; known: {', '.join(known)}")
        return name

    def build(self) -> DWT:
        """The fuser."""
        return DWT(self)


@dataclass(frozen=True)
class Step:
    """One level of a transform: the details by name, the axes that were halved, and the shape before."""

    details: dict[str, Voxels]
    axes: Axes
    shape: tuple[int, ...]


@dataclass(frozen=True)
class DWT:
    """Wavelet fusion of any number of sources; nothing is learnt."""

    config: DWTConfig = field(default_factory=DWTConfig)

    def fuse(self, volumes: Sequence[Volume]) -> Volume:
        """The fused volume, float32, on the common scale that :meth:`scales` tells; 0 where no source is valid.

        Raises
        ------
        ContentError, GridError : the volumes cannot be fused; see :func:`fusion.fuse`.
        """
        return fused_on_common_scale(volumes, self.config.match, self._combined)

    def scales(self, volumes: Sequence[Volume], channel: int | str = 0) -> tuple[Scale, ...]:
        """As :func:`fusion.matched.matched_scales`."""
        return matched_scales(volumes, self.config.match, channel)

    def _combined(
        self, sources: list[Voxels], masks: list[Mask] | None, spacing_um: Triple, channel: int | str
    ) -> Voxels:
        del channel  # One rule for all.
        import pywt

        wavelet, levels = pywt.Wavelet(self.config.wavelet), self.config.levels
        transforms = [transformed(source, spacing_um, wavelet, levels) for source in sources]
        bars = None if masks is None else _barred(masks, spacing_um, wavelet, levels)
        steps = []
        for i, same in enumerate(zip(*(steps for _, steps in transforms), strict=True)):
            chosen = {
                name: chosen_details(
                    np.stack([step.details[name] for step in same]), None if bars is None else bars[i][name], 0
                )
                for name in same[0].details
            }
            steps.append(Step(chosen, same[0].axes, same[0].shape))
        bases = np.stack([approximation for approximation, _ in transforms])
        return restored(np.asarray(bases.mean(axis=0, dtype=np.float64), np.float32), steps, wavelet)


def transformed(
    data: Voxels, spacing_um: Triple, wavelet: pywt.Wavelet, levels: int | None
) -> tuple[Voxels, list[Step]]:
    """The approximation of the coarsest level, and the details of each, finest first; :func:`restored` undoes it.

    Parameters
    ----------
    data : (z, y, x), float32 or float64, of any shape.
    spacing_um : (z, y, x) in µm.
    wavelet, levels : as in :class:`DWTConfig`.
    """
    import pywt

    steps: list[Step] = []
    spacing = spacing_um
    while levels is None or len(steps) < levels:
        axes = halving_axes(data.shape, spacing, smallest=wavelet.dec_len)
        if not axes:
            break
        bands = pywt.dwtn(data, wavelet, BORDER, axes=axes)
        shape, data = data.shape, bands.pop("a" * len(axes))
        steps.append(Step(bands, axes, shape))
        z, y, x = (s * (2 if i in axes else 1) for i, s in enumerate(spacing))
        spacing = (z, y, x)
    return data, steps


def restored(approximation: Voxels, steps: Sequence[Step], wavelet: pywt.Wavelet) -> Voxels:
    """The array whose transform this is, of the size that it had."""
    import pywt

    data = approximation
    for step in reversed(steps):
        data = pywt.idwtn({**step.details, "a" * len(step.axes): data}, wavelet, BORDER, axes=step.axes)
        z, y, x = step.shape
        data = data[:z, :y, :x]
    return np.ascontiguousarray(data)


def _barred(
    masks: Sequence[Mask], spacing_um: Triple, wavelet: pywt.Wavelet, levels: int | None
) -> list[dict[str, AnyArray]]:
    """For each level and detail (sources, z, y, x): which coefficients rest on filled voxels and may not be chosen.

    The same transform with the filters' magnitudes tells how much of a coefficient's kernel lies on voxels that are
    missing, beside how much there is of it.
    """
    import pywt

    low, high = np.abs(wavelet.dec_lo), np.abs(wavelet.dec_hi)
    reach = pywt.Wavelet("magnitudes", filter_bank=[low, high, low, high])
    _, whole = transformed(np.ones(masks[0].shape, np.float32), spacing_um, reach, levels)
    missing = [transformed((~mask).astype(np.float32), spacing_um, reach, levels)[1] for mask in masks]
    out = []
    for all_of, steps in zip(whole, zip(*missing, strict=True), strict=True):
        shares = {
            name: np.stack([step.details[name] for step in steps]) / all_of.details[name] for name in all_of.details
        }
        out.append({name: share > np.maximum(TOUCHED, share.min(axis=0)) for name, share in shares.items()})
    return out
