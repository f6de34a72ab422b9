"""A volume or movie in, labels and a table of cells out: what ``fusetrack segment`` does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from pydantic import Field

from experiments.entries import Closed
from experiments.loading import override, validated
from tracking3d.segment.config import SegmenterConfig
from tracking3d.segment.network.config import CellNetworkConfig
from volumes.errors import ConfigError
from volumes.timelapse import TimeLapse
from volumes.volume import Volume


def segmenter_config(kind: str, changes: Mapping[str, str], diameter_um: float | None = None) -> SegmenterConfig:
    """The settings of a kind with some of them changed, by key and value as text.

    Raises
    ------
    ConfigError : an unknown kind or key, or a value out of range; a diameter for a kind that asks for none.
    """
    values: dict[str, object] = {"kind": kind}
    override(values, changes)
    if diameter_um is not None:
        values["diameter_um"] = diameter_um
    return validated(_Asked, {"segment": values}, Path("--kind, --set")).segment


def segment_files(
    source: Volume | TimeLapse, how: SegmenterConfig, out: Path, hypotheses: int = 1
) -> dict[str, object]:
    """Write the labels and, beside them, ``OUT.csv``; gives the paths and the number of cells.

    With several hypotheses the labels are those of the pieces that they claim (:mod:`tracking3d.segment.hypotheses`).

    A volume that is too large to be read at once (an OME-Zarr past some gigabytes) is worked on in blocks, which only
    the network can.

    Raises
    ------
    ConfigError : a volume that is too large for the kind, or for hypotheses; a kind that makes none.
    """
    import tracking3d
    from tracking3d.formats.table import write_detections
    from volumes.io import write

    table = Path(f"{out}.csv")
    if hypotheses < 1:
        raise ConfigError("must be 1 at least", field="--hypotheses", value=hypotheses)
    if isinstance(source, Volume) and not isinstance(source.data, np.ndarray):
        if hypotheses > 1:
            problem = "are not found in blocks, and this volume does not fit into memory"
            raise ConfigError(problem, field="--hypotheses", value=hypotheses, remedy="Use a crop")
        if not isinstance(how, CellNetworkConfig):
            problem = "cannot work on a volume in blocks, and this one does not fit into memory"
            raise ConfigError(problem, field="--kind", value=how.kind, remedy="Use --kind network, or a crop")
        from tracking3d.segment.blockwise import segment_blockwise

        cells = segment_blockwise(source, out, how)
    elif hypotheses > 1:
        from tracking3d.segment.hypotheses import hypotheses as hypotheses_in
        from tracking3d.segment.hypotheses import varied

        found = hypotheses_in(source, varied(how, hypotheses))
        cells = found.cells
        write(found.pieces, out)
    else:
        labels = tracking3d.segment(source, how)
        cells = tracking3d.detect(labels, source)
        write(labels, out)
    write_detections(cells, table)
    return {"labels": str(out), "table": str(table), "cells": len(cells)}


class _Asked(Closed):
    segment: SegmenterConfig = Field()
