"""How time and memory of the learnt segmenter grow with the volume, and whether blocks find what the whole does.

    OMP_NUM_THREADS=1 python -m experiments.bench.segmentation_growth --out results/bench/segmentation_growth.csv

A made-up specimen of 128³ voxels is mirrored to cubes of 128³, 256³ and 512³, written as OME-Zarr, and segmented in
blocks of 64³ from and into OME-Zarr, each in a process of its own (:mod:`segmentation_process`). Up to 256³ the same
is done in memory as a whole, and the labels are compared: AP at an IoU of 0.9, and the share of equal voxels. Cubes of
100³ tell what 10⁶ voxels cost in memory, the size of a cell given and estimated: first in a process, and again.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import volumes
from phantom.nuclei import random_specimen
from tracking3d.match import score
from tracking3d.segment.network.config import CellNetworkConfig
from volumes.atomic import write_text
from volumes.grid import Grid
from volumes.shapes import AnyArray
from volumes.volume import Channel, Volume

log = logging.getLogger(__name__)

TILE, HARD, ACROSS = 128, 0.4, 14.0
"""Voxels along the specimen's edges; its difficulty; µm and voxels across its cells."""
BLOCK, WHOLE, MILLION = 64, 256, 100
SIDES = (100, 128, 256, 512)


@dataclass(frozen=True, eq=False)
class Mirrored:
    """(1, z, y, x) of a cube that is mirrored at its faces until it has ``side`` voxels along each axis."""

    tile: AnyArray
    side: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(C, Z, Y, X)."""
        return 1, self.side, self.side, self.side

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the voxels."""
        return self.tile.dtype

    def __getitem__(self, key: Any, /) -> AnyArray:  # noqa: ANN401 - as volumes.volume.LazyArray has it
        channel, *spatial = key
        at = [np.arange(*part.indices(self.side)) % (2 * len(self.tile)) for part in spatial]
        part: AnyArray = self.tile[np.ix_(*(np.minimum(a, 2 * len(self.tile) - 1 - a) for a in at))]
        return part if isinstance(channel, int) else part[None]


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw, segment, compare, and write the table as CSV, and as markdown beside it."""
    options = _options(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    command = f"python -m experiments.bench.segmentation_growth {' '.join(arguments or ())}"
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        for side in options.sides:
            image = Path(folder) / f"{side}.ome.zarr"
            volumes.write(specimen(side), image)
            rows += _million(image) if side == MILLION else [_blocks(image, side)]
            log.info("%s", rows[-1])
            _write(rows, Path(options.out), command)


def specimen(side: int, seed: int = 0) -> Volume:
    """A cube of nuclei, lazy."""
    tile = random_specimen(np.random.default_rng(seed), (TILE,) * 3, HARD).image
    voxels = (100 + 900 * tile).clip(0, 65535).astype(np.uint16)
    return Volume(Mirrored(voxels, side), Grid((side,) * 3, (1.0, 1.0, 1.0)), (Channel("nuclei", "fluorescence"),))


def _million(image: Path) -> list[dict[str, object]]:
    return [
        {"side": MILLION, "way": f"{name}, {way}", **_told(image, Path("-"), settings, way)}
        for name, settings in (("size given", {"diameter_um": ACROSS}), ("size estimated", {}))
        for way in ("whole", "again")
    ]


def _blocks(image: Path, side: int) -> dict[str, object]:
    out = image.with_name(f"{side}_labels.ome.zarr")
    told = _told(image, out, {"diameter_um": ACROSS, "block": BLOCK}, "blocks")
    row: dict[str, object] = {"side": side, "way": f"blocks of {BLOCK}³", **told}
    if side <= WHOLE:
        found, whole = volumes.read(out), CellNetworkConfig(diameter_um=ACROSS, block=side)
        labels = whole.build().cells(volumes.read(image)).labels
        row["AP@0.9 with the whole"] = score(labels, found, 0.9).ap
        row["equal voxels"] = float((labels.channel() == found.channel()).mean())
    return row


def _told(image: Path, out: Path, settings: Mapping[str, object], way: str) -> dict[str, Any]:
    words = [str(image), str(out), json.dumps(settings), way]
    command = [sys.executable, "-m", "experiments.bench.segmentation_process", *words]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=dict(os.environ))  # noqa: S603
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def _write(rows: Sequence[dict[str, object]], out: Path, command: str) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[f"{v:.3f}" if isinstance(v := row.get(name, ""), float) else str(v) for name in names] for row in rows]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([names, *cells])
    write_text(out, text.getvalue())
    lines = [f"| {' | '.join(line)} |" for line in (names, ["---"] * len(names), *cells)]
    write_text(out.with_suffix(".md"), "\n".join([f"`{command}`", "", *lines]) + "\n")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", nargs="+", type=int, default=list(SIDES))
    parser.add_argument("--scratch", type=Path, help="folder for the volumes; left out: the system's")
    parser.add_argument("--out", default="results/bench/segmentation_growth.csv")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
