"""Finding cells: integer labels from a volume, or from each frame of a time-lapse."""

from __future__ import annotations

from typing import Protocol, overload, runtime_checkable

from pydantic import BaseModel

from tracking3d.labels import label_volume, label_voxels
from tracking3d.segment.config import KINDS, Kind, SegmenterConfig, of_kind
from tracking3d.segment.watershed import WatershedConfig
from volumes.errors import ConfigError, FusetrackError, GridError
from volumes.timelapse import TimeLapse
from volumes.volume import Volume

__all__ = ["KINDS", "Kind", "Segmenter", "SegmenterConfig", "WatershedConfig", "segment"]


@runtime_checkable
class Segmenter(Protocol):
    """Whatever finds cells in one volume of one channel."""

    def segment(self, volume: Volume) -> Volume:
        """Integer labels on the volume's grid, 0 the background."""
        ...


@overload
def segment(image: Volume, kind: Kind | SegmenterConfig | Segmenter = ..., channel: int | str = ...) -> Volume: ...
@overload
def segment(
    image: TimeLapse, kind: Kind | SegmenterConfig | Segmenter = ..., channel: int | str = ...
) -> TimeLapse: ...
def segment(
    image: Volume | TimeLapse, kind: Kind | SegmenterConfig | Segmenter = "watershed", channel: int | str = 0
) -> Volume | TimeLapse:
    """Find the cells of a volume, or of each frame of a time-lapse.

    Parameters
    ----------
    image : what to look at; frames are loaded and segmented one at a time, and their labels kept.
    kind : a segmenter's name, its config, or any object with a ``segment`` method.
    channel : which channel shows the cells, by position or by name.

    Returns
    -------
    Labels: 0 the background, each cell its own number within its frame; uint16, or uint32 past 65 535 cells. A volume
    in which nothing is found holds only 0; a warning is logged.

    Raises
    ------
    ConfigError : an unknown kind.
    ContentError : no such channel, NaN or infinite voxels, a constant volume; a segmenter that gives no integers.
    GridError : a segmenter that answers on another grid.
    """
    segmenter = _built(kind)
    if isinstance(image, Volume):
        return _labelled(segmenter, image, channel)
    return TimeLapse.of([_labelled_frame(segmenter, image, i, channel) for i in range(len(image))])


def _built(kind: Kind | SegmenterConfig | Segmenter) -> Segmenter:
    if isinstance(kind, str):
        return of_kind(kind).build()
    if isinstance(kind, BaseModel):
        return kind.build()
    if not isinstance(kind, Segmenter):
        raise ConfigError(
            "is no segmenter",
            field="kind",
            value=kind,
            remedy="Give a name, a config or an object with segment(volume)",
        )
    return kind


def _labelled_frame(segmenter: Segmenter, movie: TimeLapse, frame: int, channel: int | str) -> Volume:
    try:
        return _labelled(segmenter, movie[frame], channel)
    except FusetrackError as error:
        where = f"frame {frame}: {error.field}" if error.field else f"frame {frame}"
        raise type(error)(
            error.problem, file=error.file, field=where, value=error.value, remedy=error.remedy
        ) from error


def _labelled(segmenter: Segmenter, volume: Volume, channel: int | str) -> Volume:
    """One volume's labels, held to what is promised of them."""
    voxels = volume.channel(channel)
    position = channel if isinstance(channel, int) else [c.name for c in volume.channels].index(channel)
    single = volume.with_data(voxels, (volume.channels[position],))
    labels = segmenter.segment(single)
    if not labels.grid.is_close(volume.grid):
        raise GridError("the segmenter answered on another grid", field="kind", value=labels.grid.shape)
    return label_volume(label_voxels(labels, "the segmenter's labels"), volume)
