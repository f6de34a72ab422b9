"""Stage ``detect``: a table of cells, measured in labels or taken from a file."""

from __future__ import annotations

from experiments.config import Experiment, settings
from experiments.entries import Cells
from experiments.run_folder import RunFolder
from experiments.stage import Stage
from experiments.stages import segment
from experiments.stages.true_links import lineage_and_view
from tracking3d import Detections, detect
from tracking3d.formats.table import read_detections, write_detections

NAME = "detect"
DETECTIONS = "detections.csv"


def detect_stage(experiment: Experiment, folder: RunFolder) -> Stage:
    """One row a cell, in µm."""
    cells = experiment.cells
    return Stage(
        NAME,
        settings(experiment, "cells", "sources", "segment_on"),
        (DETECTIONS,),
        lambda: write_detections(_detections(experiment, folder), folder.path / DETECTIONS),
        inputs={"cells": cells.file} if cells else {},
        after=() if cells else (segment.NAME,),
        code=("tracking3d", "phantom"),
    )


def detections(experiment: Experiment, folder: RunFolder) -> Detections:
    """The table that this stage wrote."""
    return read_detections(folder.path / DETECTIONS, dt_s=_dt_s(experiment, folder))


def _dt_s(experiment: Experiment, folder: RunFolder) -> float | None:
    if experiment.cells:
        return experiment.cells.dt_s
    return getattr(segment.segmented_image(experiment, folder), "dt_s", None)


def _detections(experiment: Experiment, folder: RunFolder) -> Detections:
    if experiment.cells:
        return _from_table(experiment.cells)
    return detect(segment.labels(experiment, folder), segment.segmented_image(experiment, folder))


def _from_table(cells: Cells) -> Detections:
    if cells.observed is None:
        return read_detections(cells.file, unit=cells.unit, dt_s=cells.dt_s)
    _, view = lineage_and_view(cells)
    return Detections.of(view.t, view.zyx_um, view.volume_um3, dt_s=cells.dt_s)
