"""How right tracks in files are: the Cell Tracking Challenge's scores for its folders, links for anything else."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tracking3d.formats.dispatch import read_tracks
from tracking3d.match_points import half_spacing_um, matched_nodes
from tracking3d.metrics import LinkTruth, score_links
from tracking3d.tracks import Tracks
from volumes.atomic import replacing_file
from volumes.errors import ConfigError


@dataclass(frozen=True)
class Stated:
    """What the caller says of files that do not say it themselves.

    Parameters
    ----------
    unit : of the lengths in a CSV; µm where it is left out.
    spacing_um : (z, y, x) µm of a voxel.
    """

    unit: str | None = None
    spacing_um: Sequence[float] | None = None


def evaluate_tracking(
    tracks: Path, truth: Path, distance_um: float | None = None, stated: Stated | None = None
) -> dict[str, float | str | None]:
    """All scores of one file or folder of tracks, by name.

    Parameters
    ----------
    tracks, truth : two folders of the Cell Tracking Challenge, or files of any format that is read here.
    distance_um : of files, how far a detection may lie from its true cell; left out, half the true cells' spacing.
    stated : of both files.

    Raises
    ------
    TableError, UnitError, ConfigError, GridError : as the readers and the scores.
    """
    if tracks.is_dir() and truth.is_dir() and tracks.suffix != ".geff" and truth.suffix != ".geff":
        if distance_um is not None:
            raise ConfigError("is for tables; masks are matched by overlap", field="--distance-um", value=distance_um)
        from tracking3d.ctc_scores import score_ctc

        scores = score_ctc(tracks, truth)
        return {**scores.values, "SEG from": scores.seg_from}
    found, true = (_read(path, stated or Stated()) for path in (tracks, truth))
    return link_scores(found, true, distance_um)


def link_scores(found: Tracks, true: Tracks, distance_um: float | None = None) -> dict[str, float | str | None]:
    """Scores of detections and links, by name; None for those of divisions where none is true and none was made.

    Parameters
    ----------
    found, true : tracks in one world.
    distance_um : as of :func:`evaluate_tracking`.
    """
    reach = half_spacing_um(true.detections) if distance_um is None else distance_um
    node = matched_nodes(found.detections, true.detections, reach)
    scores = score_links(found, LinkTruth(true, node))
    right, counts = int((node >= 0).sum()), scores.counts
    divided = counts["divisions"] + counts["true_divisions"] > 0
    return {
        "cells": len(found),
        "true cells": len(true),
        "matched cells": right,
        "cell precision": right / len(found) if len(found) else None,
        "cell recall": right / len(true) if len(true) else None,
        "edge F1": scores.edge_f1,
        "edge precision": scores.precision,
        "edge recall": scores.recall,
        "false match": scores.false_match,
        "LNK": scores.lnk,
        "division F1": scores.division_f1 if divided else None,
        "division F1 within one frame": scores.division_f1_within_1 if divided else None,
        **{name.replace("_", " "): count for name, count in counts.items()},
        "distance um": reach,
    }


def as_lines(scores: Mapping[str, float | str | None]) -> str:
    """A line for each score that is defined, counts as whole numbers."""
    width = max(map(len, scores))
    return "\n".join(f"{name:>{width}}  {_text(value)}" for name, value in scores.items() if value is not None)


def write_scores(scores: Mapping[str, float | str | None], out: Path) -> None:
    """Write a CSV of one row, empty where a score is not defined.

    Raises
    ------
    OutputError : the file cannot be written; what was there stays.
    """
    with replacing_file(out) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(scores)
        writer.writerow(["" if value is None else _text(value) for value in scores.values()])


def _read(path: Path, stated: Stated) -> Tracks:
    """Each option goes to the files that need it."""
    table = path.name.endswith((".csv", ".csv.gz"))
    voxels = path.suffix in (".xml", ".mat") or (path.is_dir() and path.suffix != ".geff")
    return read_tracks(path, unit=stated.unit if table else None, spacing_um=stated.spacing_um if voxels else None)


def _text(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return str(int(value)) if math.isfinite(value) and np.rint(value) == value else f"{value:.6g}"
