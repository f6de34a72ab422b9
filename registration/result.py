"""What a registration gives, and what a registrar is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from registration.quality import Quality, Status
from volumes.transform import Affine
from volumes.volume import Volume


@dataclass(frozen=True)
class Registered:
    """The result of a registration.

    Parameters
    ----------
    transform : fixed points → moving points, world (z, y, x) µm.
    quality : similarity, overlap, size of the motion, uncertainty.
    status : whether it may be used.
    reasons : why it is doubtful or failed, and what to try.
    """

    transform: Affine
    quality: Quality
    status: Status
    reasons: tuple[str, ...]


class Registrar(Protocol):
    """Finds the transform between two volumes of one specimen."""

    def register(self, fixed: Volume, moving: Volume) -> Registered:
        """The transform from fixed to moving points, with how far it can be trusted."""
        ...
