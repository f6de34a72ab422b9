"""Sets of weights of the learnt segmenter beside each other: on made-up specimens that none met, and on real volumes.

    OMP_NUM_THREADS=1 python -m experiments.bench.segmentation_weights --seeds 11/weights.safetensors 12/… 13/… \\
        --beside mean.safetensors --out results/bench/segmentation_weights.csv

The package's weights come first; those of ``--seeds``, trainings that differ in nothing but their seeds, have a mean
and a standard deviation (n − 1) beneath; those of ``--beside`` are rows of their own. Specimens are of the kind that
``--config`` trains on, but of seeds that it does not have, with the size of a cell given; so are its phantoms. On the
real volumes the size is estimated. Objects of fewer than 100 voxels are left out; cells of a case are pooled. A name is
that of the file, or of its folder for a training's ``weights.safetensors``.
"""

from __future__ import annotations

import argparse
import csv
import io
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from configs import __file__ as configs_file
from experiments.bench.segmentation import MIN_VOXELS
from experiments.bench.segmentation_volumes import CASES, Case, read_case
from experiments.tasks.cell_phantom import drawn_phantoms
from experiments.tasks.cell_pool import Pool
from experiments.tasks.segmenter import SegmenterTaskConfig
from experiments.training_config import load_training
from tracking3d import segment
from tracking3d.cell_scores import outcomes, pooled, scores
from tracking3d.segment.network.config import CellNetworkConfig
from tracking3d.segment.network.heads import DIAMETER
from tracking3d.segment.network.inference import SHIPPED
from volumes.atomic import write_text
from volumes.errors import ConfigError
from volumes.shapes import Voxels
from volumes.volume import from_array

log = logging.getLogger(__name__)

CONFIG = Path(configs_file).parent / "tracking3d" / "segmenter_third.yaml"
HELD_OUT_SEED, APART = 990, 900
"""The seed of the specimens' pool, and what is added to the seeds of a config's phantoms: none is trained with."""
SHOWN = ("AP", "F1", "SEG")
SPECIMENS, PHANTOMS = "specimens", "phantoms"


@dataclass(frozen=True)
class Row:
    """One set of weights on one case: its scores in the order of :data:`SHOWN`."""

    weights: str
    case: str
    scores: tuple[float, ...]
    true_cells: int
    found_cells: int


def main(arguments: Sequence[str] | None = None) -> None:
    """Score every set on every case, and write the table."""
    options = _options(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    seeds = {named(path): path for path in options.seeds}
    sets = {"the package's": SHIPPED, **seeds, **{named(path): path for path in options.beside}}
    if len(sets) != 1 + len(options.seeds) + len(options.beside):
        raise ConfigError("two sets of weights have one name", field="--seeds, --beside", remedy="Rename a file")
    rows: list[Row] = []
    for name, case in _cases(options):
        for label, path in sets.items():
            rows.append(_scored(label, name, case, path))
            log.info("%s", rows[-1])
        rows += spread([row for row in rows if row.case == name and row.weights in seeds])
        _write(rows, options.out)


def named(path: Path) -> str:
    """What a set of weights is called in the table."""
    return path.parent.name if path.stem in ("weights", "best") else path.stem


def spread(rows: Sequence[Row]) -> list[Row]:
    """Mean and standard deviation over the seeds of one case; nothing for fewer than two."""
    if len(rows) < 2:
        return []
    table = np.array([row.scores for row in rows])
    found = round(float(np.mean([row.found_cells for row in rows])))
    first, n = rows[0], len(rows)
    return [
        Row(f"mean of {n} seeds", first.case, tuple(table.mean(0).tolist()), first.true_cells, found),
        Row(f"sd of {n} seeds", first.case, tuple(table.std(0, ddof=1).tolist()), first.true_cells, found),
    ]


def specimens(task: SegmenterTaskConfig, count: int) -> Case:
    """Made-up specimens of that kind, a typical cell 14 µm across."""
    pool = Pool(task.pool, HELD_OUT_SEED)
    # Late in the pool, where specimens are as hard as they become.
    return _case([pool.drawn(task.pool.harder + 1 + number) for number in range(count)], "made up")


def phantoms(task: SegmenterTaskConfig) -> Case:
    """The config's phantoms, drawn from other seeds, a typical cell 14 µm across."""
    others = [one.model_copy(update={"seeds": tuple(s + APART for s in one.seeds)}) for one in task.phantoms]
    return _case([(seen.image, seen.labels) for one in others for seen in drawn_phantoms(one)], "phantoms")


def _case(pairs: Sequence[tuple[Voxels, Voxels]], note: str) -> Case:
    cubes = (1.0, 1.0, 1.0)
    images = tuple(from_array(image, cubes, modality="fluorescence") for image, _ in pairs)
    truths = tuple(from_array(labels.astype(np.uint32), cubes, modality="labels") for _, labels in pairs)
    return Case(images, truths, note)


def _cases(options: argparse.Namespace) -> Iterator[tuple[str, Case]]:
    """One after another, so that only one is in memory."""
    task = load_training(options.config).task
    if not isinstance(task, SegmenterTaskConfig):
        raise ConfigError("is no training of a segmenter", file=options.config, field="task.kind", value=task.kind)
    if options.specimens:
        yield SPECIMENS, specimens(task, options.specimens)
    if task.phantoms and not options.without_phantoms:
        yield PHANTOMS, phantoms(task)
    for name in options.cases:
        yield name, read_case(name, options.data)


def _scored(label: str, name: str, case: Case, weights: Path) -> Row:
    known = float(DIAMETER) if name in (SPECIMENS, PHANTOMS) else None
    kind = CellNetworkConfig(weights=weights, diameter_um=known)
    pairs = zip(case.images, case.truths, strict=True)
    table = pooled([outcomes(truth, segment(image, kind), MIN_VOXELS) for image, truth in pairs])
    values = scores(table)
    return Row(label, name, tuple(values[s] for s in SHOWN), int(table.true.sum()), int(table.found.sum()))


def _write(rows: Sequence[Row], out: Path) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["case", "weights", *SHOWN, "true cells", "found cells"])
    for row in rows:
        scored = [f"{value:.3f}" for value in row.scores]
        writer.writerow([row.case, row.weights, *scored, row.true_cells, row.found_cells])
    write_text(out, text.getvalue())


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=Path, nargs="*", default=[], metavar="WEIGHTS")
    parser.add_argument("--beside", type=Path, nargs="*", default=[], metavar="WEIGHTS")
    parser.add_argument("--config", type=Path, default=CONFIG, help="of the training: what its specimens are like")
    parser.add_argument("--specimens", type=int, default=96)
    parser.add_argument("--without-phantoms", action="store_true")
    parser.add_argument("--cases", nargs="*", default=[*CASES], choices=[*CASES])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("FUSETRACK_DATA", "../shared/data")))
    parser.add_argument("--out", type=Path, default=Path("results/bench/segmentation_weights.csv"))
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
