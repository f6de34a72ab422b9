"""Every kind of segmenter on the same real volumes, with its defaults: scores with intervals, and CPU time.

    OMP_NUM_THREADS=1 python -m experiments.bench.segmentation --out results/bench/segmentation.csv

writes one row a kind and case into the CSV, and a table beside it (.md). Nothing is tuned here: each kind runs as
``tracking3d.segment(volume, kind)`` does, on one thread. Objects of fewer than 100 voxels are left out of both sides;
intervals are the bootstrap's over cells, and are wide where cells are few. ``--set network.diameter_um=9.5`` changes a
setting of a kind, for instance to the size that is true. Times are of a second run on one frame, so that nothing is
compiled in them; a kind that refuses a volume has a row that says why.
"""

from __future__ import annotations

import argparse
import csv
import io
import logging
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tracking3d
from experiments import strict_yaml
from experiments.bench.segmentation_volumes import CASES, Case, read_case
from tracking3d.cell_scores import Estimate, interval, outcomes, pooled, scores
from tracking3d.segment import KINDS
from volumes.atomic import write_text
from volumes.errors import FusetrackError
from volumes.volume import Volume

log = logging.getLogger(__name__)

MIN_VOXELS = 100
SHOWN = ("AP", "F1", "SEG", "AP50:95", "PQ", "split rate", "merge rate", "boundary mean um")
"""Scores of the table, in its order."""
WITH_INTERVAL = ("AP", "SEG")
UNKNOWN = Estimate(math.nan, math.nan, math.nan)
Segment = Callable[[Volume], Volume]


@dataclass(frozen=True)
class Row:
    """One kind on one case.

    Parameters
    ----------
    scores : by name; empty where the kind refused.
    cpu_s : CPU seconds for 10⁶ voxels.
    true_cells, found_cells : of at least MIN_VOXELS.
    note : what the truth is, or why there is no score.
    """

    case: str
    kind: str
    scores: Mapping[str, Estimate]
    cpu_s: float
    true_cells: int
    found_cells: int
    note: str

    def cells(self) -> dict[str, str]:
        """The row as text, by column."""
        out = {"case": self.case, "kind": self.kind}
        for name in SHOWN:
            one = self.scores.get(name, UNKNOWN)
            known = not math.isnan(one.value)
            out[name] = f"{one.value:.3f}" if known else ""
            if name in WITH_INTERVAL:
                out[f"{name} 95 %"] = f"{one.low:.2f} … {one.high:.2f}" if known else ""
        counts = {"true cells": str(self.true_cells), "found cells": str(self.found_cells)}
        return {**out, **counts, "CPU s / 10⁶ voxels": f"{self.cpu_s:.2f}", "note": self.note}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the kinds on the cases and write both tables."""
    options = _options(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    rows: list[Row] = []
    for name in options.cases:
        case = read_case(name, Path(options.data))
        for kind in options.kinds:
            rows.append(measured(name, case, kind, segmenter(kind, options.set), options.resamples))
            log.info("%s", rows[-1].cells())
            write(rows, Path(options.out), f"python -m experiments.bench.segmentation {' '.join(arguments or ())}")


def segmenter(kind: str, changes: Sequence[str] = ()) -> Segment:
    """What segments by that kind, its defaults changed where ``KIND.KEY=VALUE`` says so.

    Raises
    ------
    ConfigError : no such kind.
    """
    from tracking3d.segment.config import of_kind

    config = of_kind(kind)
    mine = [change.partition(".")[2].partition("=") for change in changes if change.startswith(f"{kind}.")]
    given = {key: strict_yaml.scalar(text) for key, _, text in mine}
    config = type(config).model_validate({**config.model_dump(), **given})
    return lambda volume: tracking3d.segment(volume, config)


def measured(name: str, case: Case, kind: str, segment: Segment, resamples: int = 1000) -> Row:
    """One kind on all frames of a case."""
    try:
        segment(case.images[0])  # compiles, and reads weights
        start = time.process_time()
        labels = [segment(image) for image in case.images]
        cpu_s = (time.process_time() - start) / case.voxels * 1e6
    except FusetrackError as error:
        log.warning("%s on %s: %s", kind, name, error)
        return Row(name, kind, {}, float("nan"), 0, 0, f"refused: {error.problem}")
    table = pooled([outcomes(*pair, MIN_VOXELS) for pair in zip(case.truths, labels, strict=True)])
    values, (low, high) = scores(table), interval(table, resamples)
    estimates = {score: Estimate(values[score], low[score], high[score]) for score in SHOWN}
    return Row(name, kind, estimates, cpu_s, int(table.true.sum()), int(table.found.sum()), case.note)


def write(rows: Sequence[Row], out: Path, command: str) -> None:
    """The CSV, and as markdown beside it, with the command that made them."""
    cells = [row.cells() for row in rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, [*cells[0]], lineterminator="\n")
    writer.writeheader()
    writer.writerows(cells)
    write_text(out, text.getvalue())
    lines = [f"| {' | '.join(line)} |" for line in ([*cells[0]], ["---"] * len(cells[0]), *(c.values() for c in cells))]
    write_text(out.with_suffix(".md"), "\n".join([f"`{command}`", "", *lines]) + "\n")


def _options(arguments: Sequence[str] | None) -> Any:  # noqa: ANN401 - argparse's namespace
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("FUSETRACK_DATA", "../shared/data"))
    parser.add_argument("--cases", nargs="+", default=[*CASES], choices=[*CASES])
    parser.add_argument("--kinds", nargs="+", default=[*KINDS], choices=[*KINDS])
    parser.add_argument("--set", nargs="+", default=[], metavar="KIND.KEY=VALUE")
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--out", default="results/bench/segmentation.csv")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
