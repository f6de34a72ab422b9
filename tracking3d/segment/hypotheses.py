"""Several segmentations of one image, as detections that compete: the linker chooses among them (see ``claims``).

Regions of different segmentations that are nearly the same are one hypothesis; how many segmentations have it is its
confidence. The image is cut into pieces, the voxels that lie in the same hypotheses; what a hypothesis claims are the
pieces that it is made of, so that a cell and its two halves exclude each other, and the halves do not.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tracking3d.claims import CLAIMS, CONFIDENCE
from tracking3d.detect import detect
from tracking3d.detections import Detections
from tracking3d.labels import label_volume, label_voxels
from tracking3d.overlap import overlap
from tracking3d.segment import Segmenter, segment
from tracking3d.segment.config import Kind, SegmenterConfig
from volumes.errors import ConfigError, ContentError
from volumes.shapes import Points, Voxels
from volumes.timelapse import TimeLapse
from volumes.volume import Volume

log = logging.getLogger(__name__)

SAME = 0.75
"""Intersection over union from which regions of two segmentations are one hypothesis."""
SLIVER = 0.1
"""A piece under this share of the smallest hypothesis in it goes to the surest, so that mere borders do not compete."""

DEPTHS = {"network": "depth", "watershed": "seed_depth"}
"""Kinds that cut cells apart where a map between them falls by a depth, and the name of that."""
SPAN, DEEPEST = 3.0, 0.8
"""Hypotheses are found at depths from a third of the stated one to three times, but at most this."""


@dataclass(frozen=True, eq=False)
class Hypotheses:
    """What may be cells, of one volume or of a movie.

    Parameters
    ----------
    cells : a detection for each hypothesis, with the features of :func:`tracking3d.detect` but ``label``, and
        ``confidence``, the share of the segmentations that have it, and ``claims``, its pieces.
    pieces : the labels of these, from 1 in each frame.
    """

    cells: Detections
    pieces: Volume | TimeLapse


def hypotheses(
    image: Volume | TimeLapse, kinds: Sequence[Kind | SegmenterConfig | Segmenter], channel: int | str = 0
) -> Hypotheses:
    """What several segmenters, or one with several settings, find in a volume or movie.

    Parameters
    ----------
    image : what to look at, and to measure brightness in.
    kinds : as of :func:`tracking3d.segment`; of nearly equal regions the first one's counts, so the setting that is
        trusted most stands first. :func:`varied` makes some of one.
    channel : which channel shows the cells.
    """
    # The same twice, since a list holds either volumes or movies, and the type says which.
    if isinstance(image, Volume):
        return competing([segment(image, kind, channel) for kind in kinds], image)
    return competing([segment(image, kind, channel) for kind in kinds], image)


def varied(how: SegmenterConfig, count: int) -> list[SegmenterConfig]:
    """A config and others about it that cut cells apart more readily, and less: by a third to three times its depth.

    Raises
    ------
    ConfigError : fewer than two, or a kind that does not cut by depth.
    """
    name = DEPTHS.get(how.kind)
    if name is None:
        remedy = f"Use one of {', '.join(DEPTHS)}, or give several configs in Python"
        raise ConfigError("has no depth to vary", field="kind", value=how.kind, remedy=remedy)
    if count < 2:
        raise ConfigError("needs two hypotheses at least", field="hypotheses", value=count)
    depth = float(getattr(how, name))
    others = np.geomspace(depth / SPAN, min(depth * SPAN, DEEPEST), count)
    nearest = int(np.argmin(np.abs(np.log(others / depth))))
    depths = [depth, *(float(other) for place, other in enumerate(others) if place != nearest)]
    return [how.model_copy(update={name: value}) for value in depths]


def competing(
    labels: Sequence[Volume] | Sequence[TimeLapse], intensity: Volume | TimeLapse | None = None
) -> Hypotheses:
    """The hypotheses in several segmentations of one volume or movie.

    Parameters
    ----------
    labels : the segmentations; where they have nearly the same region, the first one's counts.
    intensity : what to measure brightness in.

    Raises
    ------
    ConfigError : no segmentation, or volumes beside movies.
    ContentError, GridError : labels or intensities that do not fit each other, as in :func:`tracking3d.detect`.
    """
    volumes = [one for one in labels if isinstance(one, Volume)]
    movies = [one for one in labels if isinstance(one, TimeLapse)]
    if bool(volumes) == bool(movies):
        raise ConfigError(
            "needs one segmentation at least, all volumes or all movies", field="labels", value=len(labels)
        )
    if intensity is not None and isinstance(intensity, Volume) == bool(movies):
        what = "a movie" if movies else "one volume"
        raise ContentError(f"the labels are {what}, the intensities are not", field="intensity")
    if volumes:
        return Hypotheses(*_of_volume(volumes, intensity if isinstance(intensity, Volume) else None, 0))
    frames = [
        _of_volume([movie[t] for movie in movies], intensity[t] if isinstance(intensity, TimeLapse) else None, t)
        for t in range(len(movies[0]))
    ]
    table = _stacked([table for table, _ in frames], movies[0].dt_s)
    return Hypotheses(table, TimeLapse.of([pieces for _, pieces in frames]))


def _of_volume(labels: list[Volume], intensity: Volume | None, frame: int) -> tuple[Detections, Volume]:
    """Hypotheses of one frame, and their pieces."""
    kept, votes = _distinct(labels)
    tables = [detect(_only(volume, own), intensity) for volume, own in zip(labels, kept, strict=True)]
    ends = np.cumsum([0, *map(len, tables)])
    pieces, members = _pieces(
        [_numbered(label_voxels(labels[i]), table, int(ends[i])) for i, table in enumerate(tables)]
    )
    sure = np.concatenate(votes) / len(labels)
    claims = _claims(pieces, members, sure)
    rows = _apart(np.concatenate([table.zyx_um for table in tables]), sure, claims)
    parts = []
    for table, begin, end in zip(tables, ends[:-1], ends[1:], strict=True):
        features = {name: column for name, column in table.features.items() if name != "label"}
        features |= {CONFIDENCE: sure[begin:end], CLAIMS: claims[begin:end]}
        own = rows[(rows >= begin) & (rows < end)] - begin
        parts.append(replace(table, t=np.full(len(table), frame), features=features).take(own))
    return _stacked(parts, None), label_volume(pieces, labels[0])


def _only(volume: Volume, own: NDArray[np.int64]) -> Volume:
    """The labels of a volume without all but some."""
    voxels = label_voxels(volume)
    return label_volume(np.where(np.isin(voxels, own), voxels, 0), volume)


def _apart(zyx_um: Points, sure: NDArray[np.float64], claims: NDArray[np.str_]) -> NDArray[np.int64]:
    """Rows that claim something; of those in exactly one place the surest, since a shell about a cell is no other."""
    order = np.argsort(-sure, kind="stable")
    order = order[claims[order] != ""]
    return np.sort(order[np.unique(zyx_um[order], axis=0, return_index=True)[1]])


def _distinct(labels: list[Volume]) -> tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]]:
    """The labels of each segmentation that no earlier one has, and how many have each."""
    kept: list[NDArray[np.int64]] = []
    votes: list[NDArray[np.int64]] = []
    for number, volume in enumerate(labels):
        own = np.unique(volume.channel(0))
        own = own[own > 0].astype(np.int64)
        new = np.ones(len(own), bool)
        for earlier in range(number):
            over = overlap(labels[earlier], volume)
            same = np.flatnonzero(over.iou >= SAME)
            before, now = over.truth_ids[over.truth[same]], over.found_ids[over.found[same]]
            place = np.searchsorted(kept[earlier], before)
            there = np.append(kept[earlier], -1)[place] == before
            fresh = there & new[np.searchsorted(own, now)]
            votes[earlier][place[fresh]] += 1
            new[np.searchsorted(own, now[fresh])] = False
        kept.append(own[new])
        votes.append(np.ones(int(new.sum()), np.int64))
    return kept, votes


def _numbered(voxels: Voxels, table: Detections, first: int) -> NDArray[np.int64]:
    """(Z, Y, X) the number from 1 of the hypothesis among all that each voxel lies in, 0 for none."""
    of = np.zeros(int(voxels.max(initial=0)) + 1, np.int64)
    of[table.features["label"].astype(np.int64)] = first + 1 + np.arange(len(table))
    return np.asarray(of[voxels])


def _pieces(inside: list[NDArray[np.int64]]) -> tuple[NDArray[np.int32], list[list[int]]]:
    """Pieces (Z, Y, X) from 1 of voxels in the same hypotheses, and the hypotheses from 0 of each."""
    code = np.zeros(inside[0].shape, np.int64)
    for own in inside:
        _, code_flat = np.unique(code.ravel() * (own.max(initial=0) + 1) + own.ravel(), return_inverse=True)
        code = code_flat.reshape(code.shape)
    anywhere = np.any([own > 0 for own in inside], axis=0)
    values, first, place = np.unique(np.where(anywhere, code + 1, 0), return_index=True, return_inverse=True)
    # Where no voxel lies outside of all hypotheses there is no background to take the first number.
    outside = int(values[0] == 0) if len(values) else 0
    members = [sorted({int(own.ravel()[at]) - 1 for own in inside} - {-1}) for at in first[outside:]]
    return (place.reshape(code.shape) + 1 - outside).astype(np.int32), members


def _claims(pieces: NDArray[np.int32], members: list[list[int]], sure: NDArray[np.float64]) -> NDArray[np.str_]:
    """What each hypothesis claims, as text."""
    voxels = np.bincount(pieces.ravel(), minlength=len(members) + 1)[1:]
    size = np.zeros(len(sure))
    for piece, own in enumerate(members):
        size[own] += voxels[piece]
    words: list[list[str]] = [[] for _ in sure]
    for piece, own in enumerate(members):
        sliver = voxels[piece] < SLIVER * size[own].min()
        for hypothesis in [max(own, key=lambda h: (sure[h], size[h]))] if sliver else own:
            words[hypothesis].append(str(piece + 1))
    return np.array([" ".join(own) for own in words], dtype=str)


def _stacked(tables: Sequence[Detections], dt_s: float | None) -> Detections:
    """One table of several with the same features, with ids of its own."""
    names = tables[0].features if tables else {}
    features = {name: np.concatenate([table.features[name] for table in tables]) for name in names}
    return Detections.of(
        np.concatenate([table.t for table in tables]),
        np.concatenate([table.zyx_um for table in tables]),
        np.concatenate([table.volume_um3 for table in tables]),
        features,
        dt_s,
    )
