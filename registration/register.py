"""The one call that registers two volumes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from registration.auto import AutoConfig
from registration.config import RegistrarConfig
from registration.deformable.deformable import DeformableConfig
from registration.linear.linear import AffineConfig, RigidConfig, SimilarityConfig
from registration.projection.projection import ProjectionConfig
from registration.result import Registered
from volumes.errors import ConfigError
from volumes.shapes import Mask
from volumes.transform import Transform
from volumes.volume import Volume

Kind = Literal["auto", "rigid", "similarity", "affine", "deformable", "projection"]
DEFAULTS: Mapping[str, Callable[[], RegistrarConfig]] = {
    "auto": AutoConfig,
    "rigid": RigidConfig,
    "similarity": SimilarityConfig,
    "affine": AffineConfig,
    "deformable": DeformableConfig,
    "projection": ProjectionConfig,
}
"""The kinds that need no more than their name."""


def register(
    fixed: Volume,
    moving: Volume,
    kind: Kind | RegistrarConfig = "auto",
    *,
    fixed_mask: Mask | None = None,
    moving_mask: Mask | None = None,
    start: Transform | None = None,
) -> Registered:
    """Find the transform from fixed to moving points.

    Parameters
    ----------
    fixed : the volume whose grid the other is brought onto.
    moving : the volume that is moved.
    kind : ``auto`` (by the two modalities), ``rigid``, ``similarity``, ``affine``, ``deformable``, ``projection`` (one
        of the two is a single plane), or a config object with other settings than the defaults.
    fixed_mask, moving_mask : (z, y, x) on each one's own grid, True where it may be looked at.
    start : fixed points → moving points, world (z, y, x) µm, to begin from; left out, all rotations are searched.

    Returns
    -------
    The transform, its quality, and a status that says whether it may be used.

    Raises
    ------
    ConfigError : a kind that is not known.
    ContentError : a volume that is constant, not finite, a single plane, or has an empty mask.
    HeaderError : fields of view so different that one unit must be wrong.
    TransformError : a start that is not linear, or lays the volumes apart.
    """
    registrar = _config(kind).build()
    return registrar.register(fixed, moving, fixed_mask=fixed_mask, moving_mask=moving_mask, start=start)


def _config(kind: Kind | RegistrarConfig) -> RegistrarConfig:
    if not isinstance(kind, str):
        return kind
    if kind in DEFAULTS:
        return DEFAULTS[kind]()
    raise ConfigError("no such registration", field="kind", value=kind, remedy=f"Known: {', '.join(DEFAULTS)}")
