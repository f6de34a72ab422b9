"""What links detections into tracks: the protocol of linkers, and the one call that starts any of them."""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

from tracking3d.detections import Detections
from tracking3d.link.constraint import ConstraintConfig
from tracking3d.tracks import Tracks
from volumes.errors import ConfigError
from volumes.timelapse import TimeLapse


@runtime_checkable
class Linker(Protocol):
    """Finds the parent of each detection."""

    def link(self, detections: Detections, labels: TimeLapse | None = None, image: TimeLapse | None = None) -> Tracks:
        """Tracks over these detections, row by row; labels and image serve linkers that split merged cells."""
        ...


def link(
    detections: Detections,
    kind: Literal["constraint"] | ConstraintConfig | Linker = "constraint",
    labels: TimeLapse | None = None,
    image: TimeLapse | None = None,
) -> Tracks:
    """Follow cells through time.

    Parameters
    ----------
    detections : cells of all frames, in any order.
    kind : a linker's name, its configuration, or any object with a ``link`` method.
    labels, image : the movie the detections come from, for linkers that make use of it.

    Returns
    -------
    Tracks over the same rows.

    Raises
    ------
    ConfigError : a kind that is not known.
    """
    return _linker(kind).link(detections, labels=labels, image=image)


def _linker(kind: str | ConstraintConfig | Linker) -> Linker:
    if isinstance(kind, ConstraintConfig):
        return kind.build()
    if kind == "constraint":
        return ConstraintConfig().build()
    if isinstance(kind, str) or not isinstance(kind, Linker):
        raise ConfigError(
            "is no known linker", field="kind", value=kind, remedy='Use "constraint", its config, or a Linker'
        )
    return kind
