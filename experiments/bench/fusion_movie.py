"""A movie to fuse, with a known course: two stains of a zebrafish's brain that bleach, drift and are noisy.

Both stains lie in the package's demonstration data on one grid. From frame to frame the one fades while the other
stays, both move along x by a part of a voxel, and the noise is drawn anew. Flicker over t is measured as that over
z is (:mod:`experiments.bench.fusion_flicker`).
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

import fusion
from configs import demo_data
from experiments.bench.fusion_flicker import compared
from experiments.bench.fusion_kinds import Named, measuring
from volumes import TimeLapse, read
from volumes.shapes import AnyArray

FADES = 0.9
"""What is left of the first stain after a frame."""
DRIFT = 0.3
"""Voxels along x a frame."""
NOISE = 0.03
"""Standard deviation of the noise, as a share of the first frame's range."""


STACK, PLANE = slice(20, 36), slice(28, 29)
"""What of the brain is shown: a volume, or one plane of it."""


def movie(frames: int, seed: int = 0, planes: slice = STACK) -> list[TimeLapse]:
    """The two stains over so many frames of a minute each, float32, in these planes of the brain."""
    rng = np.random.default_rng(seed)
    out = []
    for name, fades in (("zbrain-tERK", FADES), ("zbrain-H2B-RFP", 1.0)):
        volume = read(demo_data(f"{name}.nrrd"), modality="fluorescence")
        still = np.asarray(volume.channel(), np.float32)[planes]
        noise = NOISE * float(np.ptp(still))
        drifted = [ndimage.shift(still, (0, 0, DRIFT * t), order=1, mode="nearest") * fades**t for t in range(frames)]
        data = np.stack([frame + noise * rng.standard_normal(frame.shape, np.float32) for frame in drifted])
        out.append(TimeLapse.from_array(data, volume.grid.spacing_um, dt_s=60.0, modality="fluorescence"))
    return out


def movie_flicker(fuser: Named, frames: int, planes: slice = STACK) -> dict[str, float]:
    """Flicker over t with one scale for the movie, with one measured for each frame.

    A fuser without a ``match``, which takes its sources as they are, has the first alone.
    """
    sources = movie(frames, planes=planes)
    scales = fusion.movie_scales(sources, "percentile")
    own = [scale.to_common(_array(source)) for scale, source in zip(scales, sources, strict=True)]
    own_scale = measuring(fuser.fuser)
    if own_scale is None:
        scaled = [
            TimeLapse.from_array(a, s.grid.spacing_um, dt_s=60.0, modality="fluorescence")
            for a, s in zip(own, sources, strict=True)
        ]
        return compared({"one scale": _array(fusion.fuse(scaled, fuser.fuser))}, own)
    whole = _array(fusion.fuse(sources, own_scale))
    single = np.stack([fusion.fuse([s[t] for s in sources], own_scale).channel() for t in range(frames)])
    return compared({"one scale": whole, "a scale a frame": single}, own)


def _array(frames: TimeLapse) -> AnyArray:
    """(t, z, y, x)."""
    return np.stack([frame.channel() for frame in frames])
