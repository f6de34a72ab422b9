"""One segmentation in a process of its own: its time, and the most memory that the process held.

    PYTHON -m experiments.bench.segmentation_process IMAGE.ome.zarr OUT '{"diameter_um": 14.0}' blocks

``blocks`` reads IMAGE block by block into the labels OUT; ``whole`` has it in memory and writes no labels; ``again`` is
the same a second time in one process, when nothing is left to load or to compile. One line of JSON is printed.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import zarr

from experiments.bench.linking_tool import peak_mb
from tracking3d.segment.blockwise import segment_blockwise
from tracking3d.segment.network.config import CellNetworkConfig
from volumes.io import read, read_timelapse
from volumes.io.ome_zarr import ZarrVoxels
from volumes.volume import Volume

WAYS = ("blocks", "whole", "again")


def lazy(path: Path) -> Volume:
    """A volume of one channel, none of which is read yet, however small it is."""
    known = read_timelapse(path)
    array = zarr.open_group(str(path), mode="r")["0"]
    axes = "czyx"[-array.ndim :]
    return Volume(ZarrVoxels(array, axes, 0, finite=True, path=path), known.grid, known.channels)


def run(image: Path, out: Path, config: CellNetworkConfig, way: str) -> dict[str, float]:
    """CPU and wall seconds of the segmentation, peak MB of the process, and how many cells there are."""
    volume = lazy(image) if way == "blocks" else read(image)
    if way == "again":
        config.build().cells(volume)
    began, wall = time.process_time(), time.perf_counter()
    if way == "blocks":
        cells = len(segment_blockwise(volume, out, config))
    else:
        cells = len(config.build().cells(volume).confidence)
    spent = {"cpu_s": time.process_time() - began, "wall_s": time.perf_counter() - wall}
    return {**spent, "process_cpu_s": time.process_time(), "peak_mb": peak_mb(), "cells": cells}


if __name__ == "__main__":
    image, out, settings, way = sys.argv[1:]
    sys.stdout.write(json.dumps(run(Path(image), Path(out), CellNetworkConfig(**json.loads(settings)), way)) + "\n")
