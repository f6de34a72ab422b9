"""The Cell Tracking Challenge's scores, by py-ctcmetrics (the extra ``metrics``), of folders or of tracks with labels.

What each is: DET, TRA and LNK are 1 − AOGM / AOGM₀ over cells, cells and links, and links (Matula et al., PLoS ONE 10,
2015); SEG the mean Jaccard index (Maška et al. 2014); CT, TF, BC(i) and CCA complete tracks, track fractions, divisions
within i frames and cell cycles (Ulman et al., Nature Methods 14, 2017); HOTA, IDF1 and MOTA those of multiple objects.
Cells are matched here, where a found one covers more than half of a true one, as the challenge does; the scores
themselves are py-ctcmetrics' own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracking3d.formats.ctc import track_masks, track_table
from tracking3d.formats.ctc_reader import CtcFolder, open_ctc
from tracking3d.overlap import voxel_overlap
from tracking3d.tracks import Tracks
from volumes.errors import ConfigError, GridError, TableError
from volumes.shapes import AnyArray
from volumes.timelapse import TimeLapse

METRICS = ("CHOTA", "BC", "CT", "CCA", "TF", "SEG", "TRA", "DET", "MOTA", "HOTA", "IDF1", "MTML", "FAF", "LNK", "BIO")
"""What py-ctcmetrics is asked for, by its names; OP_CTB, OP_CSB and OP_CLB follow from them."""
GROUPS = ("BC", "BIO", "MTML")
"""Those that come as several scores of other names: BC(0), BC(1), …"""
FRAMED = re.compile(r"man_seg_?(\d+)(?:_(\d+))?\.tif")
"""Masks of segmentation: the frame and, where it is one plane of a stack, the plane."""


@dataclass(frozen=True)
class CtcScores:
    """All scores of one result.

    Parameters
    ----------
    values : by py-ctcmetrics' names; None where a score is not defined, as BC(i) without a true division.
    seg_from : the folder that SEG was measured on: ``SEG``, or ``TRA`` where there is none and its markers have to do.
    """

    values: dict[str, float | None]
    seg_from: str


def score_ctc(result: str | Path, truth: str | Path) -> CtcScores:
    """Score a result's folder (``01_RES``) beside a truth's (``01_GT``, or a folder of masks and table).

    Raises
    ------
    TableError : a folder that cannot be read, an empty truth, or another number of frames.
    GridError : masks of other shapes.
    ConfigError : py-ctcmetrics is not installed.
    """
    found, true = open_ctc(result), open_ctc(truth)
    if len(found.masks) != len(true.masks):
        problem = f"has {len(found.masks)} frames, the truth {len(true.masks)}"
        raise TableError(problem, file=found.path, remedy="Write a mask for every frame, empty ones too")
    frames = _matched(zip(_stacks(true), _stacks(found), strict=True))
    _refuse_strangers(found, frames.labels_found)
    _refuse_strangers(true, frames.labels_true)
    segmented = _segmented(true, found)
    return _scored(found.table, true.table, frames, segmented or frames, "SEG" if segmented else "TRA")


def score_labelled(tracks: Tracks, labels: TimeLapse, true_tracks: Tracks, true_labels: TimeLapse) -> CtcScores:
    """Score tracks over labels against true tracks over true labels; SEG is measured on all of them.

    Parameters
    ----------
    tracks, true_tracks : over detections of their labels; the feature ``label``, or else the centre, tells which.
    labels, true_labels : movies of one grid and length.

    Raises
    ------
    TableError : as :func:`tracking3d.formats.ctc.track_masks`; an empty truth, or another number of frames.
    GridError : labels of other shapes.
    ConfigError : py-ctcmetrics is not installed.
    """
    if len(labels) != len(true_labels):
        raise TableError(f"has {len(labels)} frames, the truth {len(true_labels)}", field="labels")
    pairs = zip(track_masks(true_tracks, true_labels), track_masks(tracks, labels), strict=True)
    frames = _matched(pairs)
    return _scored(track_table(tracks), track_table(true_tracks), frames, frames, "SEG")


@dataclass(frozen=True, eq=False)
class _Frames:
    """Frame by frame: labels of both, and of the pairs in which a found cell covers more than half of a true one."""

    labels_true: list[list[int]]
    labels_found: list[list[int]]
    pair_true: list[list[int]]
    pair_found: list[list[int]]
    ious: list[list[float]]

    def as_ctcmetrics(self) -> dict[str, Any]:
        return {
            "labels_ref": self.labels_true,
            "labels_comp": self.labels_found,
            "mapped_ref": self.pair_true,
            "mapped_comp": self.pair_found,
            "ious": self.ious,
        }


def _matched(pairs: Iterable[tuple[AnyArray, AnyArray]]) -> _Frames:
    out = _Frames([], [], [], [], [])
    for frame, (truth, found) in enumerate(pairs):
        if truth.shape != found.shape:
            raise GridError(f"frame {frame} is {found.shape}, its truth {truth.shape}", field="shape")
        over = voxel_overlap(truth, found)
        half = over.majority
        out.labels_true.append(over.truth_ids.tolist())
        out.labels_found.append(over.found_ids.tolist())
        out.pair_true.append(over.truth_ids[over.truth[half]].tolist())
        out.pair_found.append(over.found_ids[over.found[half]].tolist())
        out.ious.append(over.iou[half].tolist())
    return out


def _scored(
    found: NDArray[np.int64], true: NDArray[np.int64], frames: _Frames, segmented: _Frames, seg_from: str
) -> CtcScores:
    if not any(frames.labels_true):
        raise TableError("the truth holds no cell", field="truth", remedy="There is nothing to score against")
    if len(frames.labels_true) < 2:
        raise TableError("tracks need two frames or more", field="frames", remedy="Score one frame as a segmentation")
    calculate = _calculate_metrics()
    if not any(frames.labels_found):
        # The definitions give 0, which py-ctcmetrics cannot work out without a track; no other score is defined.
        return CtcScores(dict.fromkeys(("DET", "TRA", "LNK", "SEG"), 0.0), seg_from)
    linked = ((true[:, 2] > true[:, 1]) | (true[:, 3] > 0)).any()
    names = [name for name in METRICS if linked or name != "LNK"]  # LNK divides by the number of true links
    values = calculate(found, true, frames.as_ctcmetrics(), segmented.as_ctcmetrics(), names, is_valid=1)
    known = {name: None if value is None or np.isnan(value) else float(value) for name, value in values.items()}
    return CtcScores({name: value for name, value in known.items() if name not in GROUPS}, seg_from)


def _calculate_metrics() -> Any:  # noqa: ANN401 - py-ctcmetrics is not typed
    try:
        from ctc_metrics.scripts.evaluate import calculate_metrics
    except ImportError as error:
        raise ConfigError(
            "the Cell Tracking Challenge's scores need py-ctcmetrics",
            field="metrics",
            remedy="pip install 'fusetrack[metrics]'",
        ) from error
    return calculate_metrics


def _stacks(opened: CtcFolder) -> Iterator[AnyArray]:
    return (_voxels(file) for file in opened.masks)


def _voxels(file: Path) -> AnyArray:
    """One mask as (Z, Y, X) labels."""
    from tracking3d.formats.ctc_reader import stack_shape
    from tracking3d.labels import label_voxels
    from volumes.io import Layout, read

    layout = Layout(axes="ZYX", sizes=stack_shape(file), spacing_um=(1.0, 1.0, 1.0))
    return label_voxels(read(file, modality="labels", layout=layout), file.name)


def _segmented(true: CtcFolder, found: CtcFolder) -> _Frames | None:
    """The frames, or planes of frames, that were segmented by hand; None where none were."""
    folder = true.path.parent / "SEG"
    if true.path.name != "TRA" or not folder.is_dir():
        return None
    files = {file: match for file in sorted(folder.iterdir()) if (match := FRAMED.fullmatch(file.name))}
    return _matched(_planes(files, found.masks)) if files else None


def _planes(files: dict[Path, re.Match[str]], masks: Sequence[Path]) -> Iterator[tuple[AnyArray, AnyArray]]:
    for file, match in files.items():
        frame = int(match[1])
        if frame >= len(masks):
            raise TableError("is of a frame that the result does not have", file=file, field="frame", value=frame)
        truth, voxels = _voxels(file), _voxels(masks[frame])
        plane = None if match[2] is None else int(match[2])
        if plane is not None and plane >= len(voxels):
            raise TableError("is of a plane that the result does not have", file=file, field="plane", value=plane)
        yield truth, voxels if plane is None else voxels[plane : plane + 1]


def _refuse_strangers(opened: CtcFolder, labels: Sequence[Sequence[int]]) -> None:
    """A label outside the frames of its track, or a track that is missing at its begin or end, would score wrongly."""
    spans = {label: (begin, end) for label, begin, end, _ in opened.table.tolist()}
    for frame, present in enumerate(labels):
        for label in present:
            begin, end = spans.get(label, (1, 0))
            if not begin <= frame <= end:
                problem = (
                    f"label {label} stands in frame {frame}, in which {opened.table_file.name} knows no such track"
                )
                raise TableError(problem, file=opened.masks[frame], field="label", value=label)
    for label, span in spans.items():
        for frame in span:
            if label not in labels[frame]:
                problem = f"track {label} begins or ends in frame {frame}, whose mask lacks it"
                raise TableError(problem, file=opened.masks[frame], field="label", value=label)
