"""What links detections into tracks: the protocol of linkers, and the one call that starts any of them."""

from __future__ import annotations

from typing import Protocol, TypeAlias, runtime_checkable

from tracking3d.claims import rivals
from tracking3d.detections import Detections
from tracking3d.link.config import CONFIGS, Kind, LinkerConfig, of_kind
from tracking3d.tracks import Tracks
from volumes.errors import ConfigError
from volumes.timelapse import TimeLapse


@runtime_checkable
class Linker(Protocol):
    """Finds the parent of each detection."""

    def link(self, detections: Detections, labels: TimeLapse | None = None, image: TimeLapse | None = None) -> Tracks:
        """Tracks over these detections, row by row; labels and image serve linkers that split merged cells."""
        ...


WhichLinker: TypeAlias = Kind | LinkerConfig | Linker


def link(
    detections: Detections,
    kind: WhichLinker = "constraint",
    labels: TimeLapse | None = None,
    image: TimeLapse | None = None,
) -> Tracks:
    """Follow cells through time.

    Parameters
    ----------
    detections : cells of all frames, in any order.
    kind : a linker's name, its configuration, or any object with a ``link`` method. Where detections compete
        (:mod:`tracking3d.claims`), only ``constraint`` chooses among them.
    labels, image : the movie the detections come from, for linkers that make use of it.

    Returns
    -------
    Tracks over the same rows.

    Raises
    ------
    ConfigError : a kind that is not known, or that would link detections that exclude each other.
    """
    named = of_kind(kind) if isinstance(kind, str) else kind
    if isinstance(named, CONFIGS) and named.kind != "constraint" and len(rivals(detections)):
        remedy = "Use kind constraint, or take the likeliest beforehand: tracking3d.link.contest.likeliest"
        raise ConfigError("does not choose among competing detections", field="kind", value=named.kind, remedy=remedy)
    return _built(named).link(detections, labels=labels, image=image)


def _built(kind: LinkerConfig | Linker) -> Linker:
    if isinstance(kind, CONFIGS):
        return kind.build()
    if isinstance(kind, Linker):
        return kind
    raise ConfigError("has no method link(detections)", field="kind", value=kind, remedy="Give a name or a config")
