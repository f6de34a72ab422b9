"""What any fuser is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from volumes import Volume


@runtime_checkable
class Fuser(Protocol):
    """Makes one volume of several that lie on one grid."""

    def fuse(self, volumes: Sequence[Volume]) -> Volume:
        """The fused volume, on the grid of the first source, valid wherever one source is."""
        ...
