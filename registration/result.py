"""What a registration gives, and what a registrar is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from registration.quality import Quality, Status
from volumes.shapes import Mask
from volumes.transform import Transform
from volumes.volume import Volume


@dataclass(frozen=True)
class Registered:
    """The result of a registration.

    Parameters
    ----------
    transform : fixed points → moving points, world (z, y, x) µm; ``transform.inverse()`` goes back.
    quality : similarity, overlap, size of the motion, uncertainty.
    status : whether it may be used.
    reasons : why it is doubtful or failed, and what to try.
    """

    transform: Transform
    quality: Quality
    status: Status
    reasons: tuple[str, ...]


class Registrar(Protocol):
    """Finds the transform between two volumes of one specimen."""

    def register(
        self,
        fixed: Volume,
        moving: Volume,
        *,
        fixed_mask: Mask | None = None,
        moving_mask: Mask | None = None,
        start: Transform | None = None,
    ) -> Registered:
        """The transform from fixed to moving points, with how far it can be trusted."""
        ...
